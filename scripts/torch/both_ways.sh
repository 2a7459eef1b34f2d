#!/usr/bin/env bash
# Weights to PyTorch and back: trains tiny models, loads `model.safetensors` strictly by name into a PyTorch model, and
# compares predictions; then saves PyTorch models as published `.pt` files, imports them, and compares again.
#
#   scripts/torch/both_ways.sh PYTHON           a Python with scripts/torch/requirements.txt
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${1:?usage: scripts/torch/both_ways.sh PYTHON}
looped=${LOOPED:-${CARGO_TARGET_DIR:-target}/debug/looped}
if [ -z "${LOOPED:-}" ]; then cargo build --quiet --locked -p cli; fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

tiny=(training.train_steps=60 training.batch_size=16 training.curriculum.loops='{ start = 4, end = 8, inc = 1, interval = 10 }'
  evaluation.prompts=8 model.n_embd=32)

quiet() { "$@" > "$out/log.txt" 2>&1 || { cat "$out/log.txt"; exit 1; }; }

there_and_back() { # NAME FORM KEY=VALUE...
  local name=$1 form=$2 run=$out/$1
  shift 2
  quiet "$looped" run experiments/quickstart_adam.toml "${tiny[@]}" "$@" --out "$run"
  "$python" scripts/torch/check_import.py prompts "$run/config.toml" "$run/prompts.safetensors"
  quiet "$looped" predict "$run" --data "$run/prompts.safetensors" --loops 8 --out "$run/preds.safetensors"
  printf '%-12s to PyTorch:              ' "$name"
  "$python" scripts/torch/check_export.py "$run" "$run/prompts.safetensors" "$run/preds.safetensors"

  "$python" scripts/torch/check_import.py write "$run/config.toml" "$run/prompts.safetensors" "$form" "$run/$form.pt" "$run/expected.safetensors"
  quiet "$looped" import "$run/$form.pt" "$run/config.toml" --out "$run/back"
  quiet "$looped" predict "$run/back" --data "$run/prompts.safetensors" --loops 8 --out "$run/back.safetensors"
  printf '%-12s back, %-20s ' "$name" "$form.pt:"
  "$python" scripts/torch/check_import.py compare "$run/expected.safetensors" "$run/back.safetensors"
}

there_and_back transformer model
there_and_back lstm model_state_dict 'model.block={ type = "lstm" }'
there_and_back ssm bare 'model.block={ type = "ssm" }'
there_and_back two_blocks compiled model.n_layer=2
there_and_back last_n bare 'model.injector={ type = "last_n", n = 5 }'
there_and_back mixed model 'model.block={ type = "sequential", blocks = [{ type = "lstm" }, { type = "transformer", n_head = 2 }] }'
