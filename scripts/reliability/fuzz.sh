#!/usr/bin/env bash
# Everything that the program reads, with 100,000 made-up or damaged inputs for each property: never a panic, and for
# weights never more memory than a small multiple of the file. The same tests run with fewer cases in `cargo test`.
#
#   scripts/reliability/fuzz.sh [CASES]
set -euo pipefail
cd "$(dirname "$0")/../.."
export PROPTEST_CASES=${1:-100000}
campaign() {
  local begun=$SECONDS
  printf '\n== %s cases a property: cargo test %s\n' "$PROPTEST_CASES" "$*"
  cargo test --quiet --locked "$@"
  printf '== %s s\n' "$((SECONDS - begun))"
}

campaign -p looped-weights --test hostile        # .pt and safetensors of weights
campaign -p looped-config never_panics           # experiment files, overrides
campaign -p cli --lib never_panics               # sweep files; eval.json, metrics and prompts as commands read them
campaign -p looped-tasks --lib never_panics      # prompt files of the dataset task
