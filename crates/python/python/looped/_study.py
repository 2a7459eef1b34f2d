"""Runs compared, and sweeps."""

from __future__ import annotations

import json
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Iterable, Mapping, NamedTuple, Sequence, Union

from looped import _looped
from looped._evaluation import Picture
from looped._progress import shower
from looped._run import Run
from looped._settings import settings


class Comparison:
    """Finished runs side by side; those that differ in nothing but their seed are one variant."""

    def __init__(self, core: _looped.Comparison) -> None:
        self._core = core

    @property
    def values(self) -> dict[str, Any]:
        """Every number, under the names of ``comparison.json``."""
        values: dict[str, Any] = json.loads(self._core.json())
        return values

    @property
    def warnings(self) -> list[str]:
        """What a reader must know before the numbers."""
        return self._core.warnings()

    def plot(self) -> Picture:
        """Errors over the number of in-context examples, a curve for each variant."""
        return Picture(self._core.svg() or "")

    def save(self, out: Union[str, PathLike[str]]) -> Path:
        """Writes report, plots and numbers into the new folder ``out``; the page comes back."""
        self._core.save(fspath(out))
        return Path(out) / "report.html"

    def _repr_svg_(self) -> str | None:
        return self._core.svg()

    def __repr__(self) -> str:
        return self._core.tables()


class Sweep(NamedTuple):
    """What came of a sweep."""

    runs: list[Run]
    """The runs that came to their end."""
    failed: dict[str, str]
    """Those that didn't: why, by their directory."""
    comparison: Comparison | None
    """The comparison of those that did, if any did."""
    report: Path
    """Its page."""


def compare(
    runs: Iterable[Union[Run, str, PathLike[str]]],
    *,
    against: str | None = None,
    margin: float = 1.1,
    examples: Sequence[int] = (),
    evaluation: str | None = None,
) -> Comparison:
    """Compares finished runs of one task, as ``looped compare`` does.

    ``against`` names the variant that the others are divided by (else the first), errors that differ by less than the factor ``margin`` count
    as equal, ``examples`` are the numbers of in-context examples of the tables, and ``evaluation`` names saved evaluations.
    """
    paths = [fspath(run) for run in runs]
    return Comparison(_looped.Comparison.of(paths, against, margin, list(examples), evaluation))


def sweep(
    file: Union[str, PathLike[str]],
    changes: Mapping[str, object] | None = None,
    *,
    out: Union[str, PathLike[str], None] = None,
    jobs: int = 1,
    progress: bool = False,
    device: str = "auto",
) -> Sweep:
    """Does every run of a sweep file, ``jobs`` at a time in processes of their own, and compares them, as ``looped sweep`` does.

    What is there already in ``out`` (``runs/NAME`` of the file ``NAME.toml``, if it isn't given) is resumed. Ctrl-C saves what is running.
    """
    folder = Path(out) if out is not None else Path("runs") / Path(file).stem
    with shower(progress) as show:
        runs, comparison, failed = _looped.sweep(fspath(file), settings(changes), fspath(folder), jobs, device, show)
    lost = {fspath(path): why for path, why in failed}
    finished = [Run(path) for path in runs if fspath(path) not in lost]
    return Sweep(finished, lost, Comparison(comparison) if comparison else None, folder / "report" / "report.html")
