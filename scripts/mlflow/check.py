#!/usr/bin/env python3
"""Runs tracked by a real MLflow server: what it has of them, and what they do while it is away.

    python3 -m venv target/mlflow && target/mlflow/bin/pip install mlflow
    target/mlflow/bin/python scripts/mlflow/check.py --program target/debug/looped

Starts a server of its own on this machine (SQLite, artifacts behind the server), and ends it.
"""

import argparse
import array
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
import mlflow  # noqa: E402
import pandas  # noqa: E402

HERE = Path(__file__).resolve().parents[2]
sys.path.append(str(HERE / "scripts" / "reliability"))
from common import TINY, contents, differing  # noqa: E402

EXPERIMENT = "tiny.toml"
SMALL = ["training.log_every_steps=100", "training.save_every_steps=1000"]
# More steps than any of these runs takes.
ENDLESS = 1_000_000


def require(holds, what):
    if not holds:
        raise SystemExit(f"FAILED: {what}")


def wait_for(what, is_so, seconds=120):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = is_so()
        if found:
            return found
        time.sleep(0.2)
    raise SystemExit(f"FAILED: waited {seconds} s for {what}")


class Server:
    """An MLflow server on a port of its own, that can be killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts"), "--workers", "1"]
        log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

        def answers():
            require(self.process.poll() is None, f"the server ended: {(self.folder / 'server.log').read_text()[-2000:]}")
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2) as answer:
                    return answer.status == 200
            except OSError:
                return False

        wait_for("the server", answers)
        # Its first answer takes long.
        mlflow.MlflowClient(tracking_uri=self.uri).search_experiments()

    def kill(self):
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Looped:
    """The program, tracked by a server, or by none."""

    def __init__(self, program, folder, server):
        self.program, self.folder, self.server = program, folder, server

    def environment(self, tracked):
        own = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        if tracked:
            own |= {"MLFLOW_TRACKING_URI": self.server.uri, "MLFLOW_EXPERIMENT_NAME": "looped check"}
        return own

    def start(self, *arguments, tracked=True):
        command = [str(self.program), *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment(tracked), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *arguments, tracked=True, code=0):
        process = self.start(*arguments, tracked=tracked)
        _, said = process.communicate(timeout=300)
        require(process.returncode == code, f"{arguments}: exit code {process.returncode}: {said}")
        return said

    def train(self, name, steps, *more, **how):
        return self.run("run", EXPERIMENT, f"training.train_steps={steps}", *SMALL, *more, "--out", self.folder / name, **how)

    def settle(self, name):
        """On a machine that is busy a server may be too slow for the end of a run: then a resume sends the rest."""
        for _ in range(5):
            if link(self.folder / name)["complete"]:
                return
            self.run("resume", self.folder / name)


def link(run):
    path = run / "mlflow.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def records(run):
    path = run / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    found = []
    for line in lines:
        try:
            found.append(json.loads(line))
        except ValueError:
            # The line that a running training is writing.
            pass
    return found


def on_server(client, run):
    """The run as the server has it, once it has all of what `metrics.jsonl` says; doubles and gaps fail."""
    found = client.get_run(link(run)["run_id"])
    pairs = [("train/loss", "loss"), ("train/learning_rate", "learning_rate"), ("train/grad_norm", "grad_norm"),
             ("curriculum/loops", "loops"), ("validation/loss_last_stage", "validation_loss_last_stage")]
    for key, field in pairs:
        history = sorted(client.get_metric_history(found.info.run_id, key), key=lambda metric: metric.step)
        expected = [(record["step"], record[field]) for record in records(run) if field in record]
        if field.startswith("validation"):
            # A validation loss that isn't finite is left out.
            expected = [(step, value) for step, value in expected if value is not None]
        require([metric.step for metric in history] == [step for step, _ in expected],
                f"{run.name}: {key} has {len(history)} steps, metrics.jsonl {len(expected)}")
        for metric, (step, value) in zip(history, expected):
            same = metric.value != metric.value if value is None else abs(metric.value - value) <= 1e-9 * abs(value)
            require(same, f"{run.name}: {key} of step {step} is {metric.value}, in metrics.jsonl {value}")
        times = [metric.timestamp for metric in history]
        require(times == sorted(times), f"{run.name}: {key} goes back in time")
        now = time.time() * 1000
        require(all(now - 3_600_000 < at <= now + 1000 for at in times), f"{run.name}: {key} is of another hour")
    return found


def artifacts(client, id, path=None):
    found = []
    for file in client.list_artifacts(id, path):
        found += artifacts(client, id, file.path) if file.is_dir else [file.path]
    return found


def whole_run(looped, client):
    """A run has its parameters, tags, metrics, scores and files, and equals one that nobody tracks."""
    looped.train("whole", 3000)
    run = looped.folder / "whole"
    looped.settle("whole")
    found = on_server(client, run)
    require(found.info.status == "FINISHED" and link(run)["complete"], f"status {found.info.status}")
    require(found.info.run_name == json.loads((run / "run.json").read_text())["config"]["name"], "its name")
    params = {"training.train_steps": "3000", "model.block.type": "transformer", "seed": None, "training.learning_rate": None}
    for key, value in params.items():
        require(key in found.data.params and value in (None, found.data.params[key]), f"parameter {key}")
    require(found.data.tags["looped.engine"] == "fused" and found.data.tags["looped.version"], "its tags")
    scores = json.loads((run / "eval.json").read_text())["curves"]
    for name, curve in scores.items():
        value = found.data.metrics[f"evaluation/{name}"]
        require(abs(value - curve["mean"][-1]) <= 1e-9 * abs(value) + 1e-30, f"the score of {name}")
    files = artifacts(client, found.info.run_id)
    for name in ["config.toml", "eval.json", "metrics.jsonl", "report.html", "run.json", "plots/error.svg"]:
        require(name in files, f"no artifact {name}: {files}")
    require(not any("checkpoint" in name for name in files), f"checkpoints were not asked for: {files}")
    with tempfile.TemporaryDirectory() as there:
        got = client.download_artifacts(found.info.run_id, "eval.json", there)
        require(Path(got).read_bytes() == (run / "eval.json").read_bytes(), "eval.json is another")

    looped.train("untracked", 3000, tracked=False)
    found, expected = contents(run), contents(looped.folder / "untracked")
    require(found.pop("mlflow.json") and not differing(found, expected), f"tracking changes {differing(found, expected)}")


def server_away_and_back(looped, client):
    """A server that is killed misses nothing; a run that is stopped is resumed as the same."""
    run = looped.folder / "away"
    process = looped.start("run", EXPERIMENT, f"training.train_steps={ENDLESS}", *SMALL, "--out", run)
    history = lambda: client.get_metric_history(link(run)["run_id"], "train/loss")  # noqa: E731
    wait_for("metrics of a run at work", lambda: "run_id" in link(run) and history())
    require(client.get_run(link(run)["run_id"]).info.status == "RUNNING", "a run at work is not RUNNING")
    looped.server.kill()
    at = records(run)[-1]["step"]
    wait_for("training without a server", lambda: records(run)[-1]["step"] > at + 2000)
    looped.server.start()
    back = records(run)[-1]["step"]
    wait_for("metrics of a server that is back", lambda: max(metric.step for metric in history()) > back)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    require(process.returncode == 143, f"exit code {process.returncode}: {said}")
    require(said.count("warning: MLflow:") == 1 and "note: MLflow answers again" in said, said)
    if "lacks a part" not in said:
        require(on_server(client, run).info.status == "KILLED", "a stopped run is not KILLED")
    id = link(run)["run_id"]

    done = records(run)[-1]["step"] // 100 * 100 + 3000
    # The run's directory says where it is tracked.
    looped.run("resume", run, f"training.train_steps={done}", tracked=False)
    looped.settle("away")
    again = on_server(client, run)
    require(again.info.run_id == id and again.info.status == "FINISHED", "another run after a resume")
    require(again.data.tags["changed.training.train_steps"] == str(done), "what the resume changed")


def killed(looped, client):
    """A run that is killed at any moment is resumed as the same, with no step twice."""
    run = looped.folder / "killed"
    process = looped.start("run", EXPERIMENT, f"training.train_steps={ENDLESS}", *SMALL, "--out", run)
    wait_for("metrics of a run at work",
             lambda: "run_id" in link(run) and client.get_metric_history(link(run)["run_id"], "train/loss"))
    process.kill()
    process.communicate()
    id, done = link(run)["run_id"], records(run)[-1]["step"]
    looped.run("resume", run, f"training.train_steps={done + 2000}")
    looped.settle("killed")
    require(on_server(client, run).info.run_id == id, "another run after a kill")


def failed(looped, client):
    """A run that diverges has failed; numbers that aren't finite are there."""
    run = looped.folder / "failed"
    # 400 prompts of 5 points; the square of one y in the last batches is beyond f32.
    values = array.array("f", [i % 7 for i in range(400 * 5 * 3)])
    values[400 * 5 * 2 + 390 * 5] = 1e30
    shapes = {"xs": ([400, 5, 2], 0, 400 * 5 * 2 * 4), "ys": ([400, 5], 400 * 5 * 2 * 4, 400 * 5 * 3 * 4)}
    header = json.dumps({k: {"dtype": "F32", "shape": shape, "data_offsets": [start, end]} for k, (shape, start, end) in shapes.items()})
    (looped.folder / "data.st").write_bytes(struct.pack("<Q", len(header)) + header.encode() + values.tobytes())
    task = ['task={type="dataset",path="data.st"}', "training.log_every_steps=1", "training.skip_non_finite=2"]
    # Passed over, then not.
    looped.train("passed over", 120, *task)
    looped.settle("passed over")
    passed = on_server(client, looped.folder / "passed over")
    history = client.get_metric_history(passed.info.run_id, "train/loss")
    require(any(metric.value != metric.value for metric in history), "no NaN")
    looped.train("failed", 120, task[0], code=1)
    found = on_server(client, run)
    require(found.info.status == "FAILED" and "looped.error" in found.data.tags, f"status {found.info.status}")


