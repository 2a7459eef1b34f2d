"""Writes crates/train/tests/fixtures/: what PyTorch makes of small models, for our engines to agree with.

    python scripts/torch/make_fixtures.py            (torch 2.15 wrote those in the repository)

Each NAME.safetensors holds one case. Its metadata has under "case" a JSON object: `name`, `model` (the [model] table of an
experiment), `objective` ("squared_error" or "cross_entropy"), `loops`, `window`, `n_loss_loops`, `learning_rate`,
`weight_decay`. Its tensors are all f32:

    param.NAME       the parameters at first
    xs, ys           a batch, (B, n, d) and (B, n)
    preds            the predictions of all loops, (loops, B, n)
    loss             the mean over the last n_loss_loops loops
    grad.NAME        the loss's gradient (weight decay not in it; 0 where the loss does not depend on the parameter)
    xs0..2, ys0..2   three batches, the first being xs, ys
    step3.NAME       the parameters after a step of Adam (betas 0.9, 0.999, eps 1e-8, decay as L2) on each of them

Inputs and parameters are f32 numbers; everything else is computed in f64 and rounded once, so it is the truth to compare
with, not another rounding. The key part of `c_attn.bias`, its rows D..2D, has no gradient (softmax ignores a shift of all
scores) and is exactly 0 here; an engine has rounding noise there, which Adam turns into steps: leave those rows out when
comparing `grad` and `step3`.

pt/ holds one model in the forms that checkpoints are published in, what it predicts, and files that must be refused.
"""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from looped_torch import LoopedModel, loss

FIXTURES = Path(__file__).parents[2] / "crates/train/tests/fixtures"
BATCH, POINTS, STEPS = 4, 5, 3
TRANSFORMER = {"type": "transformer", "n_head": 2}
LSTM = {"type": "lstm"}
MIXED = {"type": "sequential", "blocks": [TRANSFORMER, LSTM]}
SSM = {"type": "ssm", "n_state": 3}
NONE = {"type": "none"}


def full(operation="add"):
    return {"type": "full", "operation": operation}


def last(n, operation="add"):
    return {"type": "last_n", "n": n, "operation": operation}


def case(name, block=TRANSFORMER, injector=full(), n_layer=1, n_embd=16, loops=4, window=None, n_loss_loops=None, **more):
    sizes = {"n_dims": 3, "n_positions": 7, "n_embd": n_embd, "n_layer": n_layer}
    window = window or loops
    return {
        "name": name,
        "model": sizes | {"block": block, "injector": injector},
        "objective": "squared_error",
        "loops": loops,
        "window": window,
        "n_loss_loops": n_loss_loops or window,
        "learning_rate": 1e-2,
        "weight_decay": 0.0,
    } | more


CASES = [
    case("one_block"),
    case("two_blocks", n_layer=2),
    case("multiply", injector=full("multiply")),
    case("last_4", injector=last(4)),
    # An odd n starts with a y; the window is short, so that the prefix serves loops with and without gradient.
    case("last_5", injector=last(5), window=2),
    case("last_4_multiply", injector=last(4, "multiply"), n_embd=8),
    case("window", loops=6, window=2),
    case("lstm", LSTM),
    case("lstm_last_5", LSTM, last(5), window=2),
    case("mixed", MIXED, n_layer=2, n_embd=8, loops=3),
    case("standard", injector=NONE, n_layer=3, n_embd=8, loops=1),
    case("tied", injector=NONE, n_loss_loops=1),
    # Without injection the embedding meets only the first loop: cut there, read-in has no gradient.
    case("tied_window", injector=NONE, n_embd=8, window=2),
    case("weight_decay", n_embd=8, weight_decay=0.1),
    case("cross_entropy", n_embd=8, objective="cross_entropy"),
    # From here on each case has the seed of its place: new ones go below, so that the others stay as they are.
    case("ssm", SSM),
    case("ssm_last_5", SSM, last(5), n_embd=8, window=2),
]


