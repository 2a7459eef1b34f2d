"""Training step by step, for schedules and updates of one's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Iterator, MutableMapping

from looped import _looped
from looped._experiment import Experiment
from looped._model import Model

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """What a step did."""

    step: int
    """The step, from 0."""
    loss: float
    """The loss on its prompts, before the update."""
    points: int
    dims: int
    loops: int
    """The sizes that it was made at."""
    learning_rate: float
    grad_norm: float
    """The norm of all gradients together, before clipping."""
    skipped: bool = False
    """Whether it changed nothing, because its loss or gradient isn't finite."""
    notes: dict[str, float] = field(default_factory=dict)
    """What the unroll and the regularisers tell of it."""


class Gradients(MutableMapping[str, "Floats"]):
    """The gradient of the loss with respect to each parameter, by name. What is changed here is what :meth:`Trainer.apply` takes."""

    def __init__(self, core: _looped.Gradients) -> None:
        self._core = core
        self.flat: Floats = core.flat
        """All of them in one vector, with zeros between parameters: ``gradients.flat *= 0.5``."""
        self._named = {name: self.flat[start:end].reshape(dims) for name, start, end, dims in core.places()}

    @property
    def loss(self) -> float:
        """The loss on the step's prompts."""
        return self._core.loss

    def __getitem__(self, name: str) -> Floats:
        return self._named[name]

    def __setitem__(self, name: str, value: npt.ArrayLike) -> None:
        self._named[name][...] = value

    def __delitem__(self, name: str) -> None:
        raise TypeError("every parameter has a gradient; set it to 0 instead")

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)


class Trainer:
    """An experiment in training, in memory alone: each turn of ``for step in trainer`` is a step.

    Step s draws its prompts from the experiment's seed and s. For a run that is saved, see :meth:`Experiment.run`.
    """

    def __init__(self, experiment: Experiment, *, device: str = "auto") -> None:
        self.experiment = experiment
        self._core = _looped.Trainer(experiment._core, device)

    def step(self, *, points: int | None = None, dims: int | None = None, loops: int | None = None) -> Step:
        """A step on fresh prompts. The sizes that aren't given are the curriculum's."""
        return Step(**self._core.step((points, dims, loops)))

    def gradients(self, *, points: int | None = None, dims: int | None = None, loops: int | None = None) -> Gradients:
        """The first half of a step: loss and gradients on the step's prompts. Nothing is updated."""
        return Gradients(self._core.gradients((points, dims, loops)))

    def apply(self, gradients: Gradients) -> Step:
        """The second half of a step: clips the gradients as the experiment says, and updates the parameters by them."""
        return Step(**self._core.apply(gradients._core))

    def validation_loss(self) -> float:
        """The loss on one fixed set of prompts of the curriculum's last stage, divided by the task's normaliser."""
        return self._core.validation_loss()

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step: the experiment's, by its schedule, until it is set."""
        return self._core.learning_rate

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._core.learning_rate = rate

    @property
    def steps_done(self) -> int:
        """Steps done."""
        return self._core.progress()[0]

    @property
    def is_done(self) -> bool:
        """Whether all of the experiment's steps are done."""
        return self._core.progress()[1]

    @property
    def model(self) -> Model:
        """The model as it is now: later steps change it."""
        return Model(self._core.model())

    def __iter__(self) -> Iterator[Step]:
        while not self.is_done:
            yield self.step()

    def __len__(self) -> int:
        """Steps in all."""
        return int(self.experiment.config["training"]["train_steps"])
