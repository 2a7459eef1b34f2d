#!/usr/bin/env python3
"""Does `last_n` learn where tokens lose their state from the first step on? Asked of our PyTorch model.

    python scripts/torch/plateau.py full     all tokens
    python scripts/torch/plateau.py 20       the last 20 of 22

The steps of experiments/study/cpu_a_no_ramp.toml, on prompts and initial weights of its own; prints the loss on 512 validation
prompts after the last loop, every 250 steps.
"""

import sys

import torch
from looped_torch import LoopedModel, loss

POINTS, N_DIMS = 11, 5


def batch(prompts, dims):
    xs = torch.randn(prompts, POINTS, N_DIMS)
    xs[..., dims:] = 0
    return xs, (xs @ torch.randn(prompts, N_DIMS, 1)).squeeze(-1)


def main():
    torch.manual_seed(0)
    kept = sys.argv[1]
    injector = {"type": "full"} if kept == "full" else {"type": "last_n", "n": int(kept)}
    block = {"type": "transformer", "n_head": 4}
    sizes = {"n_dims": N_DIMS, "n_positions": POINTS, "n_embd": 32, "n_layer": 1}
    model = LoopedModel({**sizes, "block": block, "injector": injector})
    adam = torch.optim.Adam(model.parameters(), lr=2e-3)
    for step in range(2501):
        dims, loops = min(5, 2 + step // 300), min(8, 4 + step // 800)
        xs, ys = batch(64, dims)
        adam.zero_grad()
        loss(model(xs, ys, loops, 4), ys, 4).backward()
        adam.step()
        if step % 250 == 0:
            with torch.no_grad():
                xs, ys = batch(512, dims)
                validation = (model(xs, ys, loops)[-1] - ys).square().mean()
            print(f"step {step}: {dims} dims, {loops} loops, validation loss {validation:.3f}", flush=True)


if __name__ == "__main__":
    main()
