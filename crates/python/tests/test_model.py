"""Models: predictions, states, parameters."""

from __future__ import annotations

import importlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import ROOT

import looped

Array = npt.NDArray[Any]

rng = np.random.default_rng(1)
XS = rng.normal(size=(70, 4, 2))
YS = rng.normal(size=(70, 4))


def stored(run: looped.Run) -> dict[str, Array]:
    """The tensors of the run's checkpoint, read by the format's definition."""
    data = (run.path / "checkpoints/last/model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(body[of["data_offsets"][0] : of["data_offsets"][1]], "<f4").reshape(of["shape"])
        for name, of in header.items()
    }


def test_predictions_and_states_have_their_shapes(run: looped.Run) -> None:
    predictions = run.model.predict(XS, YS, loops=5)
    assert predictions.shape == (5, 70, 4) and predictions.dtype == np.float32
    states = run.model.states(XS, YS, loops=5)
    assert states.shape == (5, 70, 8, 8)
    assert run.model.predict(XS, YS).shape[0] == 3
    assert np.isfinite(states).all() and states.flags.writeable


def test_a_prediction_is_read_of_the_state_at_its_x(run: looped.Run) -> None:
    weights = run.model.state_dict()
    states = run.model.states(XS, YS, loops=4)
    read = states[:, :, ::2, :] @ weights["_read_out.weight"][0] + weights["_read_out.bias"][0]
    np.testing.assert_allclose(read, run.model.predict(XS, YS, loops=4), atol=1e-5)


def test_prompts_are_each_by_themselves_and_causal(run: looped.Run) -> None:
    whole = run.model.predict(XS, YS, loops=3)
    np.testing.assert_array_equal(whole[:, 65:], run.model.predict(XS[65:], YS[65:], loops=3))
    changed = YS.copy()
    changed[:, 2:] += 1.0
    np.testing.assert_array_equal(whole[:, :, :3], run.model.predict(XS, changed, loops=3)[:, :, :3])


@pytest.mark.parametrize(
    "xs, ys, message",
    [
        (XS[0], YS[0], r"xs has the shape \[4, 2\]; expected \(prompts, points, n_dims\)"),
        (XS, YS[:, :3], r"ys has the shape \[70, 3\]; expected \(70, 4\), as xs has it"),
        (XS[:, :, :1], YS, "x has 1 coordinates, the model has n_dims = 2"),
        (np.zeros((1, 9, 2)), np.zeros((1, 9)), "prompts have 9 points, the model has n_positions = 5"),
    ],
)
def test_prompts_that_do_not_fit_are_told(run: looped.Run, xs: Array, ys: Array, message: str) -> None:
    with pytest.raises(looped.ConfigError, match=message):
        run.model.predict(xs, ys)


def test_the_state_dict_is_what_the_checkpoint_holds(run: looped.Run) -> None:
    state, expected = run.model.state_dict(), stored(run)
    assert state.keys() == expected.keys()
    assert all(name.startswith(("_backbone.", "_read_in.", "_read_out.")) for name in state)
    for name, values in expected.items():
        np.testing.assert_array_equal(state[name], values)


def test_a_state_dict_goes_in_again(run: looped.Run) -> None:
    other = looped.Trainer(looped.Experiment.from_toml(run.experiment.toml().replace("seed = 3", "seed = 4")))
    before = run.model.predict(XS, YS)
    assert not np.array_equal(other.model.predict(XS, YS), before)
    other.model.load_state_dict(run.model.state_dict())
    np.testing.assert_array_equal(other.model.predict(XS, YS), before)
    # A copy: changing it changes no model.
    run.model.state_dict()["_read_out.bias"][:] = 100.0
    np.testing.assert_array_equal(run.model.predict(XS, YS), before)


def test_a_state_dict_of_another_model_is_refused_as_a_whole(run: looped.Run) -> None:
    model = run.load()
    state: dict[str, Any] = dict(model.state_dict())
    state["_read_out.bias"] = np.zeros(2)
    state["unknown"] = state.pop("_read_in.bias")
    with pytest.raises(looped.RunError) as told:
        model.load_state_dict(state)
    for line in ["_read_in.bias is missing (expected shape [8])", "_read_out.bias has shape [2], the model needs [1]", "unknown is not in the model"]:
        assert line in str(told.value)
    np.testing.assert_array_equal(model.predict(XS, YS), run.model.predict(XS, YS))


@pytest.mark.parametrize("block", [{"type": "transformer", "n_head": 2}, {"type": "lstm"}, {"type": "ssm"}])
def test_a_module_of_torch_predicts_the_same_and_gives_its_parameters_back(
    tiny: Path, block: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "scripts/torch"))
    experiment = looped.Experiment(tiny, {"model.block": block})
    module = importlib.import_module("looped_torch").LoopedModel(experiment.config["model"])
    xs, ys = (torch.from_numpy(part.astype(np.float32)) for part in (XS, YS))

    def theirs() -> Array:
        with torch.no_grad():
            predictions: Array = module(xs, ys, 5).numpy()
        return predictions

    trainer = looped.Trainer(experiment)
    for _ in range(3):
        trainer.step()
    model = trainer.model
    # To PyTorch, every name and none more.
    module.load_state_dict({name: torch.from_numpy(array) for name, array in model.state_dict().items()}, strict=True)
    np.testing.assert_allclose(theirs(), model.predict(XS, YS, loops=5), atol=1e-5)
    # A step of PyTorch's own, and back.
    module(xs, ys, 5).square().mean().backward()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.1 * parameter.grad
    before = model.predict(XS, YS, loops=5)
    model.load_state_dict(module.state_dict())
    after = model.predict(XS, YS, loops=5)
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(theirs(), after, atol=1e-5)


def test_tensors_of_torch_go_in_and_out(run: looped.Run) -> None:
    torch = pytest.importorskip("torch")
    model = run.load()
    tensors = {name: torch.from_numpy(values).requires_grad_() for name, values in model.state_dict().items()}
    with torch.no_grad():
        tensors["_read_out.bias"] += 1.0
    before = model.predict(XS, YS)
    model.load_state_dict(tensors)
    np.testing.assert_allclose(model.predict(XS, YS), before + 1.0, atol=1e-5)
