"""Training step by step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import looped


def test_the_steps_of_a_loop_are_those_of_a_run(tiny: Path, run: looped.Run) -> None:
    steps = list(looped.Trainer(looped.Experiment(tiny)))
    assert [step.step for step in steps] == list(range(12))
    metrics = run.metrics()
    assert [steps[i].loss for i in metrics["step"]] == metrics["loss"].tolist()
    assert [steps[i].grad_norm for i in metrics["step"]] == metrics["grad_norm"].tolist()


def test_two_halves_are_a_step(tiny: Path) -> None:
    whole, halves = (looped.Trainer(looped.Experiment(tiny)) for _ in range(2))
    for step in whole:
        gradients = halves.gradients()
        assert gradients.loss == step.loss
        assert halves.apply(gradients) == step
    for name, values in whole.model.state_dict().items():
        np.testing.assert_array_equal(values, halves.model.state_dict()[name])


def test_what_is_changed_in_the_gradients_is_applied(tiny: Path) -> None:
    trainer = looped.Trainer(looped.Experiment(tiny))
    before = trainer.model.state_dict()
    gradients = trainer.gradients()
    assert set(gradients) == set(before)
    assert all(gradients[name].shape == before[name].shape for name in gradients)
    for name in gradients:
        if name != "_read_out.bias":
            gradients[name] = 0.0
    norm = float(np.linalg.norm(gradients["_read_out.bias"]))
    assert norm == pytest.approx(float(np.linalg.norm(gradients.flat)))
    step = trainer.apply(gradients)
    assert step.grad_norm == pytest.approx(norm)
    changed = {name for name, values in trainer.model.state_dict().items() if not np.array_equal(values, before[name])}
    assert changed == {"_read_out.bias"}


def test_a_schedule_of_ones_own(tiny: Path) -> None:
    trainer = looped.Trainer(looped.Experiment(tiny))
    rates = [1e-2 / (1 + i) for i in range(4)]
    for rate in rates:
        trainer.learning_rate = rate
        assert trainer.step(loops=5, points=3).learning_rate == rate
    step = trainer.step(loops=7, dims=1)
    assert (step.loops, step.dims, step.points) == (7, 1, 5)
    assert trainer.steps_done == 5 and not trainer.is_done
    assert np.isfinite(trainer.validation_loss())
    with pytest.raises(looped.ConfigError, match="step 5: points is 9; allowed: 1 to 5"):
        trainer.step(points=9)
    with pytest.raises(looped.ConfigError, match="learning_rate: is NaN"):
        trainer.learning_rate = float("nan")


def test_a_gradient_that_is_no_number_changes_nothing(tiny: Path) -> None:
    trainer = looped.Trainer(looped.Experiment(tiny))
    gradients = trainer.gradients()
    gradients["_read_out.bias"] = np.nan
    with pytest.raises(looped.RunError, match="the gradient's norm is NaN at step 0"):
        trainer.apply(gradients)
    assert trainer.steps_done == 0
