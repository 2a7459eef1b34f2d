"""Writes crates/train/tests/fixtures/optimizers/: what PyTorch makes of three parameters in 100 steps, for ours to agree with.

    python scripts/torch/make_optimizer_fixtures.py            (torch 2.11 wrote those in the repository)

NAME.safetensors holds one optimiser. Its metadata has under "optimizer" its table in an experiment, under "case" a JSON object with
`learning_rate` and `l2` (training.weight_decay). Its tensors are f32:

    start.P          the parameter P at first
    gradients.P      its gradients, (100, ...): given numbers, not those of a loss
    step1.P, step10.P, step100.P

P is one of `h.weight` (6, 4), `h.bias` (6), `tall.weight` (4, 6), the read-out's `_read_out.weight` (1, 4). All is computed in f64 and
rounded once. `adam` and `adamw` are torch.optim's. Muon is written out here, since torch.optim.Muon computes in bf16; that one must
agree as far as bf16 goes.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).parents[2] / "crates/train/tests/fixtures/optimizers"
STEPS, RATE = 100, 1e-2
SHAPES = {"h.weight": (6, 4), "h.bias": (6,), "tall.weight": (4, 6), "_read_out.weight": (1, 4)}
MATRICES = ["h.weight", "tall.weight"]


def drawn(seed):
    generator = torch.Generator().manual_seed(seed)
    start = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
    # A drift beside the noise, and sizes that change by powers of ten, so that moments and eps count.
    def gradients(shape):
        sizes = 10 ** torch.linspace(-3, 0, STEPS).reshape(-1, *[1] * len(shape))
        return sizes * (torch.randn((STEPS, *shape), generator=generator) + torch.randn(shape, generator=generator))

    return start, {name: gradients(shape) for name, shape in SHAPES.items()}


def newton_schulz(matrix, steps):
    """The singular vectors of a matrix with singular values near 1, by the quintic of Jordan et al."""
    x = matrix / (torch.linalg.matrix_norm(matrix) + 1e-7)
    if tall := x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


class Muon:
    """Momentum made orthogonal, with decoupled decay."""

    def __init__(self, parameters, lr, momentum, weight_decay, steps, scale):
        self.parameters, self.lr, self.momentum = list(parameters), lr, momentum
        self.weight_decay, self.steps, self.scale = weight_decay, steps, scale
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self):
        for parameter, mean in zip(self.parameters, self.means):
            rows, columns = parameter.shape
            mean.mul_(self.momentum).add_(parameter.grad, alpha=1 - self.momentum)
            ahead = self.momentum * mean + (1 - self.momentum) * parameter.grad
            scale = {"adamw": 0.2 * max(rows, columns) ** 0.5, "shape": max(1, rows / columns) ** 0.5}[self.scale]
            parameter.mul_(1 - self.lr * self.weight_decay)
            parameter.sub_(newton_schulz(ahead, self.steps), alpha=self.lr * scale)


def adamw(parameters, names, decay, betas=(0.9, 0.999), eps=1e-8):
    groups = [
        {"params": [parameters[name] for name in names if name.endswith("weight")], "weight_decay": decay},
        {"params": [parameters[name] for name in names if not name.endswith("weight")], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=RATE, betas=betas, eps=eps)


def run(make, start, gradients):
    parameters = {name: value.double().requires_grad_() for name, value in start.items()}
    optimizers, kept = make(parameters), {}
    for step in range(STEPS):
        for name, parameter in parameters.items():
            parameter.grad = gradients[name][step].double()
        for optimizer in optimizers:
            optimizer.step()
        if step + 1 in (1, 10, 100):
            kept |= {f"step{step + 1}.{name}": value.detach().clone() for name, value in parameters.items()}
    return kept


def write(name, seed, table, make, l2=0.0):
    start, gradients = drawn(seed)
    kept = {key: value.float() for key, value in run(make, start, gradients).items()}
    tensors = {f"start.{key}": value for key, value in start.items()}
    tensors |= {f"gradients.{key}": value for key, value in gradients.items()} | kept
    metadata = {"optimizer": json.dumps(table), "case": json.dumps({"learning_rate": RATE, "l2": l2})}
    save_file({key: value.contiguous() for key, value in tensors.items()}, FOLDER / f"{name}.safetensors", metadata)


def muon(scale, own=True):
    rest = [name for name in SHAPES if name not in MATRICES]

    def make(parameters):
        matrices = [parameters[name] for name in MATRICES]
        if own:
            return [Muon(matrices, RATE, 0.95, 0.1, 5, scale), adamw(parameters, rest, 0.1)]
        adjust = {"adamw": "match_rms_adamw", "shape": "original"}[scale]
        return [torch.optim.Muon(matrices, lr=RATE, weight_decay=0.1, adjust_lr_fn=adjust), adamw(parameters, rest, 0.1)]

    return make


def check_against_torchs_own():
    """Ours in f64 against torch.optim.Muon, whose products are in bf16: a step has entries of about RATE."""
    for scale in ("adamw", "shape"):
        start, gradients = drawn(4)
        own, theirs = (run(muon(scale, own), start, gradients) for own in (True, False))
        worst = max(float((own[key] - theirs[key]).abs().max()) for key in own if key.startswith("step1."))
        print(f"muon, {scale}: differs from torch.optim.Muon by {worst:.1e} after a step")
        assert worst < 0.05 * RATE, worst


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    check_against_torchs_own()
    write("adam", 1, {"type": "adam"}, lambda p: [torch.optim.Adam(p.values(), lr=RATE, weight_decay=0.05)], l2=0.05)
    table = {"type": "adamw", "weight_decay": 0.1, "betas": [0.8, 0.95], "eps": 1e-6}
    write("adamw", 2, table, lambda p: [adamw(p, SHAPES, 0.1, (0.8, 0.95), 1e-6)])
    write("adamw_defaults", 3, {"type": "adamw"}, lambda p: [adamw(p, SHAPES, 0.01)])
    for seed, scale in enumerate(("adamw", "shape"), 4):
        write(f"muon_{scale}", seed, {"type": "muon", "weight_decay": 0.1, "scale": scale}, muon(scale))
