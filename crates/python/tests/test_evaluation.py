"""Evaluations: numbers, tables, figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import command

import looped


def test_an_evaluation_is_that_of_the_command(run: looped.Run) -> None:
    found = run.evaluate(loops=6, prompts=32)
    done = command("eval", run.path, "--loops", 6, "--prompts", 32, "--json")
    assert found.values == json.loads(done.stdout)
    assert found.loops == 6 and found.per_loop.mean.shape == (6,)
    assert list(found.curves) == ["model", "least_squares", "averaging", "knn_3"]
    assert (found.curves["model"].low <= found.curves["model"].mean).all()
    told = command("eval", run.path, "--loops", 6, "--prompts", 32)
    assert repr(found).strip() == told.stdout.strip()


def test_a_run_has_what_it_ended_with(run: looped.Run) -> None:
    assert run.evaluation.values == json.loads((run.path / "eval.json").read_text())
    assert run.is_finished and "<html" in run.report.read_text().lower()


def test_without_matplotlib_the_report_s_figure_is_shown(
    run: looped.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for over in ["examples", "loops"]:
        picture = run.evaluation.plot(over)
        assert isinstance(picture, looped.Picture) and picture._repr_svg_().startswith("<svg")
        picture.save(tmp_path / f"{over}.svg")
    assert run.evaluation._repr_svg_() == (tmp_path / "examples.svg").read_text(encoding="utf-8")
    with pytest.raises(looped.ConfigError, match="over: is \"steps\"; allowed: examples, loops"):
        run.evaluation.plot("steps")


def test_matplotlib_draws_every_curve(run: looped.Run) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    axes = run.evaluate(loops=6).plot()
    assert not isinstance(axes, looped.Picture)
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels == ["model", "least squares", "averaging", "knn 3"]
    np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), np.arange(5))
    axes = run.evaluate(loops=6).plot("loops")
    assert not isinstance(axes, looped.Picture)
    np.testing.assert_array_equal(axes.get_lines()[0].get_xdata(), np.arange(1, 7))
