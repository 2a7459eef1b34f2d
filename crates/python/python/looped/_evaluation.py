"""What an evaluation found."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Union

from looped import _looped

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    Floats = npt.NDArray[np.float64]


class Curve(NamedTuple):
    """Means with their 90 % confidence intervals."""

    mean: Floats
    low: Floats
    high: Floats


class Picture:
    """A figure as SVG, which a notebook shows."""

    def __init__(self, svg: str) -> None:
        self.svg = svg

    def save(self, path: Union[str, PathLike[str]]) -> None:
        """Writes it into a file."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"Picture({len(self.svg)} bytes of SVG)"


class Evaluation:
    """Errors by the number of in-context examples and by loop, with their intervals: what ``eval.json`` holds."""

    def __init__(self, core: _looped.Evaluation) -> None:
        self._core = core
        self.values: dict[str, Any] = json.loads(core.json())
        """Everything, under the names of ``eval.json``."""

    @property
    def task(self) -> str:
        """The task's type."""
        return str(self.values["task"])

    @property
    def loops(self) -> int:
        """Loops of the model."""
        return int(self.values["loops"])

    @property
    def curves(self) -> dict[str, Curve]:
        """The model's curve, then the baselines'; entry k is for k in-context examples."""
        return {name: _curve(of) for name, of in self.values["curves"].items()}

    @property
    def per_loop(self) -> Curve:
        """The model's score at the last query; entry l is after loop l + 1."""
        return _curve(self.values["per_loop"])

    @property
    def warnings(self) -> list[str]:
        """Baselines that failed; that the model is worse than none."""
        return self._core.warnings()

    def plot(self, over: str = "examples", ax: Axes | None = None) -> Axes | Picture:
        """The scores over the number of in-context ``examples``, or over ``loops``: the model's, and those of baselines with a step for each.

        Draws into ``ax`` by matplotlib, or into new axes, where matplotlib is installed; else the picture of the report comes back, which a
        notebook shows.
        """
        picture = Picture(self._core.svg(over))
        try:
            import matplotlib.pyplot as plt
            from matplotlib.ticker import MaxNLocator
        except ImportError:
            return picture
        import numpy as np

        if ax is None:
            ax = plt.subplots()[1]
        first = 1 if over == "loops" or self.values.get("by_length") else 0
        beside = {name: _curve(of) for name, of in self.values.get("baselines_per_loop", {}).items()}
        curves = {"model": self.per_loop, **beside} if over == "loops" else self.curves
        for name, (mean, low, high) in curves.items():
            x = np.arange(first, first + len(mean))
            own = name in ("model", "model_ema")
            ax.plot(x, mean, label=name.replace("_", " "), linestyle="-" if own else "--")
            if own:
                ax.fill_between(x, low, high, alpha=0.2, linewidth=0)
        # Loops and examples are whole numbers.
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("loops" if over == "loops" else "length" if first else "in-context examples")
        divided = self.values["normaliser"] != 1
        ax.set_ylabel(f"{self.values['score']} / {self.values['normaliser']:g}" if divided else self.values["score"])
        ax.set_title(self.task.replace("_", " "))
        ax.legend()
        return ax

    def _repr_svg_(self) -> str:
        return self._core.svg("examples")

    def __repr__(self) -> str:
        return self._core.tables()


def _curve(of: dict[str, Any]) -> Curve:
    import numpy as np

    # JSON has no NaN: what isn't finite is null.
    return Curve(*(np.array(of[part], dtype=np.float64) for part in ("mean", "low", "high")))
