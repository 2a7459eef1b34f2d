"""Experiments: what is learnt, by which model, how it's trained and how it's judged."""

from __future__ import annotations

import json
from os import PathLike, fspath
from typing import Any, Mapping, NamedTuple, Union

from looped import _looped
from looped._progress import shower
from looped._run import Run
from looped._settings import settings

Path = Union[str, "PathLike[str]"]


class Cost(NamedTuple):
    """What an experiment costs, before it's run."""

    parameters: int
    """Parameters, positions not counted."""
    flops: float
    """Floating-point operations of all training steps."""
    memory: float
    """Largest memory at once, in bytes; an estimate."""


class Experiment:
    """An experiment file, with changes on top, checked as a whole.

    ``changes`` has dotted keys, as in ``{"training.train_steps": 2000, "model.injector": {"type": "last_n", "n": 12}}``; a dict replaces a
    whole table. Raises :class:`ConfigError` with everything that is wrong.
    """

    def __init__(self, path: Path, changes: Mapping[str, object] | None = None) -> None:
        self._core = _looped.Experiment.load(fspath(path), settings(changes))

    @classmethod
    def from_toml(cls, text: str) -> Experiment:
        """An experiment from the text of a TOML file; relative paths in it mean the current folder."""
        return cls._of(_looped.Experiment.from_toml(text))

    @classmethod
    def _of(cls, core: _looped.Experiment) -> Experiment:
        made = cls.__new__(cls)
        made._core = core
        return made

    @property
    def name(self) -> str:
        """Names the run."""
        return self._core.name

    @property
    def seed(self) -> int:
        """Fixes every random number."""
        return self._core.seed

    @property
    def notes(self) -> list[str]:
        """What was translated from the published form; settings that can't act."""
        return self._core.notes

    @property
    def config(self) -> dict[str, Any]:
        """Every key with its value, as a copy."""
        config: dict[str, Any] = json.loads(self._core.json())
        return config

    @property
    def cost(self) -> Cost:
        """What it costs to run."""
        return Cost(*self._core.cost())

    def toml(self) -> str:
        """The complete config as the text of a TOML file."""
        return self._core.toml()

    def run(self, out: Path, *, progress: bool = False, device: str = "auto") -> Run:
        """Trains in the new directory ``out``, and evaluates, as ``looped run`` does; Python's other threads run meanwhile.

        Ctrl-C saves, and raises ``KeyboardInterrupt`` with the call that resumes the run. Where something goes wrong, what was done is
        saved too, and :class:`RunError` is raised. ``progress`` shows a bar.
        """
        with shower(progress) as show:
            _looped.run(self._core, fspath(out), device, show)
        return Run(out)

    def __repr__(self) -> str:
        return f"Experiment({self.name!r}, seed={self.seed}, parameters={self.cost.parameters:,})"
