#!/usr/bin/env bash
# A part built against another copy of looped-core than its program: cargo refuses to build it, and names both copies.
#
#   scripts/try-two-copies.sh
#
# Two copies would be two registers of parts, and the part would be missing without a word. `links` in looped-core's
# Cargo.toml makes it one of a kind; nothing is compiled here.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir "$out/other" "$out/user" "$out/user/src"
cp -r Cargo.toml Cargo.lock crates "$out/other"

cat > "$out/user/Cargo.toml" <<TOML
[package]
name = "user"
version = "0.1.0"
edition = "2024"

[dependencies]
cli = { path = "$PWD/crates/cli" }
looped-core = { path = "$out/other/crates/core" }

[workspace]
TOML
echo 'fn main() {}' > "$out/user/src/main.rs"
cp Cargo.lock "$out/user"

if cargo metadata --format-version 1 --manifest-path "$out/user/Cargo.toml" > /dev/null 2> "$out/told.txt"; then
  echo "cargo takes two copies of looped-core"
  exit 1
fi
grep -q 'only one package uses the `links = "looped-core"` value' "$out/told.txt" || { cat "$out/told.txt"; exit 1; }
grep -q "$out/other/crates/core" "$out/told.txt" || { cat "$out/told.txt"; exit 1; }
echo "refused: $(grep -m1 'conflicts with a previous package' "$out/told.txt")"
