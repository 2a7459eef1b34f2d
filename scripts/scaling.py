#!/usr/bin/env python3
"""How time and memory of our training step grow with the loops and with the batch.

    scripts/scaling.py                            D 64
    scripts/scaling.py -- --width 256 --heads 8   the study's width

Time should be linear: at most 10 % from the straight line through the least and the largest case. Memory should not grow with
the loops outside the window, and with the batch by no more than the prompts themselves take.
"""

import argparse
import json
import subprocess

from bench import ROOT, build

CASES = {"loops": [20, 40, 80, 160, 320], "batch": [16, 64, 256, 1024]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("options", nargs="*", default=["--width", "64", "--heads", "4"], help="the model, behind --")
    options = parser.parse_args().options
    step = build()

    for name, values in CASES.items():
        steps = {value: [] for value in values}
        # Round by round, so that a machine whose speed drifts bends no line.
        for _ in range(3):
            for value in values:
                command = [step, f"--{name}", str(value), *options]
                steps[value].append(json.loads(subprocess.check_output(command, cwd=ROOT, text=True)))
        seconds = {value: sorted(s["median_s"] for s in runs)[1] for value, runs in steps.items()}
        first, last = values[0], values[-1]
        slope = (seconds[last] - seconds[first]) / (last - first)
        print(f"{name:>6}  seconds  of the line  peak MB")
        for value in values:
            line = seconds[first] + slope * (value - first)
            peak = max(s["peak_mb"] for s in steps[value])
            print(f"{value:6}  {seconds[value]:7.3f}  {seconds[value] / line:11.2f}  {peak:7.0f}")


if __name__ == "__main__":
    main()
