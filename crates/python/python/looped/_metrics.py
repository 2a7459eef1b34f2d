"""The metrics of a run, column by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas

    Column = npt.NDArray[Any]


class Metrics(Dict[str, "Column"]):
    """An array for each key of ``metrics.jsonl``, with a number for each logged step: NaN where it has none."""

    def to_pandas(self) -> pandas.DataFrame:
        """The same as a data frame; needs pandas."""
        import pandas

        return pandas.DataFrame(dict(self))

    def __repr__(self) -> str:
        rows = len(next(iter(self.values()), ()))
        return f"Metrics({rows} steps: {', '.join(self)})"
