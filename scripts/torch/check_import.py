"""The way back of check_export.py: a model that PyTorch wrote, and what we predict with it. `both_ways.sh` runs both.

    python scripts/torch/check_import.py prompts CONFIG.toml PROMPTS.safetensors
    python scripts/torch/check_import.py write CONFIG.toml PROMPTS.safetensors FORM MODEL.pt EXPECTED.safetensors
    looped import MODEL.pt CONFIG.toml --out back
    looped predict back --data PROMPTS.safetensors --loops 8 --out PREDS.safetensors
    python scripts/torch/check_import.py compare EXPECTED.safetensors PREDS.safetensors

`write` saves a model that PyTorch initialised, its biases and norms shaken too, in one of the published forms, and what it
predicts in f64 and f32. `compare` exits with 0 if the largest difference, relative to the largest prediction, is at most 1e-5.
"""

import sys
import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from looped_torch import LoopedModel

PROMPTS, LOOPS, TOLERANCE = 32, 8, 1e-5

# Enough that no bias is 0 and no norm's weight 1, and little enough that loops don't amplify rounding beyond TOLERANCE.
# Shaken by 0.1, an LSTM and a transformer in one loop may be chaotic: PyTorch's f32 is then 1.1e-5 from its own f64, which
# itself moves by 8e-6 when each parameter changes by half an ulp of f32. By 0.05 the two are 1.7e-6 and 8e-7 at most, over
# six seeds.
SHAKE = 0.05

FORMS = {
    "model": lambda model: {"model": model.state_dict()},
    "model_state_dict": lambda model: {
        "model_state_dict": model.state_dict(),
        "optimizer_state_dict": torch.optim.Adam(model.parameters()).state_dict(),
        "train_step": 100,
    },
    "compiled": lambda model: {"model": {f"_orig_mod.{name}": value for name, value in model.state_dict().items()}},
    "bare": lambda model: model.state_dict(),
}


def model_table(config):
    return tomllib.loads(Path(config).read_text())["model"]


def prompts(config, to):
    table = model_table(config)
    draw = torch.Generator().manual_seed(1)
    xs = torch.randn(PROMPTS, table["n_positions"], table["n_dims"], generator=draw)
    w = torch.randn(PROMPTS, table["n_dims"], 1, generator=draw)
    save_file({"xs": xs, "ys": (xs @ w).squeeze(-1)}, to)


def write(config, data, form, to, expected):
    torch.manual_seed(2)
    model = LoopedModel(model_table(config))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += SHAKE * torch.randn_like(parameter)
    torch.save(FORMS[form](model), to)
    data = load_file(data)
    with torch.no_grad():
        single = model(data["xs"], data["ys"], LOOPS)
        preds = model.double()(data["xs"].double(), data["ys"].double(), LOOPS)
    save_file({"preds": preds, "single": single}, expected)


def compare(expected, preds):
    torchs, preds = load_file(expected), load_file(preds)["preds"]
    expected = torchs["preds"]
    if expected.shape != preds.shape:
        sys.exit(f"preds is {tuple(preds.shape)}, wanted {tuple(expected.shape)}")
    scale = expected.abs().max()
    difference, rounding = (float((other.double() - expected).abs().max() / scale) for other in (preds, torchs["single"]))
    # Written so that NaN fails.
    good = difference <= TOLERANCE
    print(
        f"{'ok' if good else 'DIFFERENT'}: {difference:.2e} of {preds.numel()} predictions; allowed {TOLERANCE:.0e}; "
        f"torch f32 {rounding:.2e}"
    )
    sys.exit(not good)


if __name__ == "__main__":
    commands = {"prompts": prompts, "write": write, "compare": compare}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])