def server_down(looped, client):
    """Without a server a run is trained and evaluated as ever; a resume sends it."""
    looped.server.kill()
    started = time.monotonic()
    said = looped.train("down", 3000)
    took = time.monotonic() - started
    require(said.count("warning: MLflow") == 2 and "cannot be reached" in said and "looped resume" in said, said)
    run = looped.folder / "down"
    require("run_id" not in link(run) and (run / "report.html").is_file(), "a run without its server")
    looped.server.start()
    looped.run("resume", run, tracked=False)
    looped.settle("down")
    require(on_server(client, run).info.status == "FINISHED" and link(run)["complete"], "a run that was sent later")
    print(f"  a run without its server took {took:.1f} s in all")


def sweep(looped, client):
    """Each run of a sweep is a run, with the sweep's name."""
    out = looped.folder / "some sweep"
    looped.run("sweep", EXPERIMENT, "training.train_steps=1000", *SMALL, "--seeds", "0..1", "--out", out)
    for run in (out / "runs").iterdir():
        looped.settle(run)
    experiment = client.get_experiment_by_name("looped check").experiment_id
    runs = client.search_runs([experiment], "tags.`looped.sweep` = 'some sweep'")
    require(len(runs) == 2 and {run.info.status for run in runs} == {"FINISHED"}, f"{len(runs)} runs of the sweep")
    require({run.data.params["seed"] for run in runs} == {"0", "1"}, "the seeds of the sweep")


