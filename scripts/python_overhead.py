#!/usr/bin/env python3
"""What a run costs from Python and by the command: the same experiment in turn, as whole processes, round by round.

    target/python/bin/python scripts/python_overhead.py --program target/debug/looped --rounds 5 [key=value ...]

Both get the settings behind the options. Prints the median of the time on the wall and of all threads in processors, and the ratios.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OURS = """
import sys
import looped
file, out, *settings = sys.argv[1:]
changes = dict(setting.split("=", 1) for setting in settings)
looped.Experiment(file, {key: int(value) for key, value in changes.items()}).run(out, device="cpu")
"""


def timed(words: list[str]) -> tuple[float, float]:
    """Seconds on the wall and in processors of a process."""
    before, began = os.times(), time.monotonic()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.monotonic() - began, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="looped, as cargo built it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("settings", nargs="*", help="whole numbers, as in training.train_steps=2000")
    args = parser.parse_args()
    experiment = str(Path(__file__).resolve().parents[1] / "experiments/quickstart.toml")
    times: dict[str, list[tuple[float, float]]] = {"command": [], "python": []}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(args.rounds):
            sides = {
                "command": [args.program, "run", experiment, *args.settings, "--device", "cpu", "--out", f"{folder}/c{number}"],
                "python": [sys.executable, "-c", OURS, experiment, f"{folder}/p{number}", *args.settings],
            }
            # Each side goes first in every other round.
            for side in sorted(sides, reverse=number % 2 == 1):
                times[side].append(timed(sides[side]))
    for side, all_times in times.items():
        wall, cpu = (statistics.median(part) for part in zip(*all_times))
        print(f"{side:8} {wall:7.2f} s on the wall, {cpu:7.2f} s in processors")
    for name, part in [("wall", 0), ("processors", 1)]:
        ratios = [ours[part] / theirs[part] for ours, theirs in zip(times["python"], times["command"])]
        print(f"{name}: python / command {statistics.median(ratios):.4f} ({', '.join(f'{ratio:.3f}' for ratio in ratios)})")


if __name__ == "__main__":
    main()
