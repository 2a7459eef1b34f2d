#!/usr/bin/env python3
"""Sweeps on a real Slurm of this machine end as local ones do, whatever happens to their jobs.

    scripts/slurm/check.py --program target/debug/looped

Needs Debian's slurmctld, slurmd, slurm-client, munge, slurmdbd and mariadb-server, and root. Takes some minutes: Slurm counts time limits in minutes.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster import Cluster, answers, say, until

# What two runs of one experiment have in common to the byte.
SAME = ["config.toml", "eval.json", "scores.safetensors", "checkpoints/last/model.safetensors"]

TO_SLURM = """
base = "{base}"
seeds = {seeds}

[executor]
type = "slurm"
cpus = 1
{more}
"""

THREE = """
[[variant]]
name = "all tokens"

[[variant]]
name = "last 4"
set = { "model.injector" = { type = "last_n", n = 4 } }

[[variant]]
name = "none"
set = { "model.injector" = { type = "none" } }
"""


# A cluster's: with 10 seeds, 270 runs.
TWENTY_SEVEN = """
[axes]
"model.n_layer" = [1, 2, 3]
"model.injector" = [{ type = "full" }, { type = "last_n", n = 4 }, { type = "none" }]
"training.learning_rate" = [3e-4, 1e-3, 3e-3]
"""

ONE = """
[[variant]]
name = "all"
"""


class Check:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.base = Path("experiments/quickstart_adam.toml").resolve()

    def looped(self, *words, code=0):
        done = subprocess.run([self.program, *words], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def submit(self, name, steps, seeds, more="", *words, variants=THREE, changes=(), code=0):
        (self.folder / f"{name}.toml").write_text(TO_SLURM.format(base=self.base, seeds=seeds, more=more) + variants)
        # The same bits by any machine: one thread, as Slurm gives.
        self.settings = [f"training.train_steps={steps}", "evaluation.prompts=64", "training.threads=1", *changes]
        return self.looped("sweep", f"{name}.toml", "--out", name, *self.settings, *words, code=code)

    def states(self, name):
        return [run["state"] for run in json.loads(self.looped("sweep", name, "--status", "--json"))["runs"]]

    def told(self, name, states, seconds=60):
        until(f"{name} is told as {states}", seconds, lambda: set(self.states(name)) == states)

    def array(self, name):
        return json.loads((self.folder / name / "slurm/submission.json").read_text())["array"]

    def wait(self, name, seconds=600):
        until(f"{name} is done", seconds, lambda: set(self.states(name)) == {"finished"})
        self.looped("sweep", name, "--wait")

    def same(self, name):
        """Asserts that a sweep's runs are those of a local one."""
        local = f"{name}_local"
        self.looped("sweep", f"{name}.toml", "--out", local, "--executor", "local", "--jobs", "2", *self.settings)
        runs = sorted(path.name for path in (self.folder / local / "runs").iterdir())
        for run in runs:
            for file in SAME:
                a, b = (self.folder / sweep / "runs" / run / file for sweep in (name, local))
                assert a.read_bytes() == b.read_bytes(), f"{a} and {b} differ"
        ratios = [json.loads((self.folder / sweep / "report/comparison.json").read_text())["variants"] for sweep in (name, local)]
        assert [variant["name"] for variant in ratios[0]] == [variant["name"] for variant in ratios[1]]
        say(f"{name}: {len(runs)} runs equal byte for byte to a local sweep")


def arrays_and_throttle(check, _):
    most, done = [0], threading.Event()

    def look():
        while not done.wait(0.3):
            running = Cluster.ask("squeue", "-h", "-t", "RUNNING", "-o", "%j").split()
            most[0] = max(most[0], running.count("array"))

    thread = threading.Thread(target=look)
    thread.start()
    check.submit("array", 300, "[0, 1, 2, 3]", "max_parallel = 2")
    check.wait("array")
    done.set()
    thread.join()
    assert most[0] == 2, f"{most[0]} tasks ran at a time"
    logs = list((check.folder / "array/logs").iterdir())
    assert len(logs) == 12, logs
    check.same("array")


