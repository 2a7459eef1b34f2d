#!/usr/bin/env python3
"""How fast is a training step on a GPU? Ours and PyTorch's, in turn, in one call.

    LOOPED=looped python3 scripts/gpu/fast.py --out FOLDER                            on a machine with a GPU
    python3 scripts/gpu/fast.py --out /tmp/x --device cpu --tiny          a try of the script without a GPU

All processes of a setting are warmed up first (PyTorch compiles then). Then they are timed in turn, round by round, while
the others wait. Each table is printed as soon as it's there, the most important first; every number goes to FOLDER/fast.json.
PyTorch is timed by events on the GPU, `looped run` by its own clock, prompts and copies included; at D 256 before and after PyTorch.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from card import card

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

D256, D64 = "--width 256 --heads 8", "--width 64 --heads 4"
# Name, options, PyTorch's own options and forms, precisions. What is on one line is warmed up at the same time.
PHASES = [
    [("D 256", D256, "--forms eager,compile,graph", "bf16 tf32 f32")],
    [
        ("D 256, explicit attention", D256, "--forms graph --attention explicit", "bf16 tf32 f32"),
        ("D 64", D64, "--forms eager,graph", "bf16 tf32 f32"),
        ("D 256, last 20 of 82 tokens", f"{D256} --last-n 20", "--forms eager,graph --prefix-once", "bf16 tf32 f32"),
    ],
    [
        ("12 blocks, 1 loop, D 256", f"{D256} --layers 12 --loops 1 --injector none", "--forms eager,graph", "bf16 tf32"),
        ("D 256, LSTM", f"{D256} --block lstm", "--forms eager,graph", "bf16 tf32 f32"),
    ],
]
# `looped run` itself: name, experiment, settings, device, steps, steps to a line of metrics.
FULL = "training.curriculum.points.start=41 training.curriculum.loops.start=30 model.n_dims=20 " \
    "training.curriculum.dims.start=20 training.curriculum.dims.end=20"
# Ways through the loops that go loop by loop.
GATE = 'training.loss={type="exit_weighted"} model.exit_gate={bias=-3.0}'
PHANTOM = 'training.unroll={type="phantom",loops=2,damping=0.5} training.n_loop_window=2'
IMPLICIT = 'training.unroll={type="implicit"} training.n_loop_window=1'
OURS = [
    ("D 256, f32", "study/base", FULL, "cuda:0", 200, 20),
    ("D 256, tf32", "study/base", f"{FULL} training.precision=tf32", "cuda:0", 400, 40),
    ("D 256, bf16", "study/base", f"{FULL} training.precision=bf16", "cuda:0", 600, 60),
    ("D 64, tf32", "study/base", f"{FULL} training.precision=tf32 model.n_embd=64 model.block.n_head=4", "cuda:0", 600, 60),
    ("D 256, last 20 of 82 tokens, bf16", "study/base",
     f'{FULL} training.precision=bf16 model.injector={{type="last_n",n=20}}', "cuda:0", 600, 60),
    ("D 256, ssm, f32", "study/base", f'{FULL} model.block={{type="ssm"}}', "cuda:0", 120, 20),
    ("D 256, lstm, f32", "study/base", f'{FULL} model.block={{type="lstm"}}', "cuda:0", 40, 5),
    ("D 256, lstm, tf32", "study/base", f'{FULL} model.block={{type="lstm"}} training.precision=tf32', "cuda:0", 40, 5),
    ("D 256, lstm, bf16", "study/base", f'{FULL} model.block={{type="lstm"}} training.precision=bf16', "cuda:0", 40, 5),
    ("D 256, ssm, bf16", "study/base", f'{FULL} model.block={{type="ssm"}} training.precision=bf16', "cuda:0", 120, 20),
    ("D 256, AdamW on the host, bf16", "study/base", f'{FULL} training.optimizer={{type="adamw"}} training.precision=bf16',
     "cuda:0", 120, 20),
    ("D 256, 6 blocks, 5 loops, bf16", "study/base", f"{FULL} training.precision=bf16 model.n_layer=6 "
     "training.curriculum.loops.start=5 training.curriculum.loops.end=5 training.n_loop_window=5", "cuda:0", 200, 20),
    ("D 256, gate, bf16", "study/base", f"{FULL} training.precision=bf16 {GATE}", "cuda:0", 60, 10),
    ("D 256, phantom, bf16", "study/base", f"{FULL} training.precision=bf16 {PHANTOM}", "cuda:0", 60, 10),
    ("D 256, implicit, bf16", "study/base", f"{FULL} training.precision=bf16 {IMPLICIT}", "cuda:0", 60, 10),
]
for where, device in [("", "cuda:0"), (", this machine's CPU", "cpu")]:
    OURS += [
        (f"quickstart, Adam{where}", "quickstart_adam", "training.curriculum.loops.start=8", device, 800, 80),
        (f"quickstart, Muon on the host{where}", "quickstart", "training.schedule.warmup=10", device, 400, 40),
        (f"quickstart, gate{where}", "quickstart_adam", f"training.curriculum.loops.start=8 {GATE}", device, 200, 20),
        (f"quickstart, phantom{where}", "quickstart_adam", f"training.curriculum.loops.start=8 {PHANTOM}", device, 200, 20),
        (f"quickstart, implicit{where}", "quickstart_adam", f"training.curriculum.loops.start=8 {IMPLICIT}", device, 200, 20),
    ]
OURS.append(("D 256, f32, this machine's CPU", "study/base", FULL, "cpu", 8, 1))
TINY = "--width 16 --heads 2 --points 5 --batch 4 --loops 3 --window 2 --dims 3"


class Process:
    """A program that is timed on request. Started at once; `ready` waits for its warm-up."""

    def __init__(self, command, log):
        self.command = command
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(log, "w"), text=True
        )

    def answer(self, seconds):
        """Its next line, or None: it ended, or took too long, and was ended."""
        end = threading.Timer(max(seconds, 0.1), self.process.kill)
        end.start()
        line = self.process.stdout.readline()
        end.cancel()
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            return None

    def ask(self, line, seconds=30):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
        except OSError:
            return None
        return self.answer(seconds)

    def end(self):
        self.process.kill()
        self.process.wait()


class Torch:
    """PyTorch at one setting and precision, in its forms."""

    def __init__(self, name, options, own, precision, args):
        self.precision = precision
        own = f"{own} --device {args.device}"
        command = [sys.executable, str(HERE / "torch_step.py"), *options.split(), *own.split(), "--precision", precision]
        self.process = Process(command, args.out / f"torch-{slug(name)}-{precision}.log")
        self.forms, self.notes = {}, {}

    def ready(self, seconds):
        answer = self.process.answer(seconds) or {"ready": {}, "failed": {"all": "ended, or not ready in time"}}
        self.forms, self.notes = dict.fromkeys(answer["ready"]), answer

    def times(self, form, steps):
        return (self.process.ask(f"{form} {steps}") or {}).get("ms", [])


def ours(args, which):
    """Milliseconds a step of training as users run it: prompts drawn, loss copied back, everything."""
    looped = os.environ.get("LOOPED", f"{HERE}/with_cuda.sh looped").split()
    few = "training.validate_every_steps=1000000 training.save_every_steps=1000000 evaluation.prompts=2 evaluation.baselines=[]"
    found = {}
    for name, experiment, settings, device, steps, every in OURS:
        if not which(name):
            continue
        run = args.out / "runs" / f"{slug(name)}_{time.monotonic_ns()}"
        device = "cpu" if args.device == "cpu" else device
        if args.tiny:
            experiment, settings, steps, every = "quickstart_adam", "", 12, 2
        command = [*looped, "run", f"experiments/{experiment}.toml", *settings.split(), *few.split(),
                   f"training.train_steps={steps}", f"training.log_every_steps={every}", "--device", device, "--out", str(run)]
        try:
            told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=args.our_seconds)
            failed = told.stderr.strip()[-300:] if told.returncode else ""
        except subprocess.TimeoutExpired:
            failed = "not done in time"
        try:
            records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        except OSError:
            records = []
        # The first have the compilation of kernels in them.
        times = [1e3 / record["steps_per_second"] for record in records[len(records) // 3 :]]
        if times:
            found[name] = summary(times) | {"every": every, "loss": records[-1]["loss"]}
            print(f"  looped run, {name:36} {found[name]['median']:9.3f} ({found[name]['low']:.3f} .. {found[name]['high']:.3f}) ms", flush=True)
        if failed:
            print(f"  looped run, {name}: {failed}")
    return found


def slug(name):
    return "".join(c if c.isalnum() else "_" for c in name)


def measure(settings, args, left):
    """The milliseconds of every setting, form and precision of a phase."""
    sides = []
    for name, options, own, precisions in settings:
        options = TINY if args.tiny else options
        for precision in precisions.split():
            sides.append((name, Torch(name, options, own, precision, args)))
    deadline = time.monotonic() + min(left, args.warm_up)
    for _, side in sides:
        side.ready(deadline - time.monotonic())
    found = {}
    for _ in range(args.rounds):
        for name, side in sides:
            for form in side.forms:
                times = found.setdefault(name, {}).setdefault(form, {}).setdefault(side.precision, [])
                times += side.times(form, args.steps)
    for name, side in sides:
        side.process.end()
        for form, precisions in found.get(name, {}).items():
            if times := precisions.get(side.precision):
                if form in side.forms and not isinstance(times, dict):
                    precisions[side.precision] = summary(times) | {"notes": side.notes}
        if failed := side.notes.get("failed"):
            print(f"  {name}, {side.precision}: {failed}")
    return found


def summary(times):
    ordered = sorted(times)
    return {"median": statistics.median(times), "low": ordered[len(times) // 10], "high": ordered[-1 - len(times) // 10],
            "steps": len(times), "ms": times}


def show(name, forms):
    print(f"{name}: median ms a step (a tenth of the steps took less .. more)")
    for form, precisions in forms.items():
        cells = [
            f"{precision} {cell['median']:8.3f} ({cell['low']:.3f} .. {cell['high']:.3f})"
            for precision, cell in precisions.items()
            if isinstance(cell, dict)
        ]
        print(f"  {form:10} " + "   ".join(cells), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="the folder for fast.json and the processes' logs")
    add("--device", default="cuda")
    add("--tiny", action="store_true", help="toy sizes, to try this script")
    add("--phases", default="012", help="which groups of settings of PyTorch's")
    add("--only", help="only settings that have this regular expression in their name")
    add("--few", action="store_true", help="of `looped run` only D 256, in each precision")
    add("--our-seconds", type=float, default=40, help="the most seconds for each `looped run`; LOOPED names another program")
    add("--rounds", type=int, default=3)
    add("--steps", type=int, default=20, help="steps timed in each round")
    add("--warm-up", type=float, default=150, help="the most seconds that a group may warm up")
    add("--seconds", type=float, default=400, help="no group is begun that can't be warmed up in these")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "4")

    begun, results = time.monotonic(), {"on": card()}
    print("; ".join(f"{key} {value}" for key, value in results["on"].items()))
    study = lambda name: name.startswith("D 256, ") and name.split(", ")[-1] in ("f32", "tf32", "bf16") and name.count(",") == 1
    print("ours, median ms a step (a tenth of the records took less .. more)")
    wanted = lambda name: not args.only or re.search(args.only, name)
    results["ours"] = [ours(args, lambda name: wanted(name) and (study(name) or not args.few))]
    (args.out / "fast.json").write_text(json.dumps(results, indent=1) + "\n")
    for phase in map(int, args.phases):
        left = args.seconds - (time.monotonic() - begun)
        if left < 30:
            print(f"no time left for {', '.join(setting[0] for setting in PHASES[phase])}")
            continue
        found = measure([setting for setting in PHASES[phase] if wanted(setting[0])], args, left)
        if phase == 0:
            results["ours"].append(ours(args, study))
        for name, forms in found.items():
            show(name, forms)
        results |= found
        (args.out / "fast.json").write_text(json.dumps(results, indent=1) + "\n")
        print(f"  ({time.monotonic() - begun:.0f} s so far)", flush=True)


if __name__ == "__main__":
    main()
