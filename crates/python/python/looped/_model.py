"""Models: of a run, or in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping

from looped import _looped
from looped._evaluation import Evaluation
from looped._progress import shower

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]


class Model:
    """A looped model with its parameters.

    Prompts are two arrays, which are read as float32: ``xs`` of the shape (prompts, points, n_dims) and ``ys`` of the shape (prompts, points).
    """

    def __init__(self, core: _looped.Model) -> None:
        self._core = core

    def predict(self, xs: npt.ArrayLike, ys: npt.ArrayLike, loops: int | None = None) -> Floats:
        """The prediction of every y from the points before it and its x, after each loop: (loops, prompts, points)."""
        return self._core.predict(_floats(xs), _floats(ys), loops)

    def states(self, xs: npt.ArrayLike, ys: npt.ArrayLike, loops: int | None = None) -> Floats:
        """The state after each loop: (loops, prompts, tokens, width). Token 2i is x_i, token 2i + 1 is y_i."""
        return self._core.states(_floats(xs), _floats(ys), loops)

    def evaluate(
        self,
        loops: int | None = None,
        *,
        prompts: int | None = None,
        seed: int | None = None,
        progress: bool = False,
    ) -> Evaluation:
        """Scores the model on fresh prompts beside the experiment's baselines; what isn't given is as in the experiment."""
        with shower(progress) as show:
            return Evaluation(self._core.evaluate(loops, prompts, seed, show))

    def state_dict(self) -> dict[str, Floats]:
        """A copy of the parameters, by the names and in the shapes of the published code.

        A PyTorch module of the same names takes ``{name: torch.from_numpy(array) for name, array in model.state_dict().items()}``.
        """
        return self._core.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replaces all parameters by these: arrays, or the tensors of a PyTorch module's ``state_dict()``.

        Names and shapes must be the model's own; if they aren't, nothing is replaced, and everything that is wrong is told.
        """
        self._core.load_state_dict({name: _floats(_on_the_host(value)) for name, value in state.items()})

    @property
    def steps_done(self) -> int:
        """Training steps behind it."""
        return self._core.facts()[0]

    @property
    def loops(self) -> int:
        """The loops that it is trained with at the end."""
        return self._core.facts()[1]

    @property
    def parameters(self) -> int:
        """How many numbers its parameters are."""
        return self._core.facts()[2]

    @property
    def n_dims(self) -> int:
        """Width of x."""
        return self._core.facts()[3]

    @property
    def n_positions(self) -> int:
        """Most points of a prompt."""
        return self._core.facts()[4]

    def __repr__(self) -> str:
        done, loops, parameters, n_dims, n_positions, engine = self._core.facts()
        return f"Model({parameters:,} parameters, {loops} loops, after {done} steps, x of {n_dims}, up to {n_positions} points, {engine})"


def _floats(values: npt.ArrayLike) -> Floats:
    import numpy as np

    return np.ascontiguousarray(values, dtype=np.float32)


def _on_the_host(value: Any) -> Any:
    """A tensor of PyTorch as an array: it may ask for a gradient, or be on a GPU."""
    return value.detach().cpu().float().numpy() if hasattr(value, "detach") else value
