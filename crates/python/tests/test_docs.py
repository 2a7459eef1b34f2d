"""The Python of docs/python.md runs as it stands, on fewer steps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import ROOT

BLOCK = re.compile(r"```python(?: (\S+))?\n(.*?)```", re.DOTALL)


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    matplotlib.use("agg")
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    names: dict[str, object] = {}
    ran = 0
    for word, code in BLOCK.findall(page):
        if word.startswith("file="):
            (tmp_path / word.removeprefix("file=")).write_text(code)
        elif word != "notest":
            exec(compile(code.replace('"training.train_steps": 1500', '"training.train_steps": 100'), "python.md", "exec"), names)
            ran += 1
    assert ran >= 7
    # The experiment of the page with its own task.
    table = re.search(r"```toml\n\[task\]\n(.*?)```", page, re.DOTALL)
    assert table is not None
    import looped

    quickstart = (ROOT / "experiments/quickstart.toml").read_text()
    (tmp_path / "own.toml").write_text(quickstart.replace('type = "linear_regression"\n', table[1]))
    looped.Experiment("own.toml", {"training.train_steps": 100}).run("runs/own")
