"""Writes tests/data/: one small model in every form that PyTorch saves weights in, and files that must be refused.

    /tmp/venv/bin/python crates/weights/tests/make_pt.py     (torch and safetensors from PyPI; torch 2.15 wrote these)

The weights are eighths of small integers, which half and brain floats hold exactly, so that every good file must give
back what `expected.safetensors` holds, bit for bit.
"""

import os
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

DATA = Path(__file__).parent / "data"
SHAPES = {
    "_read_in.weight": (4, 3),
    "_read_in.bias": (4,),
    "_backbone.transformer.wpe.weight": (5, 4),
    "_backbone.transformer.h.0.attn.c_attn.weight": (12, 4),
    "_backbone.transformer.h.0.attn.c_attn.bias": (12,),
    "_backbone.transformer.ln_f.weight": (4,),
    "_read_out.weight": (1, 4),
    "_read_out.bias": (1,),
}


def weights():
    torch.manual_seed(0)
    return OrderedDict((name, torch.randint(-100, 100, shape) / 8) for name, shape in SHAPES.items())


def save(name, value, **how):
    torch.save(value, DATA / f"{name}.pt", **how)


def each(change):
    return OrderedDict((name, change(tensor)) for name, tensor in weights().items())


def prefixed(prefix):
    return OrderedDict((prefix + name, tensor) for name, tensor in weights().items())


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self._read_out = torch.nn.Linear(4, 1)


def optimizer_state():
    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, betas=(0.9, 0.999))
    model._read_out(torch.ones(2, 4)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


def with_metadata():
    """As a module's own state dict, which has an attribute beside its entries."""
    state = weights()
    state._metadata = OrderedDict({"": {"version": 1}, "_read_in": {"version": 1}})
    return state


def shared():
    """Every tensor a view of one storage, each after the one before it, the first not at its start."""
    flat = torch.cat([torch.full((7,), -1.0)] + [tensor.flatten() for tensor in weights().values()])
    at, state = 7, OrderedDict()
    for name, shape in SHAPES.items():
        size = torch.Size(shape).numel()
        state[name] = flat[at : at + size].view(shape)
        at += size
    return state


def masks():
    state = with_metadata()
    for block, kind in enumerate([torch.uint8, torch.bool, torch.float32]):
        mask = torch.tril(torch.ones(7, 7, dtype=kind)).view(1, 1, 7, 7)
        state[f"_backbone.transformer.h.{block}.attn.bias"] = mask
        state[f"_backbone.transformer.h.{block}.attn.masked_bias"] = torch.tensor(-1e4)
    return state


def good():
    plain = weights()
    save_file(dict(plain), DATA / "expected.safetensors")
    save_file({"module._orig_mod." + n: t.half() for n, t in plain.items()}, DATA / "half.safetensors")
    save_file({n: t.bfloat16() for n, t in plain.items()}, DATA / "brain.safetensors", metadata={"format": "pt"})
    kept = {n: t.double() for n, t in masks().items()}
    save_file(kept, DATA / "double_masks.safetensors")

    save("model", {"model": with_metadata(), "optimizer": optimizer_state(), "step": 20000})
    save(
        "model_state_dict",
        {"model_state_dict": with_metadata(), "optimizer_state_dict": optimizer_state(), "train_step": 20000},
    )
    save("state_dict", {"epoch": 3, "state_dict": with_metadata()})
    save("bare", with_metadata())
    save("dict", dict(weights()))
    save("orig_mod", {"model": prefixed("_orig_mod.")})
    save("module", prefixed("module._orig_mod."))
    save("half", each(torch.Tensor.half))
    save("brain", each(torch.Tensor.bfloat16))
    save("double", each(torch.Tensor.double))
    save("transposed", each(lambda tensor: tensor.t().contiguous().t()))
    save("shared", shared())
    save("masks", masks())
    save("parameters", each(torch.nn.Parameter))
    notes = [None, True, 0.5, "text", -3, 2**70, -(2**40), (1, (2, ())), {4: {}}, torch.Size([2, 3]), torch.float32]
    notes += [torch.device("cpu"), torch.get_rng_state()[:64].clone(), notes[8]]
    save("notes", {"args": notes, "model": weights(), "best": {"loss": 1e-3, "at": [1, 2, 3]}, 7: ()})
    repack("bare", "deflated", zipfile.ZIP_DEFLATED)


def repack(source, target, how, change=lambda name, content: content):
    with zipfile.ZipFile(DATA / f"{source}.pt") as old:
        entries = {name: change(name, old.read(name)) for name in old.namelist()}
    with zipfile.ZipFile(DATA / f"{target}.pt", "w") as new:
        for name, content in entries.items():
            new.writestr(zipfile.ZipInfo(name), content, how)


class Runs:
    """Its pickle has the reader run a command, which would leave a file behind."""

    def __reduce__(self):
        return os.system, ("touch pwned",)


def bad():
    save("code", {"model": weights(), "step": Runs()})
    save("whole_module", Model())
    save("legacy", weights(), _use_new_zipfile_serialization=False)
    save("protocol_4", weights(), pickle_protocol=4)
    save("integers", {"model": each(torch.Tensor.int)})
    save("complex", each(lambda tensor: tensor.to(torch.complex64)))
    save("sparse", each(torch.Tensor.to_sparse))
    save("one_tensor", torch.ones(3))
    save("elsewhere", {"weights": weights(), "epoch": 1})
    save("not_a_tensor", {"model": {**weights(), "scale": 3.0}})
    save("clash", {**weights(), **prefixed("_orig_mod.")})
    torch.jit.save(torch.jit.script(Model()._read_out), DATA / "program.pt")
    bytes_of = {"byteorder": b"big"}
    repack("bare", "big_endian", zipfile.ZIP_STORED, lambda name, old: bytes_of.get(name.rsplit("/", 1)[-1], old))
    # A vector of two to the forty numbers, all of them the one number that is stored.
    save("expanded", {"_read_in.bias": torch.ones(1).expand(2**40)})
    # Four million numbers, all of them zero, in sixteen kilobytes of archive.
    save("bomb", {"_read_in.bias": torch.zeros(2**22)})
    repack("bomb", "bomb", zipfile.ZIP_DEFLATED)
    # A storage that the pickle and the archive's directory call two to the thirty-first bytes long.
    save("huge", {"_read_in.bias": torch.arange(4.0)})
    huge = bytearray((DATA / "huge.pt").read_bytes())
    directory = huge.rindex(b"huge/data/0") - 46
    huge[directory + 20 : directory + 28] = struct.pack("<II", 2**31, 2**31)
    (DATA / "huge.pt").write_bytes(huge)


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    good()
    bad()
    for path in sorted(DATA.iterdir()):
        print(f"{path.stat().st_size:8} {path.name}")
