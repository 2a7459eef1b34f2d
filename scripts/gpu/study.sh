#!/usr/bin/env bash
# The study's question (a) at full size on the kernels of crates/gpu (`study_on_gpu`, a bench): how many tokens must keep their
# state? 63 s a run on an H200. A run's name is the tokens kept and the seed; RUNS names others.
#
#   scripts/gpu/study.sh PROGRAM FOLDER [SECONDS_A_RUN] [WAY]
#
# Each run leaves FOLDER/RUN/{metrics.jsonl,model.safetensors,study_on_gpu.json}, for scripts/gpu/score.sh.
set -uo pipefail
cd "$(dirname "$0")/../.."
usage="usage: scripts/gpu/study.sh PROGRAM FOLDER [SECONDS_A_RUN] [WAY]"
program=${1:?$usage} out=${2:?$usage} seconds=${3:-110} way=${4:-bf16}
. scripts/gpu/ready.sh
mkdir -p "$out"
for run in ${RUNS:-all_42 75_42 55_42 20_42 all_43 75_43 55_43}; do
  kept=${run%_*}
  settings=("seed=${run#*_}")
  [ "$kept" = all ] || settings+=("model.injector={type=\"last_n\",n=$kept}")
  with_cuda timeout $((seconds + 25)) "$program" experiments/study/base.toml "${settings[@]}" \
    --way "$way" --seconds "$seconds" --out "$out/$run" >"$out/$run.log" 2>&1
  echo "$run: $(tail -1 "$out/$run.log")"
done
