"""Runs: the same files as by the command, stopped and resumed to the same bits, with Python free meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import command

import looped

RESULTS = ["config.toml", "eval.json", "scores.safetensors", "checkpoints/last/model.safetensors"]


def results(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in RESULTS}


def losses(run: Path) -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines]


def test_numpy_is_left_to_those_who_ask_for_numbers(tiny: Path, tmp_path: Path) -> None:
    code = (
        "import sys, looped\n"
        f"run = looped.Experiment({str(tiny)!r}).run({str(tmp_path / 'run')!r})\n"
        "assert 'numpy' not in sys.modules\n"
        "assert len(run.metrics()['loss'])\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_run_is_that_of_the_command_byte_for_byte(tiny: Path, run: looped.Run, tmp_path: Path) -> None:
    done = command("run", tiny, "--out", tmp_path / "run", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert results(run.path) == results(tmp_path / "run")
    assert losses(run.path) == losses(tmp_path / "run")
    made = [json.loads((folder / "run.json").read_text())["sessions"][0] for folder in (run.path, tmp_path / "run")]
    assert made[0]["commit"] == made[1]["commit"]


def test_the_metrics_are_columns(run: looped.Run) -> None:
    metrics = run.metrics()
    assert metrics["step"].tolist() == [0, 2, 4, 6, 8, 10, 11]
    assert list(zip(metrics["step"].tolist(), metrics["loss"].tolist())) == losses(run.path)
    assert metrics["loops"].tolist() == [2, 2, 3, 3, 3, 3, 3]
    validated = np.isfinite(metrics["validation_loss_last_stage"])
    assert validated.tolist() == [True, False, True, False, True, False, True]
    pandas = pytest.importorskip("pandas")
    frame = metrics.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame.shape == (7, len(metrics))


def test_ctrl_c_saves_and_says_how_to_go_on(tiny: Path, tmp_path: Path) -> None:
    # More than any machine does before the signal comes.
    steps = {"training.train_steps": 10**9, "training.log_every_steps": 1000, "training.validate_every_steps": 10**9}
    experiment = looped.Experiment(tiny, steps)
    # A shell that runs the tests in the background lets Python ignore the signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt, match=r"stopped after \d+ steps and saved; resume by looped.Run\(") as told:
        experiment.run(tmp_path / "halted")
    timer.join()
    stopped = looped.Run(tmp_path / "halted")
    done = stopped.model.steps_done
    assert f"after {done} steps" in str(told.value) and done > 0
    assert not stopped.is_finished

    enough = {"training.train_steps": done + 100}
    assert stopped.resume(enough).is_finished
    whole = looped.Experiment(tiny, {**steps, **enough}).run(tmp_path / "whole")
    assert results(stopped.path) == results(whole.path)
    assert losses(stopped.path) == losses(whole.path)


def test_the_words_that_go_on_can_be_pasted(tiny: Path, tmp_path: Path) -> None:
    def interrupt(doing: str, done: int, total: int, text: str) -> None:
        raise ZeroDivisionError("a bar that fails")

    from looped import _looped

    experiment = looped.Experiment(tiny, {"training.train_steps": 10**9, "training.validate_every_steps": 10**9})
    with pytest.raises(KeyboardInterrupt) as told:
        _looped.run(experiment._core, tmp_path / "it's", "cpu", interrupt)
    assert isinstance(told.value.__cause__, ZeroDivisionError)
    words = str(told.value).split("resume by ")[1].removesuffix(".resume()")
    assert eval(words).path == tmp_path / "it's"


def test_a_run_goes_on_longer(tiny: Path, tmp_path: Path) -> None:
    longer = looped.Experiment(tiny).run(tmp_path / "run").resume({"training.train_steps": 16})
    whole = looped.Experiment(tiny, {"training.train_steps": 16}).run(tmp_path / "whole")
    assert results(longer.path)["checkpoints/last/model.safetensors"] == results(whole.path)["checkpoints/last/model.safetensors"]
    assert longer.model.steps_done == 16


def test_python_is_free_while_a_run_trains(tiny: Path, tmp_path: Path) -> None:
    turns, ended = [0], threading.Event()

    def count() -> None:
        while not ended.is_set():
            turns[0] += 1
            time.sleep(0.001)

    counter = threading.Thread(target=count)
    counter.start()
    began = time.monotonic()
    looped.Experiment(tiny, {"training.train_steps": 50000, "training.validate_every_steps": 50000}).run(tmp_path / "run")
    seconds = time.monotonic() - began
    ended.set()
    counter.join()
    # A thread that sleeps a millisecond each turn would get a turn each 5 ms at best, if Python were held between steps.
    assert turns[0] > 50 * seconds, (turns, seconds)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    looped.Experiment(tiny, {"training.train_steps": 3000}).run(tmp_path / "run", progress=True)
    told = capsys.readouterr().err
    assert "training" in told and ("█" in told) == terminal, told


def test_where_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(looped.ConfigError, match="is not a run directory: it has no config.toml"):
        looped.Run(tmp_path)
