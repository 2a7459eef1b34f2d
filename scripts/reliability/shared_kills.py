#!/usr/bin/env python3
"""A sweep that several workers do in one folder, killed at random: is every run there once, and as if nothing had happened?

    cargo build -p cli
    scripts/reliability/shared_kills.py --kills 200
    scripts/reliability/shared_kills.py --on /mnt/a /mnt/b      through two mounts of one network file system, as two machines see it

Three workers want all runs of a sweep of six. Again and again one of them gets SIGKILL, half of the times its run too, as when a machine
dies, and another is started in its place. When all runs are finished they are compared with those of an undisturbed sweep, and the
next round begins, until there were enough kills. A lease lasts 2 s, so that the dead are soon replaced.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import PROGRAM, TINY, contents, differing, looped

WORKERS = 3
SWEEP = """
base = "tiny.toml"
seeds = [0, 1, 2]

[[variant]]
name = "all tokens"

[[variant]]
name = "last 4"
set = { "model.injector" = { type = "last_n", n = 4 } }
"""


def children(process):
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        return [int(number) for number in path.read_text().split()]
    except OSError:
        return []


def kill(process, with_runs):
    """Kills a worker, and what it runs. Says whether it was still there."""
    runs = children(process) if with_runs else []
    if process.poll() is not None:
        return False
    process.kill()
    for run in runs:
        try:
            os.kill(run, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.wait()
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--on", nargs="+", type=Path, help="folders that are the same place: a worker takes each in turn")
    options = parser.parse_args()
    program, rng = options.program.resolve(), random.Random(options.seed)
    os.environ["LOOPED_LEASE_SECONDS"] = "2"
    with tempfile.TemporaryDirectory(dir=options.on[0] if options.on else None) as name:
        folder = Path(name)
        places = [on / folder.name for on in options.on] if options.on else [folder]
        (folder / "tiny.toml").write_text(TINY)
        (folder / "sweep.toml").write_text(SWEEP)
        size = [f"training.train_steps={options.steps}", "training.threads=1"]
        whole = looped(program, "sweep", folder / "sweep.toml", *size, "--out", folder / "whole", "--jobs", "2")
        if whole.returncode != 0:
            sys.exit(whole.stderr)
        kills, rounds, differ, begun = 0, 0, set(), time.time()
        while kills < options.kills:
            rounds += 1
            out = folder / f"round-{rounds}"
            planned = looped(program, "sweep", folder / "sweep.toml", *size, "--out", out, "--plan")
            if planned.returncode != 0:
                sys.exit(planned.stderr)
            commands = [[program, "sweep", place / out.name, "--shard", "0/1", "--jobs", "1"] for place in places]
            said = open(folder / f"round-{rounds}.txt", "a+")
            start = lambda which: subprocess.Popen(commands[which % len(commands)], stdout=subprocess.DEVNULL, stderr=said)
            workers = [start(which) for which in range(WORKERS)]
            while any(worker.poll() is None for worker in workers):
                time.sleep(rng.uniform(0.05, 0.8))
                which = rng.randrange(WORKERS)
                if kills < options.kills and kill(workers[which], rng.random() < 0.5):
                    kills += 1
                    workers[which] = start(which)
            if any(worker.returncode != 0 for worker in workers):
                said.seek(0)
                sys.exit(f"a worker failed; they said:\n{said.read()}")
            runs = sorted(path.name for path in (folder / "whole/runs").iterdir())
            assert sorted(path.name for path in (out / "runs").iterdir()) == runs
            for run in runs:
                differ.update(differing(contents(out / "runs" / run), contents(folder / "whole/runs" / run)))
        print(f"{kills} kills in {rounds} rounds of 6 runs, {time.time() - begun:.0f} s; files that differ: {sorted(differ) or 'none'}")
        sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
