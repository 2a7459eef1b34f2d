#!/usr/bin/env bash
# Writes a crate of each kind with `looped new`, tests it, and runs its experiment, cut short, with its own binary.
#
#   scripts/try-new.sh
#
# A target directory that the workspace has built in already (CARGO_TARGET_DIR=target) saves the dependencies.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}
CARGO_TARGET_DIR=$(realpath -m "$CARGO_TARGET_DIR")
home=$PWD
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

cargo build --quiet --locked -p cli
for kind in block injector task baseline; do
  name=tried_$kind
  "$CARGO_TARGET_DIR/debug/looped" new "$kind" "$name" --out "$out/$name" > "$out/log.txt" 2>&1 || { cat "$out/log.txt"; exit 1; }
  cd "$out/$name"
  cargo clippy --quiet --all-targets -- -D warnings
  cargo test --quiet > "$out/log.txt" 2>&1 || { cat "$out/log.txt"; exit 1; }
  # Every version is one of looped's own lock.
  versions() { awk '/^name = / { name = $3 } /^version = / { print name, $3 }' "$1" | sort; }
  drifted=$(comm -23 <(versions Cargo.lock | grep -v "^\"$name\" ") <(versions "$home/Cargo.lock"))
  [ -z "$drifted" ] || { echo "versions that looped doesn't use: $drifted"; exit 1; }
  looped=$CARGO_TARGET_DIR/debug/$name
  "$looped" list "${kind}s" > "$out/list.txt"
  grep -q "^  $name  *[^ ]" "$out/list.txt" || { echo "$name isn't listed"; exit 1; }
  "$looped" schema > "$out/schema.json"
  grep -q "\"$name\"" "$out/schema.json" || { echo "$name isn't in the schema"; exit 1; }
  # A few of its steps show that it trains.
  "$looped" run "experiments/$name.toml" training.train_steps=100 --out "$out/run" > "$out/log.txt" 2>&1 || { cat "$out/log.txt"; exit 1; }
  printf '%s: tested and run (%ss so far)\n' "$name" "$SECONDS"
  rm -r "$out/run"
  cd - > /dev/null
done
