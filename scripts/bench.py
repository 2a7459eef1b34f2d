#!/usr/bin/env python3
"""Times our step and PyTorch's, in turn, and prints the ratio.

    scripts/bench.py --torch target/torch/bin/python -- --width 64 --heads 4     one setting
    scripts/bench.py --torch target/torch/bin/python --table docs/speed.json     every setting of SETTINGS

`--torch` is a Python with scripts/torch/requirements.txt installed. Both sides get the options behind `--`
(crates/train/examples/step.rs lists them). All sides are started and warmed up first; then they run one step after another,
round by round, so that a machine whose speed drifts slows all alike. PyTorch's fastest form counts.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

D256 = "--width 256 --heads 8"
EAGER, COMPILED, AS_PUBLISHED = "--mode eager", "--mode compile", "--mode eager --attention explicit"
BOTH = {"eager": EAGER, "compiled": COMPILED}
PREFIX = {"eager, as published": EAGER, "eager, prefix once": f"{EAGER} --prefix-once"}
# What is timed: our options, PyTorch's forms, and the most that our time may be of the fastest of them.
SETTINGS = {
    "D 256, f32": (D256, BOTH | {"eager, explicit attention": AS_PUBLISHED}, 0.60),
    "D 64, f32": ("--width 64 --heads 4", BOTH, 0.40),
    "D 256, bf16": (f"{D256} --precision bf16", BOTH, 0.50),
    "D 256, last 20 of 82 tokens, f32": (f"{D256} --last-n 20", PREFIX, 0.20),
    "D 256, LSTM, f32": (f"{D256} --block lstm", {"eager": EAGER}, 0.75),
    "D 256, LSTM, bf16": (f"{D256} --block lstm --precision bf16", {"eager": EAGER}, 0.75),
    "12 blocks, 1 loop, D 256, f32": (f"{D256} --layers 12 --loops 1 --injector none", BOTH, 0.70),
    "prediction, 50 loops, 128 prompts, D 256, f32": (f"{D256} --eval --loops 50 --batch 128", BOTH, 0.60),
    "prediction, 50 loops, 1280 prompts, D 256, f32": (f"{D256} --eval --loops 50 --batch 1280", BOTH, 0.60),
}


class Side:
    """A process that runs a step whenever it's asked to."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            [*command, "--serve"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[:2]} ended with exit code {self.process.wait()}")
        return json.loads(line)

    def step(self):
        # The others' threads may still be spinning, waiting for work.
        time.sleep(0.3)
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()["seconds"]

    def end(self):
        self.process.stdin.close()
        report = self.answer()
        self.process.wait()
        return report


def measure(ours, python, options, peers, rounds):
    """The median seconds and peak memory of every side, and the ratio of ours to the fastest other."""
    sides = {"ours": Side([ours, *options])}
    for name, form in peers.items():
        sides[name] = Side([python, "scripts/torch/bench_peer.py", *options, *form.split()])
    seconds = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            seconds[name].append(side.step())
    reports = {name: side.end() for name, side in sides.items()}
    median = {name: statistics.median(times) for name, times in seconds.items()}
    fastest = min(peers, key=median.get)
    ratios = [ours / theirs for ours, theirs in zip(seconds["ours"], seconds[fastest])]
    return {
        "options": " ".join(options),
        "rounds": rounds,
        "fastest": fastest,
        "ratio": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "share_of_product_rate": reports["ours"]["gflops_of_a_busy_thread"]
        / reports["ours"]["product_gflops_of_a_thread"],
        "product_gflops_of_a_thread": reports["ours"]["product_gflops_of_a_thread"],
        "sides": {
            name: {"median_s": median[name], "seconds": seconds[name], "peak_mb": reports[name]["peak_mb"]}
            for name in sides
        },
    }


def show(result):
    for name, side in result["sides"].items():
        print(f"  {name:26} {side['median_s']:8.3f} s, peak {side['peak_mb']:.0f} MB")
    ratio = result["ratio"]
    print(f"  ours / {result['fastest']}: {ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f}), "
          f"at {100 * result['share_of_product_rate']:.0f} % of a product's own rate")


def build():
    """The path of our side, built."""
    subprocess.run(["cargo", "build", "--quiet", "-p", "looped-train", "--example", "step"], cwd=ROOT, check=True)
    target = json.loads(subprocess.check_output(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT))
    return str(Path(target["target_directory"]) / "debug/examples/step")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, help="time every setting, and write the figures there")
    parser.add_argument("--only", default="", help="of the table, the settings whose name holds this")
    parser.add_argument("options", nargs="*", help="what to time, behind --")
    args = parser.parse_args()

    ours = build()
    if not args.table:
        return show(measure(ours, args.torch, args.options, BOTH, args.rounds))
    results = json.loads(args.table.read_text()) if args.table.exists() else {}
    for name, (options, peers, goal) in SETTINGS.items():
        if args.only in name:
            print(f"{name} (goal {goal:.2f})", flush=True)
            results[name] = measure(ours, args.torch, options.split(), peers, args.rounds) | {"goal": goal}
            show(results[name])
            args.table.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
