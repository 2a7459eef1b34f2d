#!/usr/bin/env bash
# A dependency of `looped` has the same features whether the program or the whole workspace with its tests is built: with other
# features it, and all that stands on it, would be built twice.
set -euo pipefail
cd "$(dirname "$0")/.."
features() { cargo tree --locked --prefix none --no-dedupe --format '{p} {f}' "$@" | sort -u; }
twice=$(comm -23 <(features -p cli -e normal,build) <(features --workspace -e normal,build,dev))
if [ -n "$twice" ]; then
  echo "the tests ask for other features of these; name the features under [dependencies] of crates/cli too:"
  echo "$twice"
  exit 1
fi >&2
