"""Comparisons and sweeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import TINY, command

import looped

SWEEP = """
base = "tiny.toml"
seeds = [0, 1]

[[variant]]
name = "all"

[[variant]]
name = "last 4"
set = { "model.injector" = { type = "last_n", n = 4 } }
"""


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> looped.Sweep:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "sweep.toml").write_text(SWEEP)
    return looped.sweep(folder / "sweep.toml", {"training.train_steps": 8}, out=folder / "out", jobs=2)


def test_a_sweep_does_every_run_and_compares_them(swept: looped.Sweep) -> None:
    assert len(swept.runs) == 4 and not swept.failed
    assert swept.report.is_file() and swept.comparison is not None
    assert [variant["name"] for variant in swept.comparison.values["variants"]] == ["all", "last 4"]
    written = json.loads(swept.report.with_name("comparison.json").read_text())
    assert swept.comparison.values == written
    assert all(run.model.steps_done == 8 for run in swept.runs)


def test_a_sweep_that_is_done_is_found_done(swept: looped.Sweep) -> None:
    folder = swept.report.parents[1]
    again = looped.sweep(folder.parent / "sweep.toml", {"training.train_steps": 8}, out=folder, jobs=2)
    assert [run.path for run in again.runs] == [run.path for run in swept.runs]


def test_runs_are_compared_as_by_the_command(swept: looped.Sweep, tmp_path: Path) -> None:
    comparison = looped.compare(swept.runs, margin=1.2)
    page = comparison.save(tmp_path / "ours")
    done = command("compare", *[run.path for run in swept.runs], "--margin", 1.2, "--out", tmp_path / "theirs")
    assert done.returncode == 0, done.stderr
    for name in ["comparison.json", "plots/error.svg"]:
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    assert repr(comparison).strip() in done.stdout
    assert page.is_file() and comparison.plot().svg == (tmp_path / "ours/plots/error.svg").read_text(encoding="utf-8")


def test_what_cannot_be_compared_is_told(run: looped.Run, tmp_path: Path) -> None:
    with pytest.raises(looped.ConfigError, match="is given twice"):
        looped.compare([run, run])
