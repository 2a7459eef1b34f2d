"""Tasks and baselines written in Python."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, command

import looped

PARTS = '''
"""A task and a baseline."""

import numpy as np


class Sine:
    """y is the sine of the first coordinate, times a frequency."""

    def __init__(self, frequency=1.0):
        self.frequency = frequency

    def sample(self, rng, prompts, points, dims, n_dims):
        xs = np.zeros((prompts, points, n_dims))
        xs[..., :dims] = rng.normal(size=(prompts, points, dims))
        return xs, np.sin(self.frequency * xs[..., 0]).astype(np.float32)


class LastSeen:
    """Predicts the y before."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def predict(self, xs, ys):
        assert xs.shape == (len(ys), 2) and xs.dtype == np.float32
        return self.factor * np.concatenate([[0.0], ys[:-1]])
'''

TABLE = """
[task]
type = "python"
module = "{module}"
class = "{name}"
path = "."
"""


def experiment(folder: Path, module: str, parts: str = PARTS, name: str = "Sine", more: str = "") -> Path:
    """An experiment with a task of a module beside it."""
    (folder / f"{module}.py").write_text(parts)
    file = folder / f"{module}.toml"
    table = TABLE.format(module=module, name=name) + more
    file.write_text(TINY.replace('\n[task]\ntype = "linear_regression"\n', table))
    return file


def test_a_task_and_a_baseline_run_from_python_and_by_the_command_to_the_same_bits(tmp_path: Path) -> None:
    file = experiment(tmp_path, "sines", more="config = { frequency = 2.0 }\n")
    with file.open("a") as out:
        out.write(
            '[[evaluation.baselines]]\ntype = "python"\nmodule = "sines"\nclass = "LastSeen"\npath = "."\n'
            '[[evaluation.baselines]]\ntype = "python"\nmodule = "sines"\nclass = "LastSeen"\nname = "half"\npath = "."\n'
            "config = { factor = 0.5 }\n"
        )
    ours = looped.Experiment(file).run(tmp_path / "ours")
    done = command("run", file, "--out", tmp_path / "theirs", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    for name in ["config.toml", "eval.json", "checkpoints/last/model.safetensors"]:
        assert (ours.path / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    curves = ours.evaluation.curves
    assert list(curves) == ["model", "LastSeen", "half"] and ours.evaluation.task == "python"
    # Both predict 0 of the first; of independent ys, half of the last one is the better guess.
    assert curves["half"].mean[0] == curves["LastSeen"].mean[0]
    assert (curves["half"].mean[1:] < curves["LastSeen"].mean[1:]).all()


def test_a_run_of_a_python_task_is_stopped_and_resumed_to_the_same_bits(tmp_path: Path) -> None:
    file = experiment(tmp_path, "resumed")
    shorter = looped.Experiment(file, {"training.train_steps": 5}).run(tmp_path / "halted")
    # In another process, by the command.
    done = command("resume", shorter.path, "training.train_steps=12")
    assert done.returncode == 0, done.stderr
    whole = looped.Experiment(file).run(tmp_path / "whole")
    weights = "checkpoints/last/model.safetensors"
    assert (shorter.path / weights).read_bytes() == (whole.path / weights).read_bytes()


def test_a_sweep_knows_python_tasks(tmp_path: Path) -> None:
    file = experiment(tmp_path, "swept")
    (tmp_path / "sweep.toml").write_text(f'base = "{file.name}"\nseeds = [0]\n[axes]\n"task.config" = [{{ frequency = 1.0 }}, {{ frequency = 3.0 }}]\n')
    with pytest.raises(looped.ConfigError, match="only runs of one task can be compared"):
        looped.sweep(tmp_path / "sweep.toml", out=tmp_path / "out")
    (tmp_path / "sweep.toml").write_text(f'base = "{file.name}"\nseeds = [0, 1]\n[axes]\n"model.n_embd" = [8, 12]\n')
    found = looped.sweep(tmp_path / "sweep.toml", out=tmp_path / "out", jobs=2)
    assert len(found.runs) == 4 and not found.failed


def broken(body: str) -> str:
    """A task whose `sample` ends with these lines."""
    return "import numpy as np\n\nclass Sine:\n    def sample(self, rng, prompts, points, dims, n_dims):\n" + textwrap.indent(
        "xs, ys = np.zeros((prompts, points, n_dims)), np.zeros((prompts, points))\n" + textwrap.dedent(body), 8 * " "
    )


CALL = r"task: data: the task {}.Sine: sample\(prompts=1, points=5, dims=2, n_dims=2\) "


@pytest.mark.parametrize(
    "body, message",
    [
        ("return xs[:, :3], ys", r"returned xs of the shape \(1, 3, 2\); expected float32 or float64 of the shape \(1, 5, 2\)"),
        ("return xs, ys[..., None]", r"returned ys of the shape \(1, 5, 1\); expected float32 or float64 of the shape \(1, 5\)"),
        ("return xs, ys.astype(int)", r"returned ys as int64; expected float32 or float64"),
        ("return xs, ys.tolist()", r"returned ys as a list of 1; expected float32"),
        ("return xs", r"returned a ndarray; expected a tuple of two arrays, xs and ys"),
        ("pass", r"returned None; expected a tuple"),
        ("ys[0, 3] = np.nan\nreturn xs, ys", r"returned ys with nan at \[0, 3\]; expected finite numbers"),
        ("xs[0, 1, 1] = 1e300\nreturn xs, ys", r"returned xs with 1e\+300 at \[0, 1, 1\]; expected finite numbers"),
        ("raise LookupError('no data')", r"raised LookupError: no data \(\w+.py, line 6, in sample\)"),
    ],
)
def test_what_a_task_returns_is_checked_before_anything_is_trained(
    tmp_path: Path, body: str, message: str, request: pytest.FixtureRequest
) -> None:
    module = f"broken{abs(hash(body))}"
    file = experiment(tmp_path, module, broken(body))
    with pytest.raises(looped.ConfigError, match=CALL.format(module) + message):
        looped.Experiment(file)


@pytest.mark.parametrize(
    "module, name, more, message",
    [
        ("absent", "Sine", "", r"task.module: absent can't be imported from .*: ModuleNotFoundError: No module named 'absent'"),
        ("classes", "Sin", "", r"task.class: the module classes has no Sin; did you mean Sine\?"),
        ("classes", "Sine", "config = { pitch = 1 }", r"task.config: classes.Sine can't be made: TypeError: .*pitch"),
        ("classes", "LastSeen", "", r"task.class: classes.LastSeen has no method sample\(rng, prompts, points, dims, n_dims\), which a task needs"),
        ("classes", "Sine", 'objective = "least"', r"task.objective: is \"least\""),
        ("json", "Sine", "", r"task.module: json is imported already, from .*, which isn't in"),
    ],
)
def test_a_class_that_cannot_be_made_is_told_with_the_key(
    tmp_path: Path, module: str, name: str, more: str, message: str
) -> None:
    (tmp_path / "classes.py").write_text(PARTS)
    import sys

    sys.modules.pop("classes", None)
    file = tmp_path / "classes.toml"
    file.write_text(TINY.replace('\n[task]\ntype = "linear_regression"\n', TABLE.format(module=module, name=name) + more + "\n"))
    with pytest.raises(looped.ConfigError, match=message):
        looped.Experiment(file)


FAILS_ONCE = PARTS + '''

