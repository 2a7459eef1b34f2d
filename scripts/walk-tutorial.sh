#!/usr/bin/env bash
# Runs every command of docs/tutorial.md, in order, as a reader would; about 4 minutes on two cores.
#
#   scripts/walk-tutorial.sh
set -euo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
target=${CARGO_TARGET_DIR:-$repository/target}

# The reader's folder: the experiments, the built program, and nothing else.
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cargo build --locked -p cli
ln -s "$repository/experiments" "$here/experiments"
mkdir "$here/target"
ln -s "$target/debug" "$here/target/debug"

# The `sh` blocks of the page as one script; the build is done.
{
  echo 'set -euxo pipefail'
  awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' docs/tutorial.md | grep -v '^cargo build'
} >"$here/commands.sh"
(cd "$here" && bash commands.sh)

for file in runs/all/report.html runs/two/report.html runs/sweep/report/report.html runs/all/evals/long.json my_block/src/lib.rs; do
  test -s "$here/$file" || { echo "the tutorial left no $file" >&2; exit 1; }
done
# What the page says of these files.
grep -q 'undecided\|better\|worse\|equal within' "$here/runs/sweep/report/report.html" || { echo "the report has no verdict" >&2; exit 1; }
