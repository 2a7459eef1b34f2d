#!/usr/bin/env bash
# Scores what scripts/gpu/study.sh trained, on the CPU, and compares: an evaluation of each run, and a report.
#
#   scripts/gpu/score.sh TRAINED OUT              TRAINED/all_42, TRAINED/75_43, ...: kept tokens and seed
set -euo pipefail
usage="usage: scripts/gpu/score.sh TRAINED OUT"
trained=$(realpath "${1:?$usage}") out=$(realpath -m "${2:?$usage}")
cd "$(dirname "$0")/../.."
looped=${LOOPED:-${CARGO_TARGET_DIR:-target}/debug/looped}
for run in "$trained"/*_*/; do
  run=$(basename "$run")
  kept=${run%_*}
  settings=("name=\"last $kept\"" "model.injector={type=\"last_n\",n=$kept}")
  [ "$kept" != all ] || settings=("name=\"all tokens\"")
  "$looped" import --quiet "$trained/$run/model.safetensors" experiments/study/base.toml seed="${run#*_}" "${settings[@]}" --out "$out/runs/$run"
  "$looped" eval --quiet "$out/runs/$run" --prompts 640 --save full
done
"$looped" compare --quiet "$out"/runs/* --eval full --against "all tokens" --examples 3,5,10,15,20,30,40 --out "$out/compared"
