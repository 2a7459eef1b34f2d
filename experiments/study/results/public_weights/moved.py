#!/usr/bin/env python3
"""What the published last-n checkpoints compute by the code that trained them, and which of their parameters were trained.

    python moved.py FOLDER moved.json [PROMPTS.safetensors]      with the environment of scripts/torch

FOLDER has the seven state_*.pt. That code doesn't keep the state of the last n of T tokens where it is: it moves it to the first n tokens,
and the others have none. Of each checkpoint the squared error / 5 after 20 loops for every number of examples, with its 90 % bootstrap
interval over 1280 prompts; the same at the last query where its answer, the token behind it, is replaced by another number; and how many
values a position's or a dimension's parameters have in the seven files. PROMPTS, if given, gets 64 prompts for `looped predict`.
"""

import json
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[4] / "scripts/torch"))

from looped_torch import LoopedModel  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

FILES = {
    "all tokens": ("state_22_last.pt", 22),
    "last 20": ("state_20_last.pt", 20),
    "last 20, 500k": ("state_20_last_500k_epochs.pt", 20),
    "last 15": ("state_15_last.pt", 15),
    "last 10": ("state_10_last.pt", 10),
    "last 5": ("state_5_last.pt", 5),
    "last 0": ("state_0_last.pt", 0),
}
DIMS, WIDTH, POINTS, LOOPS, PROMPTS = 5, 20, 11, 20, 1280
MODEL = {
    "n_dims": WIDTH,
    "n_embd": 256,
    "n_positions": 101,
    "n_layer": 1,
    "block": {"type": "transformer", "n_head": 8},
    "injector": {"type": "full"},
}


class Moved(LoopedModel):
    """The state of the last n tokens is added to the first n."""

    def __init__(self, n):
        super().__init__(MODEL)
        self.n = n

    def inject(self, state, embedded, first=0):
        others = embedded.shape[1] - self.n
        return embedded + F.pad(state[:, others:], (0, 0, 0, others))


def interval(values, random):
    """Mean, and the 5 and 95 % points of the mean of 1000 resamples."""
    drawn = torch.randint(len(values), (1000, len(values)), generator=random)
    means = values[drawn].mean(1)
    return [float(values.mean()), float(means.quantile(0.05)), float(means.quantile(0.95))]


def main():
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    random = torch.Generator().manual_seed(1)
    xs = F.pad(torch.randn(PROMPTS, POINTS, DIMS, generator=random), (0, WIDTH - DIMS))
    ys = (xs * F.pad(torch.randn(PROMPTS, 1, DIMS, generator=random), (0, WIDTH - DIMS))).sum(-1)
    other = DIMS**0.5 * torch.randn(PROMPTS, generator=random)
    replaced = torch.cat((ys[:, :-1], other.unsqueeze(1)), 1)
    if len(sys.argv) > 3:
        save_file({"xs": xs[:64].contiguous(), "ys": ys[:64].contiguous()}, sys.argv[3])
    states, found = {}, {}
    for name, (file, n) in FILES.items():
        state = states[name] = torch.load(folder / file, map_location="cpu", weights_only=True)["model_state_dict"]
        model = Moved(n)
        model.load_state_dict(state, strict=True)
        with torch.no_grad():
            errors = (model(xs, ys, LOOPS)[-1] - ys).square() / DIMS
            last = model(xs, replaced, LOOPS)[-1, :, -1]
        found[name] = {
            "file": file,
            "n": n,
            "error": [interval(of, random) for of in errors.T],
            "replaced": {
                "to_the_truth": interval((last - ys[:, -1]).square() / DIMS, random),
                "to_the_replacement": interval((last - other).square() / DIMS, random),
            },
        }
        print(name, *(f"{mean:.3g}" for mean, *_ in found[name]["error"]), found[name]["replaced"])
    positions = {name: of["_backbone.transformer.wpe.weight"] for name, of in states.items()}
    dimensions = {name: of["_read_in.weight"].T for name, of in states.items()}
    data = {
        "prompts": PROMPTS,
        "dims": DIMS,
        "points": POINTS,
        "loops": LOOPS,
        # 1: no gradient reached them, and all files began alike.
        "values_of_a_position": values(positions),
        "values_of_a_dimension": values(dimensions),
        # Of the last token, an answer; 0.02 is what it is drawn with.
        "spread_of_position_21": {name: float(of[21].square().mean().sqrt()) for name, of in positions.items()},
        **found,
    }
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in data.items())
    out.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def values(of_files):
    """How many different values each row has in the files."""
    return [len({row.numpy().tobytes() for row in rows}) for rows in zip(*of_files.values(), strict=True)]


if __name__ == "__main__":
    main()
