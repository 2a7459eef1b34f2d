#!/usr/bin/env bash
# Right, fast, where: all of it in one command, on a machine with a GPU, within about 9 minutes.
#
#   scripts/gpu/all.sh PROGRAMS OUT              PROGRAMS: what scripts/gpu/pack.sh made, the folder or its archive
#
# OUT gets eight files: right.txt, steps.txt (our step by operation, against the card's rates), auto.txt, fast.txt, fast.json,
# where.txt, where.json, and logs.tar.xz. The most important comes first. What doesn't fit into the time is left out, and said.
#
#   MINUTES=14                                   the most minutes that anything is begun in (8)
#   PARTS="roofs steps"                          only these of: roofs steps right auto ours fast sanitizer
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
logs=$(mktemp -d)
most=$((${MINUTES:-8} * 60))
sizes=() tiny=() device=cuda
if [ -n "${FAKE:-}" ]; then
  sizes=(--width 16 --heads 2 --points 5 --batch 4 --loops 3 --window 2 --dims 3) tiny=(--tiny) device=cpu
fi

left() { echo $((most - SECONDS)); }

part() { # NAME SECONDS COMMAND...: if it is asked for and so many are left
  [[ " ${PARTS:-roofs steps right auto ours fast sanitizer} " = *" $3 "* ]] || return
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
  for math in bf16 tf32 f32; do
    with_cuda "$programs/cuda_step" --math $math --roof "$(rate copy),$(rate $math)" ${sizes[@]+"${sizes[@]}"}
  done 2>&1 | tee "$out/steps.txt"
  for block in lstm ssm; do
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
  LOOPED=$own python3 scripts/gpu/fast.py --out "$logs/fast" --device $device ${tiny[@]+"${tiny[@]}"} "$@" 2>&1 | tee -a "$out/fast.txt"
  cp "$logs/fast/fast.json" "$out/"
}
ours() { timed --phases ""; }
fast() { timed --few --phases "${PHASES:-0}" --warm-up 120 --seconds "$(left)"; }
sanitizer() {
  ONLY_SANITIZER=1 scripts/gpu/engine.sh "$programs" "$logs" 2>&1 | tee -a "$out/right.txt"
}

part "the card's rates" 30 roofs
part "our step by operation" 30 steps
part "is it right?" 60 right
part "what auto takes" 20 auto
part "looped run, all settings" 60 ours
part "beside PyTorch" 90 fast
part "compute-sanitizer" 60 sanitizer
tar -C "$logs" -cf - . | xz -T0 >"$out/logs.tar.xz"
ls -l "$out"
