"""Runs: directories in which an experiment is trained, or was."""

from __future__ import annotations

import logging
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Mapping, Union

from looped import _looped
from looped._errors import ConfigError
from looped._evaluation import Evaluation
from looped._metrics import Metrics
from looped._model import Model
from looped._progress import shower
from looped._settings import settings

if TYPE_CHECKING:
    from looped._experiment import Experiment


class Run:
    """The run in a directory. It is only looked at, but by :meth:`resume`: a run in training may be read."""

    def __init__(self, path: Union[str, PathLike[str]]) -> None:
        self.path = Path(path)
        """The directory."""
        if not (self.path / "config.toml").is_file():
            raise ConfigError(f"{self.path} is not a run directory: it has no config.toml")

    @property
    def experiment(self) -> Experiment:
        """The experiment, with what was left open settled."""
        from looped._experiment import Experiment

        return Experiment._of(_looped.Experiment.of_run(fspath(self.path)))

    @property
    def is_finished(self) -> bool:
        """Whether it is trained and evaluated."""
        return (self.path / "eval.json").is_file() and self.report.is_file()

    @property
    def report(self) -> Path:
        """The page of its results."""
        return self.path / "report.html"

    @property
    def evaluation(self) -> Evaluation:
        """What it ended with: ``eval.json``."""
        return Evaluation(_looped.Evaluation.of_run(fspath(self.path)))

    def metrics(self) -> Metrics:
        """The columns of ``metrics.jsonl``: an array for each, by name."""
        return Metrics(_looped.metrics(fspath(self.path)))

    @property
    def model(self) -> Model:
        """The model at the newest good checkpoint. It is read when it is first asked for, and again after a :meth:`resume`."""
        if self._model is None:
            self._model = self.load("auto")
        return self._model

    _model: Model | None = None

    def load(self, device: str = "cpu") -> Model:
        """The model at the newest good checkpoint, on a device: ``cpu``, ``cuda:0``, ..."""
        return Model(_looped.Model.of_run(fspath(self.path), device))

    def evaluate(
        self,
        loops: int | None = None,
        *,
        prompts: int | None = None,
        seed: int | None = None,
        progress: bool = False,
    ) -> Evaluation:
        """Scores the model on fresh prompts beside the baselines, as ``looped eval`` does; what isn't given is as in the experiment."""
        return self.model.evaluate(loops, prompts=prompts, seed=seed, progress=progress)

    def resume(
        self, changes: Mapping[str, object] | None = None, *, progress: bool = False, device: str = "auto"
    ) -> Run:
        """Trains on, to the same bits as if it had never stopped, and evaluates, as ``looped resume`` does.

        ``changes`` may train longer (``training.train_steps``), or change logging, saving, threads and the evaluation.
        """
        with shower(progress) as show:
            notes = _looped.resume(fspath(self.path), settings(changes), device, show)
        for note in notes:
            logging.getLogger("looped").warning("%s", note.removeprefix("warning: "))
        self._model = None
        return self

    def __fspath__(self) -> str:
        return fspath(self.path)

    def __repr__(self) -> str:
        return f"Run({fspath(self.path)!r})"
