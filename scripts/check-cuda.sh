#!/usr/bin/env bash
# Type-checks the build with candle's CUDA operations, without CUDA: a stand-in for its compiler writes empty files.
# (candle's kernels are candle's to test; scripts/gpu/build.sh compiles them, for a card.)
#
#   scripts/check-cuda.sh
#
# The build lives in target/cuda/check, so a second run is short.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$PWD/target/cuda/check
mkdir -p "$home/bin" "$home/include"
cat >"$home/bin/nvcc" <<'END'
#!/usr/bin/env bash
# Says that it is of CUDA 13.0; writes what it is asked for, empty.
case " $* " in
  *" --version "*) echo "Cuda compilation tools, release 13.0, V13.0.88" ;;
  *" --list-gpu-code "*) echo sm_80 ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
    -o) : >"$2" ;;
    --output-directory) folder=$2 ;;
    *.cu) source=$1 ;;
  esac
  shift
done
[ -z "${folder:-}" ] || : >"$folder/$(basename "$source" .cu).ptx"
END
chmod +x "$home/bin/nvcc"

export CUDA_HOME=$home CUDA_PATH=$home CUDA_ROOT=$home NVCC=$home/bin/nvcc CUDA_COMPUTE_CAP=80 PATH="$home/bin:$PATH"
CARGO_TARGET_DIR=$home/target cargo check --locked --package cli --features cuda
