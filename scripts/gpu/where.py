#!/usr/bin/env python3
"""Where does a step's time go? The card's ceilings, the products of a step alone, and PyTorch's kernels by time.

    python3 scripts/gpu/where.py --out FOLDER [--device cpu --tiny]

A product is timed as in a step: many launches in one CUDA graph, over buffers that take turns, so that no launch finds its
input in the cache because the last one left it there. Every number goes to FOLDER/where.json.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from card import card

# The study's step at D 256: 64 prompts of 82 tokens, a window of 20 loops.
ROWS, WINDOW = 64 * 82, 20
# Weights of a block: name, inputs, outputs.
WEIGHTS = [("c_attn", 256, 768), ("attn.c_proj", 256, 256), ("c_fc", 256, 1024), ("mlp.c_proj", 1024, 256)]
DTYPES = {"f32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


class Bench:
    def __init__(self, device):
        self.device, self.on_gpu = device, device != "cpu"

    def microseconds(self, calls, repeats=5, launches=40):
        """The median time of a call; `calls` take turns."""
        many = [calls[i % len(calls)] for i in range(launches)]
        if not self.on_gpu:
            started = time.perf_counter()
            for call in calls:
                call()
            return 1e6 * (time.perf_counter() - started) / len(calls)
        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            for call in calls:
                call()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in many:
                call()
        graph.replay()
        times = []
        for _ in range(repeats):
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            graph.replay()
            end.record()
            torch.cuda.synchronize()
            times.append(1e3 * start.elapsed_time(end) / launches)
        return statistics.median(times)

    def normals(self, *shape, dtype):
        return torch.randn(*shape, device=self.device).to(dtype)

    def product(self, m, k, n, precision, transposed=False, buffers=4):
        """Microseconds of (m, k) times (k, n); `transposed`: the first is stored as (k, m), as a weight's gradient needs it."""
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        dtype = DTYPES[precision]
        sets = []
        for _ in range(buffers):
            a = self.normals(k, m, dtype=dtype).t() if transposed else self.normals(m, k, dtype=dtype)
            sets.append((a, self.normals(k, n, dtype=dtype), torch.empty(m, n, device=self.device, dtype=dtype)))
        return self.microseconds([lambda s=s: torch.matmul(s[0], s[1], out=s[2]) for s in sets])

    def with_bias(self, m, k, n, precision, buffers=4):
        torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
        dtype = DTYPES[precision]
        bias, weight = self.normals(n, dtype=dtype), self.normals(n, k, dtype=dtype)
        inputs = [self.normals(m, k, dtype=dtype) for _ in range(buffers)]
        return self.microseconds([lambda x=x: torch.nn.functional.linear(x, weight, bias) for x in inputs])


def ceilings(bench, tiny):
    side, floats = (256, 1 << 16) if tiny else (8192, 1 << 29)
    rates = {}
    for precision in DTYPES:
        us = bench.microseconds([product_of(bench, side, precision)], launches=2 if precision == "f32" else 8)
        rates[precision] = 2e-6 * side**3 / us
    source, target = torch.rand(floats, device=bench.device), torch.empty(floats, device=bench.device)
    us = bench.microseconds([lambda: target.copy_(source)], launches=8)
    print(f"ceilings: product of {side} cubed " + ", ".join(f"{p} {r:.0f} TFLOP/s" for p, r in rates.items())
          + f"; copy {8e-6 * floats / us:.2f} TB/s, read and written")
    return {"product_tflops": rates, "copy_tb_s": 8e-6 * floats / us}


def product_of(bench, side, precision):
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    a, b = (bench.normals(side, side, dtype=DTYPES[precision]) for _ in range(2))
    out = torch.empty_like(a)
    return lambda: torch.matmul(a, b, out=out)


def products(bench, tiny):
    rows, window = (64, 2) if tiny else (ROWS, WINDOW)
    kinds = {
        "forward": lambda i, o, p: bench.product(rows, i, o, p),
        "forward + bias": lambda i, o, p: bench.with_bias(rows, i, o, p),
        "by the input": lambda i, o, p: bench.product(rows, o, i, p),
        "by the weight, a loop": lambda i, o, p: bench.product(o, rows, i, p, transposed=True),
        "by the weight, all loops": lambda i, o, p: bench.product(o, rows * window, i, p, transposed=True, buffers=1),
    }
    times = {}
    print(f"products of a step, microseconds (TFLOP/s); {rows} rows, a window of {window} loops")
    for kind, run in kinds.items():
        many = rows * (window if "all loops" in kind else 1)
        for name, inputs, outputs in WEIGHTS:
            cells = times.setdefault(kind, {}).setdefault(name, {})
            for precision in DTYPES:
                cells[precision] = run(inputs, outputs, precision)
            rate = {p: 2e-6 * many * inputs * outputs / us for p, us in cells.items()}
            print(f"  {kind:26} {name:12}" + "".join(f" {p} {us:8.1f} ({rate[p]:4.0f})" for p, us in cells.items()), flush=True)
    total = {}
    for precision in DTYPES:
        of = lambda kind: sum(cells[precision] for cells in times[kind].values())
        each = 30 * of("forward") + window * of("by the input")
        total[precision] = {
            "weights in every loop": (each + window * of("by the weight, a loop")) / 1e3,
            "weights at once": (each + of("by the weight, all loops")) / 1e3,
        }
        print(f"  all products of a step, {precision}: {total[precision]['weights in every loop']:.2f} ms, with the weights'"
              f" gradients of all loops at once {total[precision]['weights at once']:.2f} ms")
    return {"microseconds": times, "step_ms": total}


def kernels(args):
    """PyTorch's compiled step in bf16: time by kernel."""
    from types import SimpleNamespace

    import torch_step
    from torch.profiler import ProfilerActivity, profile

    sizes = dict(width=256, heads=8, layers=1, block="transformer", injector="full", last_n=None, dims=20, points=41,
                 positions=101, batch=64, loops=30, window=20, prefix_once=False, precision="bf16", attention="sdpa")
    if args.tiny:
        sizes |= dict(width=16, heads=2, points=5, batch=4, loops=3, window=2)
    form = torch_step.Form("compile", SimpleNamespace(**sizes, device=args.device))
    activity = ProfilerActivity.CPU if args.device == "cpu" else ProfilerActivity.CUDA
    with profile(activities=[activity]) as record:
        form.once()
        if args.device != "cpu":
            torch.cuda.synchronize()
    events = [(e.key, e.count, getattr(e, "self_device_time_total", 0) or e.self_cpu_time_total) for e in record.key_averages()]
    events.sort(key=lambda event: -event[2])
    print(f"PyTorch's compiled step in bf16: {sum(e[1] for e in events)} kernels, {sum(e[2] for e in events) / 1e3:.2f} ms in them")
    for name, count, us in events[:14]:
        print(f"  {us / 1e3:7.3f} ms {count:5} x {name[:100]}")
    return [{"kernel": name, "count": count, "us": us} for name, count, us in events]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to try this script")
    parser.add_argument("--parts", default="ceilings,products,kernels")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    bench, results = Bench(args.device), {"on": card()}
    print("; ".join(f"{key} {value}" for key, value in results["on"].items()))
    parts = {"ceilings": lambda: ceilings(bench, args.tiny), "products": lambda: products(bench, args.tiny),
             "kernels": lambda: kernels(args)}
    for name in args.parts.split(","):
        results[name] = parts[name]()
        (args.out / "where.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
