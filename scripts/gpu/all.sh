#!/usr/bin/env bash
# Right, fast, where: all of it in one command, on a machine with a GPU, within about 10 minutes.
#
#   scripts/gpu/all.sh PROGRAMS OUT              PROGRAMS: what scripts/gpu/pack.sh made, the folder or its archive
#
# OUT gets nine files: right.txt, steps.txt (our step by operation, against the card's rates), auto.txt, threads.txt, fast.txt, fast.json,
# where.txt, where.json, and logs.tar.xz. The most important comes first. What doesn't fit into the time is left out, and said.
#
#   MINUTES=14                                   the most minutes that anything is begun in (8)
#   PARTS="roofs steps"                          only these of: roofs steps right auto ours threads fast sanitizer
#   MATHS="bf16" BLOCKS="lstm"                   of the steps only these
#   ONLY="inner_cells trainer"                   of what is checked only these parts of engine.sh
#   ONLY_SETTINGS="ssm|lstm"                     of what is timed only settings with this in their name
#   PHASES=2                                     which groups of settings of PyTorch's (0)
#   FAKE=1                                       toy sizes, to try it on a fake driver
set -uo pipefail
usage="usage: scripts/gpu/all.sh PROGRAMS OUT"
given=$(realpath "${1:?$usage}") out=$(realpath -m "${2:?$usage}")
cd "$(dirname "$0")/../.."
mkdir -p "$out"
. scripts/gpu/ready.sh
programs=$given
if [ -f "$given" ]; then
  programs=$(mktemp -d)
  tar -C "$programs" -xJf "$given"
fi
logs=$(mktemp -d) runs=$(mktemp -d)
most=$((${MINUTES:-8} * 60))
sizes=() tiny=() device=cuda
if [ -n "${FAKE:-}" ]; then
  sizes=(--width 16 --heads 2 --points 5 --batch 4 --loops 3 --window 2 --dims 3) tiny=(--tiny) device=cpu
fi

left() { echo $((most - SECONDS)); }

part() { # NAME SECONDS COMMAND...: if it is asked for and so many are left
  [[ " ${PARTS:-roofs steps right auto ours threads fast sanitizer} " = *" $3 "* ]] || return
  if [ "$(left)" -lt "$2" ]; then
    echo "== $1: left out, $(left) s left"
    return
  fi
  local begun=$SECONDS
  echo "== $1"
  "${@:3}"
  echo "== $1: $((SECONDS - begun)) s"
}

rate() { # FIELD: of what where.py found
  python3 -c 'import json, sys
found = json.load(open(sys.argv[1]))["ceilings"]
print(round(found["copy_tb_s"] if sys.argv[2] == "copy" else found["product_tflops"][sys.argv[2]], 2))' "$out/where.json" "$1"
}

right() { SKIP_SANITIZER=1 scripts/gpu/engine.sh "$programs" "$logs" 2>&1 | tee "$out/right.txt"; }
roofs() { python3 scripts/gpu/where.py --out "$out" --device $device --parts ceilings,products ${tiny[@]+"${tiny[@]}"} 2>&1 | tee "$out/where.txt"; }
steps() {
  for math in ${MATHS:-bf16 tf32 f32}; do
    local roof=()
    [ -e "$out/where.json" ] && roof=(--roof "$(rate copy),$(rate $math)")
    with_cuda "$programs/cuda_step" --math $math ${roof[@]+"${roof[@]}"} ${sizes[@]+"${sizes[@]}"}
  done 2>&1 | tee "$out/steps.txt"
  for block in ${BLOCKS:-lstm ssm}; do
    with_cuda "$programs/cuda_step" --math f32 --block $block ${sizes[@]+"${sizes[@]}"} 2>&1 | tee -a "$out/steps.txt"
  done
}
auto() { # what `--device auto` takes
  for experiment in quickstart_adam quickstart study/base; do
    echo "$experiment: $(with_cuda "$programs/looped" check experiments/$experiment.toml 2>&1 | grep -m 1 '# engine:')"
  done | tee "$out/auto.txt"
}
timed() { # ARGUMENTS...: of fast.py
  local own="env LD_LIBRARY_PATH=$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} $programs/looped"
  LOOPED=$own python3 scripts/gpu/fast.py --out "$runs" --device $device ${tiny[@]+"${tiny[@]}"} "$@" 2>&1 | tee -a "$out/fast.txt"
  cp "$runs/fast.json" "$out/"
  cp "$runs"/*.log "$logs/" 2>/dev/null
}
ours() { timed --phases "" ${ONLY_SETTINGS:+--only "$ONLY_SETTINGS"}; }
threads() { # a small step on this machine's CPU, by threads
  for threads in 1 2 4 8 16; do
    with_cuda "$programs/looped" run experiments/quickstart_adam.toml training.train_steps=400 training.log_every_steps=40 \
      training.curriculum.loops.start=8 training.curriculum.dims.start=5 training.threads=$threads evaluation.prompts=2 \
      training.validate_every_steps=1000000 training.save_every_steps=1000000 --device cpu --out "$runs/threads_$threads" >/dev/null 2>&1
    python3 - "$runs/threads_$threads/metrics.jsonl" $threads <<'END'
import json, statistics, sys
times = [1e3 / json.loads(line)["steps_per_second"] for line in open(sys.argv[1])][2:]
print(f"quickstart_adam on {sys.argv[2]} threads: {statistics.median(times):.3f} ms a step ({min(times):.3f} to {max(times):.3f})")
END
  done | tee "$out/threads.txt"
}
fast() { timed --few --phases "${PHASES:-0}" ${ONLY_SETTINGS:+--only "$ONLY_SETTINGS"} --warm-up 120 --seconds "$(left)"; }
sanitizer() {
  ONLY_SANITIZER=1 scripts/gpu/engine.sh "$programs" "$logs" 2>&1 | tee -a "$out/right.txt"
}

part "the card's rates" 30 roofs
part "our step by operation" 30 steps
part "is it right?" 60 right
part "what auto takes" 20 auto
part "looped run, all settings" 60 ours
part "a small step on the CPU" 20 threads
part "beside PyTorch" 60 fast
part "compute-sanitizer" 60 sanitizer
tar -C "$logs" -cf - . | xz -T0 >"$out/logs.tar.xz"
ls -l "$out"
