#!/usr/bin/env bash
# Makes the run directories in this folder: each a run that was stopped after 10 of its 20 steps, and what its 20 steps led to.
#
#   make.sh PROGRAM     with the program whose runs later ones must be able to resume
#
# They were made by commit 5e415f2, which had an analytic form of each block for the engine `fused`, and another in candle for `candle`.
set -euo pipefail
program=$(realpath "$1")
cd "$(dirname "$0")"

experiment() { # NAME ENGINE BLOCK INJECTOR
  cat <<TOML
name = "$1"
seed = 5

[task]
type = "linear_regression"

[model]
n_dims = 3
n_positions = 6
n_embd = 8
n_layer = 1
block = $3
injector = $4

[training]
engine = "$2"
threads = 2
batch_size = 6
learning_rate = 1e-3
train_steps = 20
n_loop_window = 2
log_every_steps = 5
validate_every_steps = 5
save_every_steps = 10
keep_every_steps = 10

[training.curriculum]
dims = { start = 2, end = 3, inc = 1, interval = 8 }
points = { start = 4, end = 6, inc = 1, interval = 8 }
loops = { start = 3, end = 5, inc = 1, interval = 8 }

[evaluation]
prompts = 8
TOML
}

make() {
  local name=$1 work
  work=$(mktemp -d)
  experiment "$@" > "$work/$name.toml"
  (cd "$work" && "$program" run "$name.toml" --out run >/dev/null 2>&1)
  rm -rf "${name:?}"
  mkdir -p "$name/checkpoints"
  cp "$work/run/config.toml" "$name/"
  cp -r "$work/run/checkpoints/step_0000010" "$name/checkpoints/last"
  head -n 2 "$work/run/metrics.jsonl" > "$name/metrics.jsonl"
  cp "$work/run/checkpoints/last/model.safetensors" "$name/after_20_steps.safetensors"
  cp "$work/run/metrics.jsonl" "$name/after_20_steps.jsonl"
  rm -rf "$work"
}

transformer='{ type = "transformer", n_head = 2 }'
lstm='{ type = "lstm" }'
make transformer fused "$transformer" '{ type = "full" }'
make last_n candle "$transformer" '{ type = "last_n", n = 5 }'
make first_n fused "$transformer" '{ type = "first_n", n = 7, operation = "multiply" }'
make lstm fused "$lstm" '{ type = "last_n", n = 4 }'
make lstm_by_candle candle "$lstm" '{ type = "none" }'
make ssm fused '{ type = "ssm" }' '{ type = "full", operation = "multiply" }'
make sequential fused "{ type = \"sequential\", blocks = [$transformer, $lstm] }" '{ type = "none" }'
