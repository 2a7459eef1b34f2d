#!/usr/bin/env python3
"""One training run under 200 SIGKILLs: resumed each time, does it end equal to the run that nothing happened to?

    cargo build -p cli
    scripts/reliability/kills.py

A tiny run with a checkpoint every 5 steps is first done undisturbed. Then it is begun again, killed at a random moment and
resumed, over and over; after the last kill it may end. On a fast machine it may end before: then another is begun for the
kills that are left. Every file must be equal byte for byte (metrics without their speed; TensorBoard's events hold wall times
and are left out).
"""

import argparse
import collections
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import PROGRAM, TINY, contents, differing, looped


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--steps", type=int, default=80000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    program, rng = options.program.resolve(), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tiny.toml").write_text(TINY)
        size = [f"training.train_steps={options.steps}", "training.keep_every_steps=1000"]
        begun = time.time()
        whole = looped(program, "run", folder / "tiny.toml", *size, "--out", folder / "whole")
        if whole.returncode != 0:
            sys.exit(whole.stderr)
        took = time.time() - begun
        # Half of the way is left for what a kill throws back.
        mean = 0.1 + 0.5 * took / options.kills
        kills, starts, lives, warnings, differ = 0, 0, 0, 0, set()
        died_in = collections.Counter()
        begun = time.time()
        while kills < options.kills:
            lives += 1
            run = folder / f"run-{lives}"
            while True:
                starts += 1
                if (run / "config.toml").exists():
                    command = ["resume", run]
                else:
                    command = ["run", folder / "tiny.toml", *size, "--out", run]
                process = subprocess.Popen([program, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                try:
                    _, said = process.communicate(timeout=rng.uniform(0, 2 * mean) if kills < options.kills else None)
                except subprocess.TimeoutExpired:
                    process.kill()
                    _, said = process.communicate()
                    kills += 1
                    died_in[moment(run)] += 1
                warnings += said.count("warning: ")
                if process.returncode == 0:
                    break
                if process.returncode != -9:
                    sys.exit(f"start {starts} ended with {process.returncode}: {said}")
            differ |= {f"run-{lives}/{name}" for name in differing(contents(run), contents(folder / "whole"))}
        print(f"{kills} kills ({', '.join(f'{count} {when}' for when, count in sorted(died_in.items()))}), "
              f"{starts} starts, {lives} run(s) brought to their end, {time.time() - begun:.0f} s; undisturbed {took:.0f} s")
        print(f"{warnings} warnings of damaged checkpoints; {len(contents(run))} files of each run compared, "
              f"differing: {sorted(differ) or 'none'}")
        return 1 if differ or warnings else 0


def moment(run):
    """What a killed run was doing, as its folder tells."""
    if not (run / "config.toml").exists():
        return "before there was a run"
    places = {path.name for path in (run / "checkpoints").glob("*")}
    return "while saving" if places & {"next", "next.tmp", "last.tmp", "previous.tmp"} else "elsewhere"


if __name__ == "__main__":
    sys.exit(main())