class Fails(Sine):
    """Fails in the batch for which the file beside it asks."""

    def sample(self, rng, prompts, points, dims, n_dims):
        import pathlib

        switch = pathlib.Path(__file__).with_name("switch")
        if prompts == 4:
            turns = int(switch.read_text())
            switch.write_text(str(turns - 1))
            if turns == 0:
                {what}
        return super().sample(rng, prompts, points, dims, n_dims)
'''


@pytest.mark.parametrize("what, cause", [("raise OSError('the disk is gone')", OSError), ("return None", None)])
def test_a_task_that_fails_in_the_middle_loses_nothing(tmp_path: Path, what: str, cause: type | None) -> None:
    module = f"fails{len(what)}"
    file = experiment(tmp_path, module, FAILS_ONCE.replace("{what}", what), "Fails")
    switch = tmp_path / "switch"
    switch.write_text("1000")
    whole = looped.Experiment(file).run(tmp_path / "whole")
    switch.write_text("7")
    with pytest.raises(looped.RunError) as told:
        looped.Experiment(file).run(tmp_path / "halted")
    message = f"data: the task {module}.Fails: sample(prompts=4, points=5, dims=2, n_dims=2) "
    assert str(told.value).startswith(message) and str(told.value).endswith(f"\nThe run directory is {tmp_path / 'halted'}")
    if cause:
        assert isinstance(told.value.__cause__, cause)
    halted = looped.Run(tmp_path / "halted")
    assert halted.model.steps_done == 7
    switch.write_text("1000")
    assert halted.resume().is_finished
    for name in ["eval.json", "checkpoints/last/model.safetensors"]:
        assert (halted.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_a_run_that_diverges_keeps_what_it_had(tmp_path: Path) -> None:
    # The square of one y is beyond float32.
    parts = PARTS + textwrap.dedent("""

        class Huge(Sine):
            def sample(self, rng, prompts, points, dims, n_dims):
                xs, ys = super().sample(rng, prompts, points, dims, n_dims)
                if prompts == 4 and rng.random() < 0.2:
                    ys[0, 0] = 1e30
                return xs, ys
    """)
    file = experiment(tmp_path, "huge", parts, "Huge")
    with pytest.raises(looped.RunError) as told:
        looped.Experiment(file, {"training.train_steps": 100}).run(tmp_path / "run")
    assert "begin a new run with a lower training.learning_rate" in str(told.value)
    assert str(told.value).endswith(f"The run directory is {tmp_path / 'run'}")
    done = looped.Run(tmp_path / "run").model.steps_done
    assert done > 0 and f"at step {done}" in str(told.value)


def test_a_run_of_a_sweep_that_fails_is_told_and_the_others_are_compared(tmp_path: Path) -> None:
    parts = PARTS + textwrap.dedent("""

        class Four(Sine):
            def sample(self, rng, prompts, points, dims, n_dims):
                if prompts == 5:
                    raise ValueError("not five")
                return super().sample(rng, prompts, points, dims, n_dims)
    """)
    file = experiment(tmp_path, "four", parts, "Four")
    (tmp_path / "sweep.toml").write_text(f'base = "{file.name}"\nseeds = [0]\n[axes]\n"training.batch_size" = [4, 5]\n')
    found = looped.sweep(tmp_path / "sweep.toml", out=tmp_path / "out", jobs=2)
    assert len(found.runs) == 1 and found.comparison is not None and found.report.is_file()
    (why,) = found.failed.values()
    assert "the task four.Four: sample(prompts=5, points=5, dims=2, n_dims=2) raised ValueError: not five" in why


def test_a_baseline_that_fails_costs_its_own_curve(tmp_path: Path) -> None:
    parts = PARTS + "\n\nclass Short(LastSeen):\n    def predict(self, xs, ys):\n        return ys[:-1]\n"
    file = experiment(tmp_path, "shorts", parts)
    baselines = [{"type": "python", "module": "shorts", "class": name, "path": str(tmp_path)} for name in ("Short", "LastSeen")]
    found = looped.Experiment(file, {"evaluation.baselines": baselines}).run(tmp_path / "run").evaluation
    assert list(found.curves) == ["model", "LastSeen"]
    (warning,) = found.warnings
    assert "shorts.Short: predict(xs (5, 2), ys (5,)) returned of the shape (4,); expected" in warning


class Ramp:
    """Defined here, not in a file that an experiment names."""

    def __init__(self, slope: float = 1.0) -> None:
        self.slope = slope

    def sample(
        self, rng: np.random.Generator, prompts: int, points: int, dims: int, n_dims: int
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        xs = rng.normal(size=(prompts, points, n_dims)).astype(np.float32)
        return xs, self.slope * xs[..., 0]

    def fingerprint(self) -> str:
        return f"slope {self.slope}"


def test_a_class_is_named_by_itself(tiny: Path, tmp_path: Path) -> None:
    ramp: looped.Task = Ramp()
    assert ramp is not None
    table = looped.part(Ramp, slope=2.0)
    assert table["class"] == "Ramp" and table["config"] == {"slope": 2.0}
    run = looped.Experiment(tiny, {"task": table}).run(tmp_path / "run")
    state = json.loads((run.path / "checkpoints/last/state.json").read_text())
    assert state["data"] == "slope 2.0"


def test_the_command_lists_them() -> None:
    done = command("list", "tasks")
    assert "python" in done.stdout and "Prompts that a class of Python draws." in done.stdout
