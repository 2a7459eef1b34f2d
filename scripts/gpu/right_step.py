#!/usr/bin/env python3
"""Compares one training step of crates/gpu's bench with PyTorch in f64 and f32, on a machine with a GPU.

    scripts/gpu/right_step.py PATH_OF_STEP [FOLDER]

PATH_OF_STEP is the example `gpu_step` of crates/gpu, built anywhere (it needs no CUDA to build). For a tiny shape and for the
study's full shape, random weights and prompts go to a file, the program computes loss, predictions and gradients in f32,
tf32 and bf16, and each is compared with the same model in PyTorch. An error is the Euclidean distance from the f64 result
over that result's size. Exits with 1 if one is over its limit.
"""
import math
import pathlib
import subprocess
import sys
import tempfile

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

BLOCK = "_backbone.transformer.h.0."
# Loss and predictions, gradients. tf32 cuts operands to 10 bits of mantissa, bf16 to 7; 30 loops add to that.
LIMITS = {"f32": (1e-5, 1e-5), "tf32": (5e-3, 2e-2), "bf16": (5e-2, 2e-1)}
WAYS = ("f32", "tf32", "tf32+plain", "tf32+tuned", "bf16", "bf16+plain", "bf16+tuned")


def weights(width, dims, positions, seed):
    torch.manual_seed(seed)
    normal = lambda *sides, std=0.02: std * torch.randn(*sides, dtype=torch.float64)
    bound = lambda inputs, *sides: (2 * torch.rand(*sides, dtype=torch.float64) - 1) / math.sqrt(inputs)
    made = {
        "_read_in.weight": bound(dims, width, dims),
        "_read_in.bias": bound(dims, width),
        "_read_out.weight": bound(width, 1, width),
        "_read_out.bias": bound(width, 1),
        "_backbone.transformer.wpe.weight": normal(positions, width),
    }
    # Norms and biases away from 1 and 0, so that a mistake in them shows; weights somewhat larger than at the start.
    for norm in (BLOCK + "ln_1", BLOCK + "ln_2", "_backbone.transformer.ln_f"):
        made[norm + ".weight"] = 1 + normal(width, std=0.1)
        made[norm + ".bias"] = normal(width, std=0.1)
    for name, outputs, inputs in (("attn.c_attn", 3, 1), ("attn.c_proj", 1, 1), ("mlp.c_fc", 4, 1), ("mlp.c_proj", 1, 4)):
        made[f"{BLOCK}{name}.weight"] = normal(outputs * width, inputs * width, std=0.05)
        made[f"{BLOCK}{name}.bias"] = normal(outputs * width, std=0.05)
    return {name: value.float() for name, value in made.items()}


