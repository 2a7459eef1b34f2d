#!/bin/sh
# Builds a fake driver, NVRTC and cuBLASLt, so that a program for a GPU runs without one. It is slow: it is for tests.
#
#   scripts/gpu/fake.sh OUT_FOLDER
#   LD_LIBRARY_PATH=OUT_FOLDER LOOPED_KERNELS=OUT_FOLDER/kernels program
#
# What is built already stays. The fake NVRTC compiles by g++ (CXX names another) when the program runs: any source, for any
# width. What it compiled is kept in OUT_FOLDER/modules. Settings of the environment:
#
#   FAKE_CUDA_VERSION=12080      the driver's version (13000)
#   FAKE_CUDA_DEVICES=0          the number of GPUs (1)
#   FAKE_CUDA_MEMORY=BYTES       a GPU's memory
#   FAKE_CUDA_CAPABILITY=75      a card of compute capability 7.5 (90)
#   FAKE_CUDA_LOST_AFTER=N       after so many kernels and graphs the card is lost: every call fails
#   FAKE_CUDA_TELLS=FILE         gets the most bytes of the GPU's memory that were taken at once
#   FAKE_CUDA_COUNTS=FILE        gets, at the end, allocations, copies there, copies back and their bytes, launches of kernels
#                                (captured ones, too) and of graphs
#   FAKE_NVRTC_FAILS=1           nothing compiles
#   FAKE_NVRTC_CACHE=FOLDER      where compiled kernels are kept
#   FAKE_NVRTC_LEVEL=0           how g++ optimises kernels (1)
#   FAKE_CUBLAS_ROUNDS=1         products round operands to tf32 or bf16, as they are asked to
#   FAKE_CUBLAS_KNOWS_NOTHING=1  there is no way to do any product
#   FAKE_CUBLAS_TELLS=FILE       gets how often it was asked how to do one
set -eu
[ $# = 1 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/../../crates/gpu/tests/shim"
compiler=${CXX:-g++}
key=$(cat shim.h fibers.h fake_*.h fake_cuda.cpp ../../../../scripts/gpu/fake.sh | cksum)" $compiler"
[ "$(cat "$out/built" 2>/dev/null)" = "$key" ] && exit

# Under another name first: someone may run on what is there.
fresh=$out/building-$$
trap 'rm -rf "$fresh"' EXIT
mkdir "$fresh"
# The assembler is told the folder too, for the text of shim.h.
"$compiler" -std=c++20 -O2 -shared -fPIC -fvisibility=hidden -Wall -Wextra -Werror -Wno-unknown-pragmas \
  -Wno-unused-parameter -Wno-clobbered -Wa,-I. -Wl,-soname,libcuda.so.1 fake_cuda.cpp -o "$fresh/libcuda.so.1" -ldl
for name in libcuda.so libnvrtc.so libnvrtc.so.13 libcublasLt.so libcublasLt.so.13; do
  ln "$fresh/libcuda.so.1" "$fresh/$name"
done
# Kernels that an older fake compiled are of no use to this one.
rm -rf "$out/modules"
mkdir "$out/modules"
mv -f "$fresh"/lib* "$out"
echo "$key" >"$out/built"
