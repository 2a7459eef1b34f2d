#!/usr/bin/env bash
# Runs one of the programs that build.sh made, on a GPU's machine: scripts/gpu/with_cuda.sh looped run ...
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/gpu/ready.sh
with_cuda "$programs/$1" "${@:2}"
