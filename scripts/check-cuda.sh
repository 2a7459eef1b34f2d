#!/usr/bin/env bash
# Type-checks the CUDA build without a GPU: nvcc comes from PyPI. About 9 minutes on 2 cores, most of it candle's kernels.
#
#   scripts/check-cuda.sh
#
# The compiler and the build live in target/cuda, so a second run is short.
set -euo pipefail
cd "$(dirname "$0")/.."

home=$PWD/target/cuda
venv=$home/venv
if [ ! -x "$venv/bin/python" ]; then
  python3 -m venv "$venv"
fi
"$venv/bin/pip" install --quiet --disable-pip-version-check \
  'nvidia-cuda-nvcc==13.0.*' 'nvidia-cuda-crt==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-cccl==13.0.*' \
  'nvidia-cuda-runtime==13.0.*' nvidia-curand

cuda=$(echo "$venv"/lib/python3*/site-packages/nvidia/cu13)
export CUDA_HOME=$cuda CUDA_PATH=$cuda CUDA_ROOT=$cuda CUDA_COMPUTE_CAP=80 PATH="$cuda/bin:$PATH"
CARGO_TARGET_DIR=$home/target cargo check --locked --package cli --features cuda
