#!/usr/bin/env bash
# Checks every file in experiments/, a sweep's with all its runs, and takes a few real steps of each experiment at a cut size.
#
#   scripts/try-experiments.sh
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --locked -p cli
looped=${CARGO_TARGET_DIR:-target}/debug/looped
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

# The whole model and schedule, with fewer prompts, points and loops, so that a step takes a moment.
cut=(training.train_steps=3 training.batch_size=4 evaluation.prompts=8 model.n_embd=32
  training.curriculum.points='{ start = 5, end = 7, inc = 2, interval = 1 }')
dims="training.curriculum.dims={ start = 2, end = 3, inc = 1, interval = 1 }"

for file in $(git ls-files 'experiments/*.toml'); do
  "$looped" check "$file" > "$out/config.toml"
  if grep -q '^base *=' "$file"; then # a sweep
    printf '%-44s %s\n' "$file" "$(grep '^# runs' "$out/config.toml")"
    continue
  fi
  # A token has no dimensions.
  if grep -q vocabulary "$file"; then own=(); else own=("$dims"); fi
  # Nor is there time for a long warm-up.
  if grep -q 'warmup = ' "$out/config.toml"; then own+=(training.schedule.warmup=1); fi
  "$looped" run "$file" "${cut[@]}" "${own[@]}" --out "$out/run" > "$out/table.txt" 2> "$out/log.txt" || { cat "$out/log.txt"; exit 1; }
  printf '%-44s %s\n' "$file" "$(grep '^# parameters' "$out/config.toml")"
  rm -rf "$out/run"
done