def requeued_drained_and_restarted(check, cluster):
    check.submit("moved", 4000, "[0]")
    job = check.array("moved")
    # Somebody waits meanwhile, and goes on waiting through all of it.
    waiting = subprocess.Popen([check.program, "sweep", "moved", "--wait"], cwd=check.folder, stderr=subprocess.PIPE, text=True)
    until("a task runs", 60, lambda: "running" in check.states("moved"))
    time.sleep(3)
    Cluster.ask("scontrol", "requeue", f"{job}_0")
    say("requeued a task by hand")
    cluster.stop("slurmctld")
    time.sleep(20)
    cluster.controller()
    say("restarted the controller")
    Cluster.ask("scontrol", "update", "nodename=n1", "state=drain", "reason=test")
    time.sleep(3)
    Cluster.ask("scontrol", "update", "nodename=n1", "state=resume")
    say("drained a node, and took it back")
    check.wait("moved")
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 0, said
    say("--wait waited for all of it:", said.count("Slurm doesn't answer"), "times without an answer")
    check.same("moved")


def time_limit(check, _):
    # Its minute isn't enough: it saves when it is warned, and goes back into the queue.
    check.submit("short", 6000, "[0]", 'time = "1"\nwarn_seconds = 20')
    check.wait("short", 1200)
    starts = [(check.folder / "short/slurm" / f"{i}.out").read_text().count("USR1: stopping") for i in range(3)]
    assert sum(starts) > 0, f"no run was warned: {starts}"
    say(f"time limit: warnings that runs took: {starts}")
    check.same("short")


def cancelled(check, _):
    check.submit("cancelled", 4000, "[0]")
    until("a task runs", 60, lambda: "running" in check.states("cancelled"))
    time.sleep(3)
    check.looped("sweep", "cancelled", "--resubmit", code=2)
    assert "still has runs" in check.looped("sweep", "cancelled.toml", "--out", "cancelled", *check.settings, code=2)
    check.looped("sweep", "cancelled", "--cancel")
    until("nothing is in the queue", 90, lambda: not Cluster.ask("squeue", "-h", "-o", "%j"))
    assert "cancelled" in check.states("cancelled"), check.states("cancelled")
    begun = check.folder / "cancelled/runs"
    assert any((run / "checkpoints/last").is_dir() for run in begun.iterdir()), "what was in work is saved"
    check.looped("sweep", "cancelled", "--resubmit")
    check.wait("cancelled")
    check.same("cancelled")


def refused(check, _):
    said = check.submit("nowhere", 300, "[0]", 'partition = "nowhere"', code=2)
    assert "sbatch: " in said and "invalid partition" in said.lower(), said
    # The node of such a folder doesn't find what it is to do there.
    check.submit("gone", 300, "[0]")
    (check.folder / "gone").rename(check.folder / "elsewhere")
    until("nothing is in the queue", 90, lambda: not Cluster.ask("squeue", "-h", "-o", "%j"))
    (check.folder / "elsewhere").rename(check.folder / "gone")
    assert "wrote nothing" in check.looped("sweep", "gone", "--status")


def many(check, _):
    # 270 runs are planned, checked and handed in.
    begun = time.time()
    check.submit("many", 300, str(list(range(10))), "", "--plan", variants=TWENTY_SEVEN)
    seconds = time.time() - begun
    say(f"270 runs planned and checked in {seconds:.1f} s")
    assert seconds < 10, seconds
    begun = time.time()
    check.looped("sweep", "many.toml", "--out", "many", *check.settings)
    seconds = time.time() - begun
    say(f"planned, checked and handed in in {seconds:.1f} s")
    assert seconds < 10, seconds
    check.looped("sweep", "many", "--cancel")
    until("nothing is in the queue", 120, lambda: not Cluster.ask("squeue", "-h", "-o", "%j"))