def step(params, xs, ys, heads, loops, window):
    """Loss, predictions (window, batch, points) and gradients of a looped transformer, all tokens injected."""
    width = params[BLOCK + "ln_1.weight"].numel()
    batch, points, dims = xs.shape
    tokens = torch.zeros(batch, 2 * points, dims, dtype=xs.dtype, device=xs.device)
    tokens[:, 0::2], tokens[:, 1::2, 0] = xs, ys
    tokens = tokens[:, : 2 * points - 1]
    count = tokens.shape[1]
    linear = lambda x, name: F.linear(x, params[name + ".weight"], params[name + ".bias"])
    norm = lambda x, name: F.layer_norm(x, (width,), params[name + ".weight"], params[name + ".bias"], 1e-5)
    hidden = torch.full((count, count), -math.inf, dtype=xs.dtype, device=xs.device).triu(1)

    def block(x):
        q, k, v = linear(norm(x, BLOCK + "ln_1"), BLOCK + "attn.c_attn").view(batch, count, 3, heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) / math.sqrt(width // heads) + hidden).softmax(-1)
        x = x + linear((weights @ v).transpose(1, 2).reshape(batch, count, width), BLOCK + "attn.c_proj")
        inner = F.gelu(linear(norm(x, BLOCK + "ln_2"), BLOCK + "mlp.c_fc"), approximate="tanh")
        return x + linear(inner, BLOCK + "mlp.c_proj")

    def loop(z, embedded):
        placed = z + embedded + params["_backbone.transformer.wpe.weight"][:count]
        return norm(block(placed), "_backbone.transformer.ln_f")

    embedded = linear(tokens, "_read_in")
    z = torch.zeros_like(embedded)
    with torch.no_grad():
        for _ in range(loops - window):
            z = loop(z, embedded)
    predictions = []
    for _ in range(window):
        z = loop(z, embedded)
        predictions.append(linear(z, "_read_out").squeeze(-1)[:, 0::2])
    predictions = torch.stack(predictions)
    loss = (predictions - ys).square().mean()
    loss.backward()
    return {"loss": loss.detach().view(1), "predictions": predictions.detach(), **{n: p.grad for n, p in params.items()}}


def of_type(params, xs, ys, dtype, device, *how):
    to = lambda x: x.to(device=device, dtype=dtype)
    return step({n: to(p).requires_grad_() for n, p in params.items()}, to(xs), to(ys), *how)


def errors(got, want):
    off = {}
    for name, value in want.items():
        size = value.double().norm().item() or 1.0
        off[name] = (got[name].double().to(value.device).view_as(value) - value.double()).norm().item() / size
    return off


def summary(off):
    loss = max(off["loss"], off["predictions"])
    worst = max((name for name in off if name not in ("loss", "predictions")), key=lambda name: off[name] if off[name] == off[name] else math.inf)
    return loss, off[worst], worst


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = False
    good = True
    shapes = {
        "tiny": dict(width=64, heads=4, dims=4, batch=3, points=5, loops=4, window=2, positions=23),
        "uneven": dict(width=192, heads=3, dims=5, batch=5, points=17, loops=3, window=3, positions=60),
        "study": dict(width=256, heads=8, dims=20, batch=64, points=41, loops=30, window=20, positions=203),
    }
    for name, s in shapes.items():
        params = weights(s["width"], s["dims"], s["positions"], 1)
        xs = torch.randn(s["batch"], s["points"], s["dims"])
        ys = (xs @ torch.randn(s["batch"], s["dims"], 1)).squeeze(-1)
        how = (s["heads"], s["loops"], s["window"])
        want = of_type(params, xs, ys, torch.float64, device, *how)
        loss, gradient, worst = summary(errors(of_type(params, xs, ys, torch.float32, device, *how), want))
        print(f"{name}: loss {want['loss'].item():.6f} in f64; PyTorch in f32 is off by {loss:.1e}, gradients {gradient:.1e} ({worst})")
        given = folder / f"{name}.safetensors"
        save_file({**params, "xs": xs, "ys": ys}, given, {k: str(s[k]) for k in ("heads", "loops", "window")})
        for precision in WAYS:
            limits = LIMITS[precision.split("+")[0]]
            out = folder / f"{name}_{precision}.safetensors"
            done = subprocess.run([program, "check", given, out, precision], capture_output=True, text=True)
            same = "gives the same bits: true" in done.stdout
            if done.returncode != 0:
                print(f"  {precision}: FAILED: {(done.stderr + done.stdout).strip()}")
                good = False
                continue
            off = errors(load_file(out), want)
            loss, gradient, worst = summary(off)
            fits = loss <= limits[0] and gradient <= limits[1] and same
            good &= fits
            print(f"  {precision}: {'ok' if fits else 'FAILED'}, loss and predictions {loss:.1e}, gradients {gradient:.1e} ({worst}); replay {'the same' if same else 'OTHER'} bits")
            if not fits:
                for parameter, error in sorted(off.items(), key=lambda item: -item[1] if item[1] == item[1] else -math.inf):
                    print(f"      {error:.1e} {parameter}")
    sys.exit(0 if good else 1)


main()
