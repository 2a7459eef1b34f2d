#!/usr/bin/env bash
# Builds, tests and runs examples/plugin: a crate outside the workspace, as one of yours would be.
#
#   scripts/try-plugin.sh
#
# A target directory that the workspace has built in already (CARGO_TARGET_DIR=target) saves the dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/plugin}
CARGO_TARGET_DIR=$(realpath -m "$CARGO_TARGET_DIR")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
cd examples/plugin

cargo fmt --check
cargo clippy --quiet --all-targets -- -D warnings
cargo test --quiet

looped=$CARGO_TARGET_DIR/debug/my-looped
"$looped" list
"$looped" check experiments/gru.toml > "$out/config.toml"
for sweep in experiments/gru_rates.toml experiments/gru_seeds.toml; do "$looped" check "$sweep" | grep '^# runs'; done
"$looped" run experiments/gru.toml --out "$out/run"
"$looped" eval "$out/run" --prompts 64