def perturbed(case, generator):
    """The model in f32, far enough from its start that every weight, bias and norm counts."""
    model = LoopedModel(case["model"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.25 * torch.randn(parameter.shape, generator=generator)
    return model


def sample(case, generator):
    xs = torch.randn(BATCH, POINTS, 3, generator=generator)
    ys = (xs @ torch.randn(BATCH, 3, 1, generator=generator)).squeeze(-1)
    return xs, torch.where(ys < 0, -1.0, 1.0) if case["objective"] == "cross_entropy" else ys


def results(case, start, batches, dtype):
    """Predictions, loss and gradient at `start`, and the parameters after the steps, computed in `dtype`."""
    model = LoopedModel(case["model"]).to(dtype)
    model.load_state_dict(start)
    optimizer = torch.optim.Adam(
        model.parameters(), lr=case["learning_rate"], betas=(0.9, 0.999), eps=1e-8, weight_decay=case["weight_decay"]
    )
    tensors = {}
    for step, (xs, ys) in enumerate(batches):
        xs, ys = xs.to(dtype), ys.to(dtype)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        predictions = model(xs, ys, case["loops"], case["window"])
        value = loss(predictions, ys, case["n_loss_loops"], case["objective"])
        value.backward()
        for name, parameter in model.named_parameters():
            if name.endswith("c_attn.bias"):
                parameter.grad.chunk(3)[1].zero_()
        if step == 0:
            tensors |= {"preds": predictions, "loss": value}
            tensors |= {f"grad.{name}": parameter.grad.clone() for name, parameter in model.named_parameters()}
        optimizer.step()
    tensors |= {f"step3.{name}": parameter for name, parameter in model.named_parameters()}
    return {name: tensor.detach().float() for name, tensor in tensors.items()}


def noise(case, truth, single):
    """The largest error of f32, relative to each tensor's largest number, by kind of result."""
    worst = {}
    for name, expected in truth.items():
        error = (single[name] - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
        kind = name.partition(".")[0]
        worst[kind] = max(worst.get(kind, 0.0), float(error))
    return worst


def write_case(case, seed):
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    start = perturbed(case, generator).state_dict()
    batches = [sample(case, generator) for _ in range(STEPS)]
    truth = results(case, start, batches, torch.float64)
    worst = noise(case, truth, results(case, start, batches, torch.float32))
    # An engine in f32 is asked for 1e-5, 1e-4 and 1e-5: a case is fair only if PyTorch's own f32 stays well within.
    assert worst["preds"] < 1e-6 and worst["grad"] < 1e-5 and worst["step3"] < 1e-6, (case["name"], worst)
    print(f"{case['name']:16}", *(f"{kind} {error:.1e}" for kind, error in worst.items()), sep="  ")

    tensors = {f"param.{name}": tensor for name, tensor in start.items()} | truth
    tensors |= {"xs": batches[0][0], "ys": batches[0][1]}
    for step, (xs, ys) in enumerate(batches):
        tensors |= {f"xs{step}": xs.clone(), f"ys{step}": ys.clone()}
    save_file(tensors, FIXTURES / f"{case['name']}.safetensors", {"case": json.dumps(case)})


def write_checkpoints(folder):
    """One model in every published form, its predictions, and what must be refused."""
    published = case("published", n_embd=8)
    generator = torch.Generator().manual_seed(100)
    torch.manual_seed(100)
    model = perturbed(published, generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    # A step, so that the optimizer has moments to store, before the weights are taken.
    xs, ys = sample(published, generator)
    loss(model(xs, ys, published["loops"]), ys, published["loops"]).backward()
    optimizer.step()
    state = model.state_dict()
    exact = LoopedModel(published["model"]).double()
    exact.load_state_dict(state)
    with torch.no_grad():
        predictions = exact(xs.double(), ys.double(), published["loops"]).float()
    expected = {"xs": xs, "ys": ys, "preds": predictions} | {f"param.{name}": value for name, value in state.items()}
    save_file(expected, folder / "expected.safetensors", {"case": json.dumps(published)})

    def save(name, value):
        torch.save(value, folder / f"{name}.pt")

    save("model", {"model": state})
    train_state = {"optimizer_state_dict": optimizer.state_dict(), "train_step": 1}
    save("model_state_dict", {"model_state_dict": state} | train_state)
    save("bare", state)
    save("orig_mod", {"model": {f"_orig_mod.{name}": value for name, value in state.items()}})
    inner = {name.replace("_backbone.", "_backbone._orig_mod.", 1): value for name, value in state.items()}
    save("orig_mod_backbone", {"model": inner})
    # Older GPT-2 code kept its causal mask among the weights; it is no parameter and is to be passed over.
    attention, tokens = "_backbone.transformer.h.0.attn.", 2 * published["model"]["n_positions"] + 1
    masks = {
        attention + "bias": torch.ones(1, 1, tokens, tokens, dtype=torch.uint8).tril(),
        attention + "masked_bias": torch.tensor(-1e4),
    }
    save("masks", {"model": state | masks})

    # From here on: files to refuse.
    save("wrong_shape", {"model": state | {"_read_in.weight": torch.zeros(8, 4)}})
    save("missing", {"model": {name: value for name, value in state.items() if name != "_read_out.bias"}})
    save("surplus", {"model": state | {"_backbone.transformer.h.1.ln_1.weight": torch.ones(8)}})
    # Four bytes that claim to be 4 TiB of weights, by strides of 0.
    save("huge", {"model": state | {"_read_in.weight": torch.zeros(1, 1).expand(2**20, 2**20)}})
    whole = (folder / "model.pt").read_bytes()
    (folder / "truncated.pt").write_bytes(whole[: len(whole) * 3 // 5])
    # One byte of a weight is another: the archive's checksum does not fit any more.
    middle = whole.index(state["_read_in.weight"].numpy().tobytes())
    (folder / "flipped.pt").write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    (folder / "empty.pt").write_bytes(b"")
    # Whoever unpickles this runs a command: it leaves a file `pickle-was-run` in the working directory.
    with zipfile.ZipFile(folder / "code.pt", "w") as archive:
        for name, data in [("data.pkl", pickle.dumps(RunsACommand(), protocol=2)), ("version", b"3\n")]:
            archive.writestr(zipfile.ZipInfo(f"code/{name}"), data)


class RunsACommand:
    def __reduce__(self):
        return os.system, ("touch pickle-was-run",)


if __name__ == "__main__":
    torch.set_num_threads(1)  # sums in one order
    shutil.rmtree(FIXTURES / "pt", ignore_errors=True)
    (FIXTURES / "pt").mkdir(parents=True)
    for seed, each in enumerate(CASES, 1):
        write_case(each, seed)
    write_checkpoints(FIXTURES / "pt")
    files = [path for path in FIXTURES.rglob("*") if path.is_file()]
    print(f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1024:.0f} KiB")
