#!/usr/bin/env bash
# Is the CUDA engine right on this card? Its tests, the CPU's losses, equal bits from equal runs, compute-sanitizer.
#
#   scripts/gpu/engine.sh PROGRAMS LOGS          PROGRAMS: the folder that scripts/gpu/pack.sh filled, perhaps elsewhere
#
# ONLY="inner_cells trainer" runs these parts alone. Each part has its own time limit; of one that fails, the end of its log is printed, and the others go on. SLOWER=20 gives each so many
# times its limit, for a try on a fake driver: LD_LIBRARY_PATH=FAKE SLOWER=20 SKIP_SANITIZER=1 CASES=2 scripts/gpu/engine.sh ...
set -uo pipefail
usage="usage: scripts/gpu/engine.sh PROGRAMS LOGS"
programs=$(realpath "${1:?$usage}") logs=$(realpath -m "${2:?$usage}")
own=$programs
cd "$(dirname "$0")/../.."
. scripts/gpu/ready.sh
programs=$own
mkdir -p "$logs"
work=$(mktemp -d)
export LOOPED_KERNELS="$work/kernels" libraries programs work
export -f with_cuda

part() { # NAME SECONDS COMMAND...
  [[ -z "${ONLY:-}" || " $ONLY " = *" $1 "* ]] || return
  local name=$1 limit=$(($2 * ${SLOWER:-1})) log="$logs/$1.log" begun=$SECONDS
  shift 2
  timeout "$limit" bash -c '"$@"' _ "$@" >"$log" 2>&1
  local rc=$?
  printf '%-22s %-10s %4d s  %s\n' "$name" "$([ $rc = 0 ] && echo ok || echo "FAILED $rc")" $((SECONDS - begun)) \
    "$(grep -E '^(test result|told:|========= ERROR SUMMARY)' "$log" | tail -1)"
  [ $rc -eq 0 ] || tail -n 20 "$log" | cut -c1-300
}

short() { # RUN DEVICE [KEY=VALUE...]
  with_cuda "$programs/looped" run experiments/quickstart_adam.toml training.train_steps="${STEPS:-40}" training.log_every_steps=1 \
    training.save_every_steps=20 evaluation.prompts=64 "${@:3}" --device "$2" --out "$work/$1"
}

equal_bits() {
  short one cuda:0 && short two cuda:0 || return
  (cd "$work/one/checkpoints" && sha256sum last/*.safetensors) >"$work/sums"
  (cd "$work/two/checkpoints" && sha256sum -c "$work/sums") && echo "told: two runs of 40 steps, equal to the bit"
}

apart() { # RUN RUN ALLOWED
  python3 - "$work/$1" "$work/$2" "$3" <<'END'
import json, sys
losses = [[json.loads(line)["loss"] for line in open(f"{run}/metrics.jsonl")] for run in sys.argv[1:3]]
assert len(losses[0]) == len(losses[1]) == 40, [len(of) for of in losses]
worst = max(abs(a / b - 1) for a, b in zip(*losses))
print(f"told: losses of 40 steps are at most {worst:.1e} apart")
sys.exit(not worst <= float(sys.argv[3]))
END
}

cpu() { short cpu cpu && apart one cpu 1e-3; }
tf32() { short tf32 cuda:0 training.precision=tf32 && apart one tf32 5e-2; }
bf16() { short bf16 cuda:0 training.precision=bf16 && apart one bf16 2e-1; }

resumed() {
  STEPS=20 short three cuda:0 && with_cuda "$programs/looped" resume "$work/three" training.train_steps=40 --device cuda:0 || return
  (cd "$work/three/checkpoints" && sha256sum -c "$work/sums") && echo "told: 20 steps, resumed for 20 more: equal to the bit"
}

messages() {
  with_cuda "$programs/looped" run experiments/quickstart_adam.toml --device cuda:99 --out "$work/none" 2>"$work/message"
  [ $? -ne 0 ] && grep -q 'there is no cuda:99' "$work/message" && echo "told: $(tail -1 "$work/message")"
}

sanitized() { # TOOL TEST
  with_cuda compute-sanitizer --tool "$1" --error-exitcode 9 --kernel-name-exclude kernel_substring=cutlass \
    "$programs/agreement" --exact "$2" --ignored --test-threads 1
}
export -f short equal_bits apart cpu tf32 bf16 resumed messages sanitized

source=$(cat "$programs/source")
if [ ! -e "$source" ]; then
  mkdir -p "$(dirname "$source")"
  ln -s "$PWD" "$source"
fi

sanitize() {
  part memcheck 120 sanitized memcheck inner_losses
  part racecheck 120 sanitized racecheck inner_losses
  part memcheck_custom 120 sanitized memcheck custom::inner_custom
  part racecheck_cells 120 sanitized racecheck cells::inner_cells
}
if [ -n "${ONLY_SANITIZER:-}" ]; then
  sanitize
  exit
fi

python3 scripts/gpu/card.py
for test in inner_ordinary inner_edges_of_the_window inner_edges_of_tokens inner_losses inner_precisions inner_states inner_steps_without_rows inner_by_loop \
  cells::inner_cells cells::inner_rounding custom::inner_custom ways::inner_ways ways::inner_ways_in_bf16; do
  part "${test##*:}" 60 with_cuda "$programs/agreement" --exact $test --ignored
done
part parity 60 with_cuda "$programs/parity" --exact inner_on_a_gpu --ignored
part random_models 90 env PROPTEST_CASES="${CASES:-12}" bash -c 'with_cuda "$programs/agreement" --exact inner_random_models --ignored'
part random_graphs 90 env PROPTEST_CASES="${CASES:-60}" bash -c 'with_cuda "$programs/agreement" --exact inner_random_graphs --ignored'
part trainer 60 with_cuda "$programs/on_gpu" --ignored
part equal_bits 60 equal_bits
part cpu 30 cpu
part tf32 30 tf32
part bf16 30 bf16
part resumed 30 resumed
part messages 20 messages
[ -n "${SKIP_SANITIZER:-}" ] || sanitize
