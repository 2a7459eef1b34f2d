"""Errors are exceptions, with the text of the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TINY, command

import looped


def test_everything_wrong_with_an_experiment_is_told_as_the_command_tells_it(tiny: Path) -> None:
    with pytest.raises(looped.ConfigError) as told:
        looped.Experiment(tiny, {"model.n_emb": 3, "training.batch_size": 0, "model.block.type": "transfomer"})
    error = told.value
    assert isinstance(error, ValueError) and isinstance(error, looped.Error)
    done = command("check", tiny, "model.n_emb=3", "training.batch_size=0", 'model.block.type="transfomer"')
    assert done.returncode == 2
    lines = str(error).splitlines()
    assert len(lines) >= 3
    for line in lines:
        assert f"error: {line}" in done.stderr
    assert {finding.key for finding in error.findings} >= {"model.n_emb", "training.batch_size"}


def test_a_finding_has_its_place(tmp_path: Path) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(TINY.replace("n_head = 2", "n_head = 3"))
    with pytest.raises(looped.ConfigError) as told:
        looped.Experiment(file)
    (finding,) = told.value.findings
    assert finding.key == "model.block.n_head"
    assert file.read_text().splitlines()[finding.line - 1] == "n_head = 3"
    assert str(told.value).startswith(f"{file}:{finding.line}:{finding.column}: model.block.n_head: ")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model.injector": {"type": "last_n", "n": 4}}, None),
        ({"model.injector": {"type": "last_m"}}, "did you mean last_n?"),
        ({"training.train_steps": None}, "training.train_steps: is a NoneType; allowed: a bool, number, text"),
        ({"name": 'quoted " and \\ and \n'}, "name"),
        ({"evaluation.baselines": [{"type": "knn", "k": 5}, {"type": "ridge", "alpha": 1e-05}]}, None),
    ],
)
def test_changes_are_of_any_kind(tiny: Path, changes: dict[str, object], message: str | None) -> None:
    if message is None:
        looped.Experiment(tiny, changes)
    else:
        with pytest.raises(looped.ConfigError) as told:
            looped.Experiment(tiny, changes)
        assert message in str(told.value)


def test_a_folder_that_holds_a_run_is_refused(tiny: Path, run: looped.Run) -> None:
    with pytest.raises(looped.ConfigError) as told:
        looped.Experiment(tiny).run(run.path)
    done = command("run", tiny, "--out", run.path)
    assert done.stderr.strip().endswith(f"error: {told.value}")


def test_an_unknown_device(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(looped.ConfigError, match="--device gpu: unknown device; allowed: auto, cpu"):
        looped.Experiment(tiny).run(tmp_path / "run", device="gpu")
