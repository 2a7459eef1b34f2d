"""Does PyTorch predict the same from a run's weights? Exit 0 if so, 1 if not.

    looped predict runs/quickstart --data prompts.safetensors --loops 30 --out preds.safetensors
    python scripts/torch/check_export.py runs/quickstart prompts.safetensors preds.safetensors

The run's last checkpoint goes into the PyTorch model under its own names, none missing and none left over. The measure is
PyTorch in f64; how far PyTorch's own f32 is from it is printed beside ours.
"""

import argparse
import sys
import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file

from looped_torch import LoopedModel


def main():
    args = arguments()
    config = tomllib.loads((args.run / "config.toml").read_text())["model"]
    weights = load_file(args.run / "checkpoints/last/model.safetensors")
    prompts = load_file(args.prompts)
    ours = load_file(args.preds)["preds"]
    if ours.dim() != 3 or ours.shape[1:] != prompts["ys"].shape:
        sys.exit(f"{args.preds}: preds is {tuple(ours.shape)}, wanted (loops, {', '.join(map(str, prompts['ys'].shape))})")

    single = predict(config, weights, prompts, len(ours), torch.float32)
    exact = predict(config, weights, prompts, len(ours), torch.float64)
    scale = exact.abs().max()
    difference, rounding = (float((other.double() - exact).abs().max() / scale) for other in (ours, single))
    # Written so that NaN fails.
    good = difference <= args.tolerance
    print(
        f"{'ok' if good else 'DIFFERENT'}: {difference:.2e} is the largest difference of {ours.numel()} predictions "
        f"({len(ours)} loops), relative to the largest prediction; allowed {args.tolerance:.0e}; torch f32 {rounding:.2e}"
    )
    sys.exit(not good)


def predict(config, weights, prompts, loops, dtype):
    model = LoopedModel(config).to(dtype)
    model.load_state_dict(weights, strict=True)
    with torch.no_grad():
        return model(prompts["xs"].to(dtype), prompts["ys"].to(dtype), loops)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="a run directory")
    parser.add_argument("prompts", type=Path, help="safetensors with xs (B, n, d) and ys (B, n)")
    parser.add_argument("preds", type=Path, help="what `looped predict` made of them: preds (loops, B, n)")
    parser.add_argument("--tolerance", type=float, default=1e-5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
