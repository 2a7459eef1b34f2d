"""Checks looped_torch.py against things that were not written by us: definitions, PyTorch's own layers, differences.

    python scripts/torch/test_looped_torch.py
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from looped_torch import Lstm, LoopedModel, StateSpace, Transformer, loss

torch.set_default_dtype(torch.float64)
TRANSFORMER = {"type": "transformer", "n_head": 2}
LSTM = {"type": "lstm"}
SSM = {"type": "ssm", "n_state": 3}
MIXED = {"type": "sequential", "blocks": [TRANSFORMER, LSTM]}
FULL = {"type": "full", "operation": "add"}


def config(block=TRANSFORMER, injector=FULL, n_layer=1, n_embd=8, n_dims=3, n_positions=7):
    sizes = {"n_dims": n_dims, "n_positions": n_positions, "n_embd": n_embd, "n_layer": n_layer}
    return sizes | {"block": block, "injector": injector}


def last(n, operation="add"):
    return {"type": "last_n", "n": n, "operation": operation}


def model(attention="explicit", **settings):
    """A model with weights far from their start, where every term counts."""
    torch.manual_seed(1)
    built = LoopedModel(config(**settings), attention)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return built


def batch(seed=2, size=2, points=4):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, points, *rest, generator=generator) for rest in [(3,), ()]]


def test_a_transformer_block_is_torchs_own_encoder_layer():
    ours = model(n_layer=1)._backbone.transformer.h[0]
    theirs = nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0.0, activation=lambda x: F.gelu(x, approximate="tanh"), batch_first=True, norm_first=True
    )
    pairs = [
        ("self_attn.in_proj_", "attn.c_attn."),
        ("self_attn.out_proj.", "attn.c_proj."),
        ("linear1.", "mlp.c_fc."),
        ("linear2.", "mlp.c_proj."),
        ("norm1.", "ln_1."),
        ("norm2.", "ln_2."),
    ]
    state = ours.state_dict()
    theirs.load_state_dict({a + kind: state[b + kind] for a, b in pairs for kind in ("weight", "bias")})
    x = torch.randn(2, 6, 8)
    expected = theirs(x, src_mask=nn.Transformer.generate_square_subsequent_mask(6), is_causal=True)
    torch.testing.assert_close(ours(x)[0], expected, rtol=1e-12, atol=1e-12)


def test_an_lstm_block_is_the_textbooks():
    block = Lstm(5)
    assert all(p.abs().max() <= 1 / math.sqrt(5) for p in block.parameters())
    x = np.random.default_rng(3).normal(size=(1, 6, 5))
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in block.parameters())
    sigmoid = lambda a: 1 / (1 + np.exp(-a))
    h, c, expected = np.zeros(5), np.zeros(5), []
    for token in x[0]:
        i, f, g, o = np.split(w_ih @ token + b_ih + w_hh @ h + b_hh, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        expected.append(h)
    got = block(torch.from_numpy(x))[0].detach().numpy()[0]
    np.testing.assert_allclose(got, np.array(expected), rtol=1e-12)


def test_a_state_space_is_its_differential_equation():
    torch.manual_seed(4)
    space = StateSpace(5, 3)
    with torch.no_grad():
        for parameter in space.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
        space.c_proj.weight.copy_(torch.eye(5))
        space.c_proj.bias.zero_()
    assert StateSpace(999, 1).log_dt.abs().max() <= math.log(10)
    log_dt, log_a, b, c, d, *_ = (p.detach().numpy() for p in space.parameters())
    x = np.random.default_rng(3).normal(size=(6, 5))
    rate = np.array([[1], [2], [3]]) * np.exp(log_a)
    h, expected, substeps = np.zeros((3, 5)), [], 100
    for token in x:
        # The input is held for a token; the classic Runge-Kutta method goes through it.
        step = 0.01 * np.exp(log_dt) / substeps
        slope = lambda h: -rate * h + b * token
        for _ in range(substeps):
            k1 = slope(h)
            k2 = slope(h + step / 2 * k1)
            k3 = slope(h + step / 2 * k2)
            h = h + step / 6 * (k1 + 2 * k2 + 2 * k3 + slope(h + step * k3))
        expected.append((c * h).sum(0) + d * token)
    got, state = space(torch.from_numpy(x).unsqueeze(0))
    np.testing.assert_allclose(got.detach().numpy()[0], np.array(expected), rtol=1e-10)
    np.testing.assert_allclose(state.detach().numpy()[0], h, rtol=1e-10)


def by_hand(model, xs, ys, loops):
    """The whole model on one prompt, token by token, from the definition."""
    p = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    at = "_backbone.transformer."

    def linear(name, x):
        return p[name + ".weight"] @ x + p[name + ".bias"]

    def norm(name, x):
        return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * p[name + ".weight"] + p[name + ".bias"]

    def block(name, x):
        width, heads = len(x[0]), 2
        head = width // heads
        qkv = [linear(name + "attn.c_attn", norm(name + "ln_1", token)) for token in x]
        out = []
        for t in range(len(x)):
            mixed = np.zeros(width)
            for h in range(heads):
                own = slice(h * head, (h + 1) * head)
                q, ks, vs = qkv[t][own], [r[width:][own] for r in qkv[: t + 1]], [r[2 * width :][own] for r in qkv]
                weights = np.exp([q @ k / math.sqrt(head) for k in ks])
                mixed[own] = sum(w * v for w, v in zip(weights / weights.sum(), vs))
            y = x[t] + linear(name + "attn.c_proj", mixed)
            a = linear(name + "mlp.c_fc", norm(name + "ln_2", y))
            gelu = 0.5 * a * (1 + np.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3)))
            out.append(y + linear(name + "mlp.c_proj", gelu))
        return out

    tokens = []
    for x, y in zip(xs.numpy(), ys.numpy()):
        tokens += [x, np.array([y] + [0] * (len(x) - 1))]
    embedded = [linear("_read_in", token) for token in tokens]
    kind, n = model.injector["type"], model.injector.get("n", 10**9)
    multiply = model.injector.get("operation") == "multiply"
    state = embedded if kind == "none" else [np.full(len(e), float(multiply)) for e in embedded]
    predictions = []
    for _ in range(loops):
        x = []
        for t, (z, e) in enumerate(zip(state, embedded)):
            z = z if t >= len(tokens) - n else np.full(len(e), float(multiply))
            x.append(z if kind == "none" else z * e if multiply else z + e)
        x = [token + p[at + "wpe.weight"][t] for t, token in enumerate(x)]
        for i in range(len(model._backbone.transformer.h)):
            x = block(f"{at}h.{i}.", x)
        state = [norm(at + "ln_f", token) for token in x]
        predictions.append([linear("_read_out", token)[0] for token in state[::2]])
    return np.array(predictions)


def test_the_model_is_its_definition():
    xs, ys = batch(size=1)
    for settings in [
        {},
        {"n_layer": 2},
        {"injector": {"type": "full", "operation": "multiply"}},
        {"injector": last(0)},
        {"injector": last(3)},
        {"injector": last(4, "multiply")},
        {"injector": {"type": "none"}},
    ]:
        built = model(**settings)
        got = built(xs, ys, 3).detach().numpy()[:, 0]
        np.testing.assert_allclose(got, by_hand(built, xs[0], ys[0], 3), rtol=1e-10, err_msg=str(settings))


def test_keeping_at_least_all_tokens_is_full_injection():
    xs, ys = batch()
    full = model()(xs, ys, 3)
    for n in [-1, 8, 99]:
        assert torch.equal(model(injector=last(n))(xs, ys, 3), full)


def test_the_prefix_computed_once_changes_nothing():
    xs, ys = batch()
    for block in [TRANSFORMER, LSTM, SSM, MIXED]:
        for n in [0, 1, 3, 4, 7, 8, -1]:
            for operation in ["add", "multiply"]:
                for attention in ["explicit", "sdpa"]:
                    built = model(attention, block=block, injector=last(n, operation), n_layer=2)
                    gradients, predictions = [], []
                    for once in [False, True]:
                        built.zero_grad()
                        predictions.append(built(xs, ys, 4, 2, prefix_once=once))
                        loss(predictions[-1], ys, 2).backward()
                        gradients.append([p.grad.clone() for p in built.parameters()])
                    torch.testing.assert_close(*predictions, rtol=1e-10, atol=1e-12)
                    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_both_attentions_agree():
    xs, ys = batch()
    torch.testing.assert_close(model("sdpa")(xs, ys, 3), model()(xs, ys, 3), rtol=1e-10, atol=1e-12)


def test_no_token_sees_a_later_one():
    (xs, ys), later = batch(), batch(seed=5)
    for block in [TRANSFORMER, LSTM, SSM, MIXED]:
        changed = [torch.cat((old[:, :2], new[:, 2:]), 1) for old, new in zip((xs, ys), later)]
        built = model(block=block)
        before, after = built(xs, ys, 3), built(*changed, 3)
        torch.testing.assert_close(before[..., :2], after[..., :2], rtol=1e-12, atol=1e-12)
        assert not torch.isclose(before[..., 2:], after[..., 2:]).any()


def test_gradients_are_finite_differences_of_the_window_with_its_first_state_held():
    xs, ys = batch()
    loops, window = 4, 2
    for block in [TRANSFORMER, LSTM, SSM, MIXED]:
        for injector in [FULL, last(3), last(5, "multiply"), {"type": "none"}]:
            for objective in ["squared_error", "cross_entropy"]:
                built = model(block=block, injector=injector)
                targets = ys.sign() if objective == "cross_entropy" else ys
                loss(built(xs, targets, loops, window), targets, window, objective).backward()

                @torch.no_grad()
                def embed():
                    padded = F.pad(targets.unsqueeze(-1), (0, 2))
                    return built._read_in(torch.stack((xs, padded), 2).flatten(1, 2))

                @torch.no_grad()
                def run(state, count):
                    predictions, embedded = [], embed()
                    for _ in range(count):
                        state = built._backbone(built.inject(state, embedded))
                        predictions.append(built._read_out(state)[:, ::2, 0])
                    return state, torch.stack(predictions)

                held, _ = run(built.initial(embed()), loops - window)
                for name, parameter in built.named_parameters():
                    direction = torch.randn_like(parameter)
                    along = (parameter.grad * direction).sum() if parameter.grad is not None else torch.tensor(0.0)
                    h, sides = 1e-5, []
                    for sign in [1, -2, 1]:
                        with torch.no_grad():
                            parameter += sign * h * direction
                        if sign != 1 or not sides:
                            sides.append(loss(run(held, window)[1], targets, window, objective))
                    torch.testing.assert_close(
                        along, (sides[0] - sides[1]) / (2 * h), rtol=1e-5, atol=1e-8, msg=lambda m: f"{name}: {m}"
                    )


def test_parameters_count_and_start_as_the_paper_says():
    torch.set_default_dtype(torch.float32)
    block = {"type": "transformer", "n_head": 8}
    for n_layer, expected in [(1, 795_905), (12, 9_483_265)]:  # the paper's 0.79 and 9.48 M
        built = LoopedModel(config(block=block, n_embd=256, n_dims=20, n_positions=101, n_layer=n_layer))
        sizes = {name: p.numel() for name, p in built.named_parameters()}
        assert sizes["_backbone.transformer.wpe.weight"] == 203 * 256
        assert sum(sizes.values()) - 203 * 256 == expected
        state = built.state_dict()
        for name, value in state.items():
            if name.startswith("_read"):
                bound = 1 / math.sqrt(20 if "in" in name else 256)
                assert value.abs().max() <= bound and (value.numel() == 1 or value.std() > bound / 2), name
            elif name.endswith("bias") or "ln_" in name:
                assert (value == (1 if name.endswith("weight") else 0)).all(), name
            else:
                std = 0.02 / math.sqrt(2 * n_layer) if "c_proj" in name else 0.02
                assert abs(value.std() / std - 1) < 0.03, name
    torch.set_default_dtype(torch.float64)


def test_names_are_those_of_the_checkpoints():
    inner = ["ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]
    transformer = {f"{name}.{kind}" for name in inner for kind in ("weight", "bias")}
    lstm = {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"}
    layers = ["ln_1", "ssm.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj"]
    ssm = {f"{name}.{kind}" for name in layers for kind in ("weight", "bias")}
    ssm |= {f"ssm.{name}" for name in ("log_dt", "log_a", "b", "c", "d")}
    mixed = {f"0.{name}" for name in transformer} | {f"1.{name}" for name in lstm}
    for block, names in [(TRANSFORMER, transformer), (LSTM, lstm), (SSM, ssm), (MIXED, mixed)]:
        outer = {f"{name}.{kind}" for name in ("_read_in", "_read_out") for kind in ("weight", "bias")}
        outer |= {f"_backbone.transformer.{name}" for name in ("wpe.weight", "ln_f.weight", "ln_f.bias")}
        outer |= {f"_backbone.transformer.h.{i}.{name}" for i in (0, 1) for name in names}
        assert set(model(block=block, n_layer=2).state_dict()) == outer


if __name__ == "__main__":
    for name, test in list(globals().items()):
        if name.startswith("test_"):
            test()
            print("ok", name.removeprefix("test_").replace("_", " "))
