#!/usr/bin/env bash
# The study's question (a) at full size, one seed, on the kernels of crates/gpu (`study_on_gpu`, a bench): how many tokens must
# keep their state? About 100 s a run on an H100.
#
#   scripts/gpu/study.sh PROGRAM FOLDER [SECONDS_A_RUN] [WAY]
#
# Each run leaves FOLDER/NAME/{metrics.jsonl,model.safetensors,study_on_gpu.json}. To score one:
#   looped import FOLDER/all/model.safetensors experiments/study/base.toml --out runs/all && looped eval runs/all
set -uo pipefail
cd "$(dirname "$0")/../.."
usage="usage: scripts/gpu/study.sh PROGRAM FOLDER [SECONDS_A_RUN] [WAY]"
program=${1:?$usage} out=${2:?$usage} seconds=${3:-110} way=${4:-bf16}
. scripts/gpu/ready.sh
for kept in ${KEPT:-all 75 55 20}; do
  settings=()
  [ "$kept" = all ] || settings=("model.injector={type=\"last_n\",n=$kept}")
  with_cuda timeout $((seconds + 25)) "$program" experiments/study/base.toml "${settings[@]}" \
    --way "$way" --seconds "$seconds" --out "$out/$kept" >"$out.$kept.log" 2>&1
  echo "last $kept of the tokens: $(tail -1 "$out.$kept.log")"
done
