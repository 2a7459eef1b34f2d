#!/usr/bin/env bash
# Is it right? Our tests on cuda:0, equal bits from equal runs, and the CPU's losses. About 2 minutes on an H100.
#
#   scripts/gpu/right.sh FOLDER                  for the logs; after scripts/gpu/build.sh, perhaps on another machine
#
# Each part has its own time limit; a part that fails is printed with the end of its log, and the others go on.
set -uo pipefail
cd "$(dirname "$0")/../.."
logs=${1:?usage: scripts/gpu/right.sh FOLDER}
mkdir -p "$logs"
. scripts/gpu/ready.sh
work=$(mktemp -d)
table=()

# part NAME SECONDS COMMAND...
part() {
  local name=$1 limit=$2 log="$logs/$1.log" begun=$SECONDS
  shift 2
  timeout "$limit" bash -c '"$@"' _ "$@" >"$log" 2>&1
  local rc=$? word
  case $rc in
    0) word=ok ;;
    124) word="TIMED OUT" ;;
    *) word="FAILED ($rc)" ;;
  esac
  table+=("$(printf '%-34s %-12s %4d s  %s' "$name" "$word" $((SECONDS - begun)) "$(grep -E '^(test result|told:)' "$log" | tail -1)")")
  [ $rc -eq 0 ] || tail -n 25 "$log" | cut -c1-300
}
export -f with_cuda
export libraries programs work

on_device() { LOOPED_TEST_DEVICE=cuda:0 with_cuda "$programs/test-$1" "${@:2}"; }

quickstart() { # FOLDER DEVICE [KEY=VALUE...]
  with_cuda "$programs/looped" run experiments/quickstart_adam.toml training.train_steps=20 training.log_every_steps=1 \
    training.save_every_steps=10 evaluation.prompts=64 "${@:3}" --device "$2" --out "$work/$1"
}

equal_bits() {
  quickstart one cuda:0 && quickstart two cuda:0 || return
  (cd "$work/one/checkpoints" && sha256sum last/*.safetensors) | tee "$work/sums"
  (cd "$work/two/checkpoints" && sha256sum -c "$work/sums") && echo "told: two runs of 20 steps, equal to the bit"
}

as_on_the_cpu() {
  quickstart cpu cpu || return
  [ -d "$work/one" ] || quickstart one cuda:0 || return
  python3 - "$work/one" "$work/cpu" <<'END'
import json, sys
losses = [[json.loads(line)["loss"] for line in open(f"{run}/metrics.jsonl")] for run in sys.argv[1:]]
assert len(losses[0]) == len(losses[1]) == 20, [len(of) for of in losses]
worst = max(abs(gpu / cpu - 1) for gpu, cpu in zip(*losses))
print(f"told: losses of 20 steps differ from the CPU's by {worst:.1e} at most")
sys.exit(worst > 1e-3)
END
}

tf32() {
  quickstart tf32 cuda:0 'training.precision="tf32"' || return
  python3 - "$work/one" "$work/tf32" <<'END'
import json, sys
losses = [[json.loads(line)["loss"] for line in open(f"{run}/metrics.jsonl")] for run in sys.argv[1:]]
worst = max(abs(a / b - 1) for a, b in zip(*losses))
print(f"told: losses of 20 steps in tf32 differ from f32's by {worst:.1e} at most")
sys.exit(not 0 < worst < 5e-2)
END
}

messages() {
  with_cuda "$programs/looped" run experiments/quickstart_adam.toml --device cuda:99 --out "$work/none" 2>"$work/message"
  [ $? -eq 2 ] && grep -q 'there is no cuda:99; this machine has' "$work/message" && echo "told: $(cat "$work/message")"
}

sanitized() {
  LOOPED_TEST_DEVICE=cuda:0 with_cuda compute-sanitizer --tool memcheck --error-exitcode 9 \
    "$programs/test-parity" --exact predictions_after_every_loop --test-threads 1 && echo "told: memcheck found nothing"
}
export -f on_device quickstart equal_bits as_on_the_cpu tf32 messages sanitized

python3 scripts/gpu/card.py
part parity 90 on_device parity
part equal_bits 60 equal_bits
part as_on_the_cpu 60 as_on_the_cpu
part tf32 30 tf32
part messages 20 messages
part precision 30 on_device precision
part last_n 60 on_device last_n
part resume 90 on_device resume
[ -n "${SKIP_SANITIZER:-}" ] || part sanitized 90 sanitized
printf '%s\n' "${table[@]}"