def accounting(check, cluster):
    # A node that goes down under a run that may not go back into the queue.
    check.submit("down", 20000, "[0]", variants=ONE)
    until("a task runs", 60, lambda: check.states("down") == ["running"])
    job = check.array("down")
    Cluster.ask("scontrol", "update", f"jobid={job}", "requeue=0")
    node = Cluster.ask("squeue", "-h", "-j", job, "-o", "%N")
    Cluster.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    check.told("down", {"node_failed"})

    # One step of it takes many minutes: it can't save when it is warned, nor in the seconds after its time is up.
    slow = ["training.batch_size=400000", "model.n_embd=256"]
    check.submit("slow", 2, "[0]", 'time = "1"\nwarn_seconds = 10', variants=ONE, changes=slow)
    # Its weights and their moments alone take 600 MB.
    check.submit("big", 2, "[0]", 'memory = "300M"', variants=ONE, changes=["model.n_embd=512", "model.n_layer=4"])
    # A file is where the run's folder is to be.
    check.submit("wrong", 2, "[0]", 'prologue = ["mkdir -p wrong/runs; touch wrong/runs/all-seed0"]', variants=ONE)
    # Killed by somebody, without a word.
    check.submit("killed", 20000, "[0]", 'prologue = ["echo $$ > killed/process"]', variants=ONE)
    until("a task runs", 120, lambda: list(check.folder.glob("killed/runs/*/metrics.jsonl")))
    os.kill(int((check.folder / "killed/process").read_text()), signal.SIGKILL)
    # Two of its tasks are never begun.
    check.submit("cancelled_early", 20000, "[0]", "max_parallel = 1")
    until("one of three runs", 120, lambda: sorted(check.states("cancelled_early")) == ["running", "waiting", "waiting"])
    check.looped("sweep", "cancelled_early", "--cancel")

    states = {"down": "node_failed", "slow": "time_limit", "big": "out_of_memory", "wrong": "failed", "killed": "failed", "cancelled_early": "cancelled"}
    for name, state in states.items():
        check.told(name, {state}, 240)
    # Once a minute the controller forgets what is over; then only the accounting knows.
    until("the controller forgets", 240, lambda: not any(answers("scontrol", "show", "job", check.array(name)) for name in states))
    for name, state in states.items():
        check.told(name, {state})
    jobs = ",".join(check.array(name) for name in states)
    said = Cluster.ask("sacct", "-nPX", "-j", jobs, "--format=JobID,JobName,State,ExitCode,NodeList")
    say("told by the accounting alone:", *said.splitlines(), sep="\n  ")
    for name, reason in {"wrong": "File exists", "killed": "Slurm says FAILED"}.items():
        assert reason in check.looped("sweep", name, "--status"), name


def on_cluster(program, cluster, checks):
    folder = Path(tempfile.mkdtemp(prefix="sweeps-"))
    check = Check(program, folder)
    try:
        cluster.start()
        for one in checks:
            say(f"== {one.__name__}")
            one(check, cluster)
    except BaseException:
        for log in sorted((cluster.root / "log").iterdir()):
            print(f"--- {log}", *log.read_text().splitlines()[-15:], sep="\n")
        for out in sorted(folder.glob("*/slurm/*.out")):
            print(f"--- {out}", *out.read_text().splitlines()[-5:], sep="\n")
        raise
    finally:
        cluster.end()
        shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--only", help="one check")
    arguments = parser.parse_args()
    plain = [refused, arrays_and_throttle, requeued_drained_and_restarted, cancelled, time_limit, many]
    # The cluster's processes end with this one, however it is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    for with_accounting, checks in [(False, plain), (True, [accounting])]:
        wanted = [one for one in checks if arguments.only in (None, one.__name__)]
        if wanted:
            on_cluster(arguments.program.resolve(), Cluster(with_accounting), wanted)
    say("all is well")


if __name__ == "__main__":
    os.chdir(Path(__file__).resolve().parents[2])
    main()
