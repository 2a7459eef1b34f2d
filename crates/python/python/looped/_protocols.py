"""What a task and a baseline of one's own look like, and how an experiment names them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[Any]


class Task(Protocol):
    """A source of prompts.

    A class may also have ``fingerprint(self) -> str``, which tells the data that it reads from others: a training is never resumed on data
    with another fingerprint.
    """

    def sample(
        self, rng: np.random.Generator, prompts: int, points: int, dims: int, n_dims: int
    ) -> tuple[Floats, Floats]:
        """Draws ``xs`` of the shape (prompts, points, n_dims) and ``ys`` of the shape (prompts, points), in float32 or float64.

        The first ``dims`` coordinates of x are in use: y depends on no other, and the others are 0. All that is random comes from ``rng``.
        """
        ...


class Baseline(Protocol):
    """An estimator that is fitted afresh on the first i points of a prompt, for every i."""

    def predict(self, xs: npt.NDArray[np.float32], ys: npt.NDArray[np.float32]) -> Floats:
        """The prediction of each y, from the points before it and its x; 0 for the first. ``xs`` is (points, dims), ``ys`` (points,)."""
        ...


def part(of: type, **config: object) -> dict[str, object]:
    """What an experiment says of a task or a baseline that is a class: ``looped.Experiment(file, {"task": looped.part(Sine, frequency=2.0)})``.

    A class of a notebook or of the main program is known in that program alone: a run of it can't be resumed elsewhere.
    """
    table: dict[str, object] = {"type": "python", "module": of.__module__, "class": of.__qualname__}
    file = getattr(sys.modules.get(of.__module__), "__file__", None)
    if file and of.__module__ != "__main__":
        above = of.__module__.count(".") + (Path(file).name == "__init__.py")
        table["path"] = str(Path(file).resolve().parents[above])
    if config:
        table["config"] = config
    return table