def export(looped, _):
    """Parquet files of `looped export` are read by pyarrow, with the numbers of the CSV."""
    golden = pandas.read_parquet(HERE / "crates/report/tests/fixtures/table.parquet")
    require(list(golden.run) == ["runs/a", "runs/a", "with, a comma", 'and "quotes"'], "the words of the fixture")
    require(list(golden.step) == [0, 10, -20, 2**63 - 1], "the whole numbers of the fixture")
    require(list(golden.loss[:3]) == [1.0, 0.1 + 0.2, 1e-20] and golden.loss.isna()[3], "the numbers of the fixture")
    require(list(golden.validation.isna()) == [False, True, False, True], "what the fixture lacks")
    for what in ["metrics", "evaluation"]:
        for ending in ["csv", "parquet"]:
            looped.run("export", "whole", "down", "--what", what, "--out", f"{what}.{ending}")
        csv = pandas.read_csv(looped.folder / f"{what}.csv")
        parquet = pandas.read_parquet(looped.folder / f"{what}.parquet")
        require(list(csv.columns) == list(parquet.columns), f"the columns of {what}")
        for name in csv.columns:
            one, other = csv[name], parquet[name]
            require(((one == other) | (one.isna() & other.isna())).all(), f"{what}: {name} differs")
    require(len(parquet) > 0, "no evaluation")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True, help="the looped to check")
    program = parser.parse_args().program.resolve()
    with tempfile.TemporaryDirectory(prefix="looped-mlflow-") as folder:
        server = Server(Path(folder))
        (Path(folder) / EXPERIMENT).write_text(TINY)
        try:
            server.start()
            client = mlflow.MlflowClient(tracking_uri=server.uri)
            looped = Looped(program, Path(folder), server)
            for check in [whole_run, sweep, failed, killed, server_away_and_back, server_down, export]:
                started = time.monotonic()
                check(looped, client)
                print(f"{check.__name__}: {check.__doc__.strip()} ({time.monotonic() - started:.0f} s)", flush=True)
        finally:
            server.kill()


if __name__ == "__main__":
    main()
