#!/usr/bin/env bash
# Builds `looped` with CUDA, and the tests that take a device, on a machine that has neither CUDA nor a GPU.
#
#   scripts/gpu/build.sh
#
# What comes out, target/gpu-bin/, runs where a driver, CUDA's libraries (PyTorch's wheels will do) and a card of
# CUDA_COMPUTE_CAP (here 90: H100, H200) are: scripts/gpu/right.sh and fast.py take it from there.
# nvcc comes from PyPI. The libraries are linked against stubs that hold their names alone. candle's kernels for quantised
# weights, which looped never calls, are left out: they would be most of the build.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
home=$root/target/cuda
out=$root/target/gpu-bin
export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90} CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$home/target}

venv=$home/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check \
  'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-cccl==13.0.*' \
  'nvidia-cuda-runtime==13.0.*' nvidia-curand
cuda=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)

# A compiler that makes an empty object of what would become machine code: the kernels for quantised weights. The others
# become PTX, which the real one makes.
mkdir -p "$home/tools/bin"
ln -sfn "$cuda/include" "$home/tools/include"
cat >"$home/tools/bin/nvcc" <<END
#!/usr/bin/env bash
for word in "\$@"; do
  [ "\$word" = -c ] && makes_an_object=1
  [ "\${before:-}" = -o ] && object=\$word
  before=\$word
done
[ -z "\${makes_an_object:-}" ] || exec gcc -c -x c /dev/null -o "\$object"
exec "$cuda/bin/nvcc" "\$@"
END
chmod +x "$home/tools/bin/nvcc"

# Stubs: every function that cudarc may ask a library for, under the name that the library has where the program runs.
stubs=$home/stubs
version=$(sed -n '/^name = "cudarc"/{n;s/.*"\(.*\)"/\1/p}' Cargo.lock)
cargo fetch --locked --quiet
cudarc=$(echo "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-"$version"/src)
mkdir -p "$stubs"
library() { gcc -shared -fPIC -nostdlib -fno-builtin -w -x c - -o "$stubs/lib$1.so" "-Wl,-soname,$2"; }
stub() {
  grep -oh 'load::<_F>("[A-Za-z0-9_]*")' "$cudarc/$3/sys/mod.rs" | sed 's/.*("\(.*\)").*/void \1(void) {}/' | sort -u |
    library "$1" "$2"
}
stub cuda libcuda.so.1 driver
stub nvrtc libnvrtc.so.13 nvrtc
stub curand libcurand.so.10 curand
stub cublas libcublas.so.13 cublas
stub cublasLt libcublasLt.so.13 cublaslt
library cudart libcudart.so.13 </dev/null

export CUDA_HOME=$cuda CUDA_PATH=$cuda CUDA_ROOT=$cuda NVCC=$home/tools/bin/nvcc PATH="$home/tools/bin:$PATH" LIBRARY_PATH=$stubs
cargo build --locked -p cli --features cuda
tests=(--test precision --test parity --test resume --test last_n)
cargo test --no-run --locked -p looped-train --features looped-core/cuda "${tests[@]}" \
  --message-format=json >"$home/tests.json"

# One archive, so that what the programs have in common, candle's kernels, is packed once.
rm -rf "$out"
mkdir -p "$out/programs"
cp "$CARGO_TARGET_DIR/debug/looped" "$out/programs/"
python3 - "$home/tests.json" "$out/programs" <<'END'
import json, pathlib, shutil, sys
for line in open(sys.argv[1]):
    message = json.loads(line)
    if message.get("executable") and message["target"]["kind"] == ["test"]:
        shutil.copy(message["executable"], pathlib.Path(sys.argv[2]) / ("test-" + message["target"]["name"]))
END
for program in ${GPU_PROGRAMS:-}; do
  cp "$program" "$out/programs/"
done
strip "$out"/programs/*
# Where the tests look for their fixtures.
echo "$root" >"$out/programs/source"
tar -C "$out/programs" -cf - . | xz -T0 -6 >"$out/programs.tar.xz"
ls -l "$out/programs" "$out/programs.tar.xz"
rm -r "$out/programs"
