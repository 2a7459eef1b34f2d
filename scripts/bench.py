#!/usr/bin/env python3
"""Times our fused step and PyTorch's, in turn, and prints the ratio pair by pair.

    scripts/bench.py --torch target/torch/bin/python --pairs 5 -- --width 64 --heads 4

Both sides get the options behind `--` (crates/fused/examples/step.rs lists them). `--torch` is a Python with
scripts/torch/requirements.txt installed; `--modes` are the PyTorch forms to try, of which the fastest counts. The two
alternate within a pair, so that a machine whose speed drifts slows both.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(command):
    """The JSON line that a command ends with."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--modes", default="eager,compile", help="PyTorch's forms to try")
    parser.add_argument("options", nargs="*", help="what to time, behind --")
    args = parser.parse_args()

    subprocess.run(["cargo", "build", "--quiet", "-p", "looped-fused", "--example", "step"], cwd=ROOT, check=True)
    target = json.loads(subprocess.check_output(["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=ROOT))
    ours = [str(Path(target["target_directory"]) / "debug/examples/step"), *args.options]
    peers = {m: [args.torch, "scripts/torch/bench_peer.py", "--mode", m, *args.options] for m in args.modes.split(",")}

    ratios, times, memory = [], {name: [] for name in ["ours", *peers]}, {}
    for pair in range(args.pairs):
        for name, command in [("ours", ours), *peers.items()]:
            result = run(command)
            times[name].append(result["median_s"])
            memory[name] = max(memory.get(name, 0), result["peak_mb"])
        ratios.append(times["ours"][-1] / min(times[m][-1] for m in peers))
        print(f"pair {pair + 1}: ratio {ratios[-1]:.3f}", file=sys.stderr)
    for name, seconds in times.items():
        print(f"{name:8} {statistics.median(seconds):.3f} s a step, peak {memory[name]:.0f} MB")
    print(f"ours / PyTorch's best: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {args.pairs} pairs)")


if __name__ == "__main__":
    main()
