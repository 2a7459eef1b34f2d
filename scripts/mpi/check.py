#!/usr/bin/env python3
"""Several ranks train one model, by a real MPI: Debian's Open MPI, on this machine.

    apt-get install libopenmpi-dev openmpi-bin libclang-dev
    cargo build -p cli --features mpi
    scripts/mpi/check.py --program target/debug/looped            the checks
    scripts/mpi/check.py --program target/debug/looped --time     seconds of a step: ranks beside threads
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
QUICKSTART = str(ROOT / "experiments/quickstart_adam.toml")
SMALL = ["training.train_steps=300", "evaluation.prompts=64", "training.threads=1", "training.save_every_steps=100",
         "training.validate_every_steps=100"]
# As root, with more processes than cores, none of them tied to a core.
ENVIRONMENT = os.environ | {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_hwloc_base_binding_policy": "none",
    "OMPI_MCA_mpi_yield_when_idle": "1",
}


class Check:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def command(self, ranks, *words):
        start = ["mpirun", "-n", str(ranks)] if ranks else []
        return [*start, self.program, *words]

    def begin(self, ranks, *words):
        command = self.command(ranks, *words)
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)

    def do(self, ranks, *words, code=0):
        process = self.begin(ranks, *words)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{words}: exit code {process.returncode}, not {code}\n{out}\n{err}"
        return err

    def train(self, name, ranks, *keys):
        self.do(ranks, "run", QUICKSTART, *SMALL, *keys, "--out", str(self.folder / name))

    def weights(self, name):
        return (self.folder / name / "checkpoints/last/model.safetensors").read_bytes()

    def records(self, name):
        lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def steps(self, name):
        records = self.records(name) if (self.folder / name / "metrics.jsonl").exists() else []
        return records[-1]["step"] if records else 0

    def wait_for_steps(self, name, steps):
        until = time.monotonic() + 120
        while self.steps(name) < steps:
            assert time.monotonic() < until, f"{name} doesn't come to step {steps}"
            time.sleep(0.05)


def same_result(check):
    """One process and 2 and 3 ranks: the same losses within rounding; 2 ranks twice: the same bits."""
    check.train("one", 0)
    for name, ranks in [("two", 2), ("two_again", 2), ("three", 3)]:
        check.train(name, ranks, f"training.ranks={ranks}")
    assert check.weights("two") == check.weights("two_again"), "2 ranks give other bits the second time"
    losses = {name: [record["loss"] for record in check.records(name)] for name in ["one", "two", "three"]}
    for name in ["two", "three"]:
        worst = max(abs(a / b - 1) for a, b in zip(losses[name], losses["one"], strict=True))
        assert worst < 1e-3, f"{name} ranks: losses differ by {worst:.1e} of one process's"
        print(f"  {name} ranks: losses within {worst:.1e} of one process's over {len(losses['one'])} records")


def killed_rank(check):
    """A rank is killed: the run ends with a message and what was done, and resumes to the bits of one that was never stopped."""
    run = str(check.folder / "killed")
    process = check.begin(2, "run", QUICKSTART, *SMALL, "training.ranks=2", "--out", run)
    check.wait_for_steps("killed", 120)
    ranks = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout.split()
    ranks = [pid for pid in ranks if "looped" in Path(f"/proc/{pid}/cmdline").read_bytes().decode()]
    os.kill(int(ranks[1]), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0, "a killed rank goes unnoticed"
    assert "another rank doesn't answer" in err, err
    state = json.loads((check.folder / "killed/checkpoints/last/state.json").read_text())
    assert state["step"] >= 120, state
    print(f"  saved at step {state['step']}")
    check.do(2, "resume", run)
    assert check.weights("killed") == check.weights("two"), "the run that lost a rank ends with other bits"


def stopped(check):
    """SIGUSR1 to mpirun, as Slurm sends it: all ranks stop after the same step, and one process can resume."""
    run = str(check.folder / "stopped")
    process = check.begin(2, "run", QUICKSTART, *SMALL, "training.ranks=2", "--out", run)
    check.wait_for_steps("stopped", 50)
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGUSR1, (process.returncode, err)
    assert "and saved; resume by" in err, err
    err = check.do(0, "resume", run, code=2)
    assert "training.ranks: is 2, and this is one process; start it by `mpirun -n 2 looped ...`" in err, err
    err = check.do(0, "resume", run, "training.ranks=1")
    assert "ranks 2 -> 1" in err, err


def refused(check):
    """Another number of processes than asked for, a mistake in the file, a device that several ranks don't have: one message, at once."""
    out = str(check.folder / "refused")
    for ranks, keys, words in [
        (2, ["training.ranks=3"], "training.ranks: is 3, and 2 processes were started; set training.ranks=2"),
        (2, [], "training.ranks: is 1, and 2 processes were started; set training.ranks=2"),
        (2, ["training.rank=2"], "training.rank: is unknown; did you mean ranks?"),
        (2, ["training.ranks=2", "training.batch_size=1"], "allowed: 1 to training.batch_size, 1"),
    ]:
        err = check.do(ranks, "run", QUICKSTART, *SMALL, *keys, "--out", out, code=2)
        assert err.count("error: ") == 1 and words in err, err
    assert not Path(out).exists()


def seconds_of_a_step(check, rounds=5):
    """quickstart_adam.toml at width 128: one process with 1 thread and with 2, and 2 ranks with 1 each, in turn."""
    keys = ["model.n_embd=128", "training.batch_size=64", "training.train_steps=60", "evaluation.prompts=2",
            "evaluation.baselines=[]", "training.validate_every_steps=1000", "training.log_every_steps=10"]
    sides = {
        "1 thread": (0, ["training.threads=1"]),
        "2 threads": (0, ["training.threads=2"]),
        "2 ranks": (2, ["training.threads=1", "training.ranks=2"]),
    }
    found = {side: [] for side in sides}
    for i in range(rounds):
        for side, (ranks, own) in sides.items():
            name = f"{side} {i}"
            check.do(ranks, "run", QUICKSTART, *keys, *own, "--out", str(check.folder / name))
            # The last records: the first ones hold what is done once.
            found[side].append(1 / statistics.median(record["steps_per_second"] for record in check.records(name)[2:]))
    for side, seconds in found.items():
        print(f"  {side:10} {1e3 * statistics.median(seconds):6.1f} ms a step")
    ratios = [ranks / threads for ranks, threads in zip(found["2 ranks"], found["2 threads"])]
    print(f"  2 ranks / 2 threads: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--time", action="store_true", help="only the seconds of a step")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        check = Check(os.path.abspath(args.program), Path(folder))
        for part in [seconds_of_a_step] if args.time else [refused, same_result, killed_rank, stopped]:
            print(part.__name__.replace("_", " "), flush=True)
            part(check)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
