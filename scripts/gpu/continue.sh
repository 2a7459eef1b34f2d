#!/usr/bin/env bash
# Question (a) from one trained model: each of the models that scripts/gpu/study.sh trained with all tokens is trained further,
# once with all tokens and once each where only the last 75, 66, 55 and 20 of 82 keep their state. The five share start,
# prompts and learning rate: constant for half of the steps, then falling linearly to 0. A seed's five run side by side.
#
#   scripts/gpu/continue.sh PROGRAM TRAINED OUT [STEPS]      TRAINED/all_42/model.safetensors, ...; SEEDS names others than 42 to 46
#
# Each run leaves OUT/RUN/{metrics.jsonl,model.safetensors,study_on_gpu.json}, for scripts/gpu/score.sh.
set -uo pipefail
usage="usage: scripts/gpu/continue.sh PROGRAM TRAINED OUT [STEPS]"
program=$(realpath "${1:?$usage}") trained=$(realpath "${2:?$usage}") out=$(realpath -m "${3:?$usage}") steps=${4:-6000}
cd "$(dirname "$0")/../.."
. scripts/gpu/ready.sh
mkdir -p "$out"
for seed in ${SEEDS:-42 43 44 45 46}; do
  runs=()
  for kept in ${KEPT:-all 75 66 55 20}; do
    [ ${#runs[@]} = 0 ] || runs+=(--and)
    # Of another seed, so that no prompt is one of the first training's.
    runs+=(experiments/study/base.toml "seed=$((1000 + seed))" "training.train_steps=$steps"
      "model.pretrained_path=\"$trained/all_$seed/model.safetensors\""
      'training.curriculum.points={start=41,end=41,inc=1,interval=1000}'
      'training.curriculum.loops={start=30,end=30,inc=1,interval=1000}')
    [ "$kept" = all ] || runs+=("model.injector={type=\"last_n\",n=$kept}")
    runs+=(--way bf16 --decay $((steps / 2)) --out "$out/${kept}_$seed")
  done
  with_cuda "$program" "${runs[@]}" >"$out/seed_$seed.log" 2>&1
  echo "seed $seed: $(tail -1 "$out/seed_$seed.log")"
done
