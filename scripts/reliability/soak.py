#!/usr/bin/env python3
"""A sweep under SIGKILLs for hours: is every run accounted for, equal bit for bit, and memory flat?

    cargo build -p cli
    scripts/reliability/soak.py --minutes 120 --out soak

One sweep of six small runs is first done undisturbed. Then the same sweep is done again and again in fresh folders while
its processes are killed at random moments: the run at work, the sweep with its run, or the sweep alone, whose run lives on.
Each time the sweep's command is given again, until it ends well. After every round each run of the plan must be there once,
evaluated once, and equal to the undisturbed one. Resident memory is sampled from /proc all the while.

`verdict.json` in the folder is written as it goes, and says how things stand whenever the soak is stopped. Needs Linux.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import PROGRAM, contents, differing

STEPS = 1000
LOG_EVERY = 10
SAMPLE_EVERY = 0.25  # seconds
FLAT = 0.05

BASE = f"""
name = "soak"
seed = 0
[task]
type = "linear_regression"
[model]
n_dims = 5
n_positions = 11
n_embd = 32
n_layer = 1
block = {{ type = "transformer", n_head = 4 }}
injector = {{ type = "full" }}
[training]
threads = 1
batch_size = 64
learning_rate = 2e-3
train_steps = {STEPS}
n_loop_window = 4
log_every_steps = {LOG_EVERY}
save_every_steps = 50
keep_every_steps = 500
[training.curriculum]
dims = {{ start = 5, end = 5, inc = 0, interval = 1 }}
points = {{ start = 11, end = 11, inc = 0, interval = 1 }}
loops = {{ start = 6, end = 6, inc = 0, interval = 1 }}
"""

SWEEP = """
base = "base.toml"
seeds = [0, 1]
[[variant]]
name = "all"
[[variant]]
name = "last8"
set = { "model.injector" = { type = "last_n", n = 8 } }
[[variant]]
name = "lstm"
set = { "model.block" = { type = "lstm" } }
"""
PLAN = [f"{variant}-seed{seed}" for variant in ("all", "last8", "lstm") for seed in (0, 1)]


def status(pid):
    """Resident, anonymous and peak memory of a process in KiB, or None if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    if fields["State"].strip().startswith("Z") or "VmRSS" not in fields:
        return None
    return {name: int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon", "VmHWM")}


def processes(words):
    """The processes whose command line holds all of the words: pid -> command line."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if all(any(word in part for part in line) for word in words):
                found[int(folder.name)] = line
    return found


class Soak:
    def __init__(self, options):
        self.program = str(options.program.resolve())
        self.out = options.out.resolve()
        self.random = random.Random(options.seed)
        self.mean = options.kill_every
        self.begun = time.time()
        self.deadline = self.begun + 60 * options.minutes
        self.memory = {}  # pid -> what was seen of a run's process
        self.sweeps = {}  # pid -> resident memory of a sweep's process
        self.kills = {"the run": 0, "the sweep and its run": 0, "the sweep alone": 0}
        self.starts = 0
        self.failures_told = 0
        self.problems = []
        self.rounds = []
        self.reference = None
        self.stopped = False
        self.finished_at = {}
        self.written = 0.0

    # One round: the sweep in a fresh folder, its command given until it ends well.

    def round(self, number, disturb):
        folder = self.out / f"round-{number:03}"
        self.finished_at = {}
        starts = 0
        while not self.stopped:
            starts += 1
            self.starts += 1
            code = self.attend(folder, disturb)
            if code == 0 or self.stopped:
                break
            if code not in (1, -signal.SIGKILL) or not disturb:
                self.problems.append(f"round {number}: the sweep ended with {code}, see {folder}.log")
            if starts > 400:
                self.problems.append(f"round {number}: not done after {starts} starts, see {folder}.log")
                return
        if not self.stopped:
            self.check(number, folder, starts)

    def attend(self, folder, disturb):
        """Starts the sweep, samples and kills until it has ended; its exit code."""
        with open(f"{folder}.log", "a", encoding="utf-8") as log:
            command = [self.program, "sweep", str(self.out / "sweep.toml"), "--out", str(folder), "--jobs", "1"]
            log.write("$ " + " ".join(command) + "\n")
            log.flush()
            sweep = subprocess.Popen(command, stdout=log, stderr=log)
        next_kill = time.time() + self.random.expovariate(1 / self.mean)
        while sweep.poll() is None:
            time.sleep(SAMPLE_EVERY)
            self.sample(folder, sweep.pid)
            if self.stopped:
                sweep.send_signal(signal.SIGTERM)
                sweep.wait()
            elif disturb and time.time() > next_kill:
                if time.time() < self.deadline:
                    self.kill(folder, sweep)
                next_kill = time.time() + self.random.expovariate(1 / self.mean)
        self.verdict()
        return sweep.returncode

    def kill(self, folder, sweep):
        what = self.random.choices(list(self.kills), weights=[3, 2, 1])[0]
        runs = self.runs(folder)
        if not runs:
            return  # between two runs; the next time
        pids = {"the run": runs, "the sweep and its run": [sweep.pid, *runs], "the sweep alone": [sweep.pid]}[what]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.kills[what] += 1

    def runs(self, folder):
        """The processes that train in this round's folder."""
        inside = str(folder / "runs") + "/"
        return [pid for pid, line in processes([inside]).items() if line[1:2] in (["run"], ["resume"])]

    # Memory.

    def sample(self, folder, sweep):
        runs = self.runs(folder)
        seen = status(sweep)
        # While a run is at work; at the end it draws the comparison, which takes memory of its own.
        if seen and runs:
            self.sweeps.setdefault(sweep, []).append(seen["VmRSS"])
        for pid in runs:
            seen = status(pid)
            if not seen:
                continue
            line = processes([str(folder / "runs") + "/"]).get(pid)
            if not line:
                continue
            run = next(Path(word) for word in line if word.startswith(str(folder / "runs")))
            entry = self.memory.setdefault(pid, {"run": run.name, "at": time.time(), "training": []})
            entry["peak"] = seen["VmHWM"]
            step = last_step(run / "metrics.jsonl")
            if step is not None and step < STEPS - 1:
                entry["training"].append((step, seen["VmRSS"], seen["RssAnon"]))
        for name in PLAN:
            done = [folder / "runs" / name / file for file in ("eval.json", "report.html")]
            if name not in self.finished_at and all(path.is_file() for path in done):
                self.finished_at[name] = done[0].stat().st_ino
        if time.time() - self.written > 30:
            self.verdict()

    def memory_verdict(self):
        """Whether memory grows: within each process over its training, and over the hours at the same point."""
        within, by_variant, peaks = [], {}, {}
        for entry in sorted(self.memory.values(), key=lambda entry: entry["at"]):
            # The first records of a process come while it still touches its memory for the first time.
            steps = sorted({step for step, _, _ in entry["training"]})[2:]
            if len(steps) < 8:
                continue
            level = {step: [rss for s, rss, _ in entry["training"] if s == step] for step in steps}
            quarter = len(steps) // 4
            first = statistics.median(rss for step in steps[:quarter] for rss in level[step])
            last = statistics.median(rss for step in steps[-quarter:] for rss in level[step])
            within.append(last / first - 1)
            variant = entry["run"].split("-")[0]
            by_variant.setdefault(variant, []).append(last)
            peaks.setdefault(variant, []).append(entry["peak"])
        across = {}
        for variant, levels in by_variant.items():
            quarter = len(levels) // 4
            if quarter >= 2:
                first, last = statistics.median(levels[:quarter]), statistics.median(levels[-quarter:])
                across[variant] = {
                    "processes": len(levels), "first_quarter_kib": first, "last_quarter_kib": last,
                    "change": round(last / first - 1, 4), "peak_kib": max(peaks[variant]),
                }
        sweeps = [levels for levels in self.sweeps.values() if len(levels) > 40]
        parent = [statistics.median(levels[-10:]) / statistics.median(levels[5:15]) - 1 for levels in sweeps]
        worst = max(within, default=0.0, key=abs)
        flat = abs(worst) <= FLAT and all(abs(v["change"]) <= FLAT for v in across.values())
        return {
            "flat": flat and max(map(abs, parent), default=0.0) <= FLAT,
            "processes_judged": len(within),
            "worst_change_within_a_process": round(worst, 4),
            "over_the_hours": across,
            "sweep_processes_judged": len(parent),
            "worst_change_within_a_sweep_process": round(max(parent, default=0.0, key=abs), 4),
        }

    # Accounts.

    def check(self, number, folder, starts):
        there = sorted(path.name for path in (folder / "runs").iterdir())
        before = len(self.problems)
        if there != sorted(PLAN):
            self.problems.append(f"round {number}: runs are {there}, planned {PLAN}")
        found = {}
        for name in PLAN:
            run = folder / "runs" / name
            for file in ("eval.json", "report.html", "checkpoints/last/model.safetensors"):
                if not (run / file).is_file():
                    self.problems.append(f"round {number}: {name} has no {file}")
            steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
            if steps != [*range(0, STEPS, LOG_EVERY), STEPS - 1]:
                self.problems.append(f"round {number}: {name}: metrics have a gap or a double line")
            inode = (run / "eval.json").stat().st_ino
            if self.finished_at.get(name, inode) != inode:
                self.problems.append(f"round {number}: {name} was evaluated again after it was finished")
            found[name] = contents(run)
        if self.reference is None:
            self.reference = found
        for name in PLAN:
            differ = differing(found[name], self.reference[name])
            if differ:
                self.problems.append(f"round {number}: {name} differs from the undisturbed run in {differ}")
        self.rounds.append({"starts": starts, "runs": len(found), "problems": len(self.problems) - before})
        if len(self.problems) == before and number > 0:
            shutil.rmtree(folder)

    def verdict(self):
        self.written = time.time()
        memory = self.memory_verdict()
        done = [number for number in self.rounds if number is not self.rounds[0]]
        result = {
            "good": not self.problems and memory["flat"] and bool(done),
            "ended": self.stopped or self.written > self.deadline,
            "minutes": round((self.written - self.begun) / 60, 1),
            "rounds": len(done),
            "runs_finished_and_equal_to_the_undisturbed": sum(r["runs"] for r in done if not r["problems"]),
            "kills": self.kills,
            "kills_in_all": sum(self.kills.values()),
            "starts_of_the_sweep": self.starts,
            "processes_of_runs": len(self.memory),
            "problems": self.problems,
            "memory": memory,
        }
        temporary = self.out / "verdict.json.tmp"
        temporary.write_text(json.dumps(result, indent=2) + "\n")
        temporary.replace(self.out / "verdict.json")
        return result

    def run(self):
        (self.out / "base.toml").write_text(BASE)
        (self.out / "sweep.toml").write_text(SWEEP)
        for ask in (signal.SIGTERM, signal.SIGINT):
            signal.signal(ask, lambda *_: setattr(self, "stopped", True))
        self.round(0, disturb=False)
        number = 0
        while time.time() < self.deadline and not self.stopped and len(self.problems) < 50:
            number += 1
            self.round(number, disturb=True)
        self.stopped = True
        result = self.verdict()
        print(json.dumps(result, indent=2))
        return 0 if result["good"] else 1


def last_step(metrics):
    """The step of the newest whole line, or None."""
    try:
        with open(metrics, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1000))
            lines = file.read().split(b"\n")
        return json.loads(lines[-2])["step"] if len(lines) > 1 else None
    except (FileNotFoundError, ValueError, KeyError):
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--minutes", type=float, default=120, help="for new rounds and kills; the last round is ended after")
    parser.add_argument("--kill-every", type=float, default=20, help="mean seconds between kills")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.out.exists() and any(options.out.iterdir()):
        sys.exit(f"{options.out} is not empty; choose another --out")
    options.out.mkdir(parents=True, exist_ok=True)
    return Soak(options).run()


if __name__ == "__main__":
    sys.exit(main())
