#!/usr/bin/env bash
# Draws committed results again, from what is committed of their runs, with the `looped` of this checkout:
#
#   scripts/redraw.sh                                        all that have runs/*/config.toml
#   scripts/redraw.sh experiments/study/results/b_blocks     these
#
# Each folder keeps report.md, comparison.json and plots/*.svg. A run there has its config.toml, its eval.json and, where they
# were kept, scores.safetensors and metrics.jsonl.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --quiet -p cli
looped=$(realpath "${CARGO_TARGET_DIR:-target}/debug/looped")
[ $# -gt 0 ] || set -- $(ls -d experiments/*/results/*/runs/*/config.toml | sed 's|/runs/.*||' | sort -u)

# A folder's runs, their variants in the order of its comparison.json: the first is what the others are compared with.
runs_in_order() {
  python3 - "$1" <<'PYTHON'
import json, pathlib, sys, tomllib
folder = pathlib.Path(sys.argv[1])
order = [variant["name"] for variant in json.loads((folder / "comparison.json").read_text())["variants"]]
runs = sorted((folder / "runs").iterdir())
name = {run: tomllib.loads((run / "config.toml").read_text())["name"] for run in runs}
for run in sorted(runs, key=lambda run: order.index(name[run])):
    print(run.relative_to(folder))
PYTHON
}

for folder in "$@"; do
  mapfile -t runs < <(runs_in_order "$folder")
  place=$(mktemp -d)
  cp -r "$folder/runs" "$place/runs"
  # From its own folder, so that the report names the runs as a reader of the folder finds them.
  (cd "$place" && "$looped" --quiet compare "${runs[@]}" --out report >/dev/null)
  rm -rf "$folder/plots" "$folder/report.html"
  mkdir "$folder/plots"
  cp "$place"/report/plots/*.svg "$folder/plots/"
  cp "$place/report/comparison.json" "$folder/"
  # Markdown shows SVG as well; one copy of a figure is enough.
  sed 's|\(plots/[a-z_0-9]*\)\.png|\1.svg|' "$place/report/report.md" >"$folder/report.md"
  rm -rf "$place"
  echo "$folder"
done
