"""The PyTorch side of fast.py: one setting and precision, its forms timed on request. On a GPU by CUDA events.

    python scripts/gpu/torch_step.py --width 256 --heads 8 --precision tf32 [--forms eager,compile,graph] [--device cuda]

Takes the sizes of scripts/torch/bench_peer.py. Prints a line of JSON once every form is warmed up; then, for each line
`FORM STEPS` of standard input, a line with the milliseconds of each step.

| form | is |
| --- | --- |
| eager | PyTorch's operations one by one; Adam in one fused kernel |
| compile | torch.compile of the backbone |
| graph | the compiled step, Adam included, as one CUDA graph; eager where the block isn't compiled |

A step is zero_grad, forward, backward, Adam, on prompts that are on the device already; its loss stays there. f32 means
strict f32 products, tf32 products of f32 numbers on the tensor cores, bf16 autocast.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "torch"))
from bench_peer import build
from looped_torch import loss


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--width", type=int, default=256)
    add("--heads", type=int, default=8)
    add("--layers", type=int, default=1)
    add("--block", choices=["transformer", "lstm"], default="transformer")
    add("--injector", choices=["full", "none"], default="full")
    add("--last-n", type=int)
    add("--dims", type=int, default=20)
    add("--points", type=int, default=41)
    add("--positions", type=int, default=101)
    add("--batch", type=int, default=64)
    add("--loops", type=int, default=30)
    add("--window", type=int, default=20)
    add("--prefix-once", action="store_true", help="of last_n, compute the other tokens once, not in every loop")
    add("--precision", choices=["f32", "tf32", "bf16"], default="f32")
    add("--attention", choices=["explicit", "sdpa"], default="sdpa")
    add("--forms", default="eager,compile,graph")
    add("--device", default="cuda")
    args = parser.parse_args()
    args.window = min(args.window, args.loops)
    return args


class Form:
    """A model of its own, from the same seed as every other form's, and its step."""

    def __init__(self, name, args):
        torch.manual_seed(0)
        compiled = name == "compile" or (name == "graph" and args.block != "lstm")
        options = SimpleNamespace(**vars(args) | {"mode": "compile" if compiled else "eager"})
        self.args, self.on_gpu = args, args.device != "cpu"
        self.model = build(options).to(args.device)
        generator = torch.Generator().manual_seed(0)
        xs = torch.randn(args.batch, args.points, args.dims, generator=generator)
        ys = (xs @ torch.randn(args.batch, args.dims, 1, generator=generator)).squeeze(-1)
        self.xs, self.ys = xs.to(args.device), ys.to(args.device)
        graph = name == "graph"
        self.adam = torch.optim.Adam(self.model.parameters(), lr=1e-4, fused=True, capturable=graph and self.on_gpu)
        started = time.perf_counter()
        with self.warming_up():
            for _ in range(3):
                self.once()
        # The loss before the fourth update, of every form, for comparison.
        if graph and self.on_gpu:
            self.adam.zero_grad(set_to_none=True)
            recorded = torch.cuda.CUDAGraph()
            with torch.cuda.graph(recorded):
                self.loss = self.train()
            self.once = recorded.replay
        self.once()
        self.fourth_loss = self.loss.item()
        self.first_s = time.perf_counter() - started

    @contextlib.contextmanager
    def warming_up(self):
        if not self.on_gpu:
            yield
            return
        # What is captured later must not have begun on the default stream.
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            yield
        torch.cuda.current_stream().wait_stream(side)

    def once(self):
        self.adam.zero_grad(set_to_none=True)
        self.loss = self.train()

    def train(self):
        args = self.args
        with torch.autocast(torch.device(args.device).type, torch.bfloat16, enabled=args.precision == "bf16"):
            predictions = self.model(self.xs, self.ys, args.loops, args.window, args.prefix_once)
        value = loss(predictions.float(), self.ys, args.window)
        value.backward()
        self.adam.step()
        return value.detach()

    def milliseconds(self, steps):
        """Of each step: from its first operation's start to the next step's, as the GPU sees it."""
        if not self.on_gpu:
            times = [time.perf_counter()]
            for _ in range(steps):
                self.once()
                times.append(time.perf_counter())
            return [1e3 * (after - before) for before, after in zip(times, times[1:])]
        events = [torch.cuda.Event(enable_timing=True) for _ in range(steps + 1)]
        torch.cuda.synchronize()
        events[0].record()
        for event in events[1:]:
            self.once()
            event.record()
        torch.cuda.synchronize()
        return [before.elapsed_time(after) for before, after in zip(events, events[1:])]


def say(**what):
    print(json.dumps(what), flush=True)


def main():
    args = arguments()
    torch.set_float32_matmul_precision("high" if args.precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    forms, failed = {}, {}
    for name in args.forms.split(","):
        try:
            forms[name] = Form(name, args)
        except Exception as error:  # One form that PyTorch can't do leaves the others' numbers.
            failed[name] = f"{type(error).__name__}: {error}"[:300]
    peak = torch.cuda.max_memory_allocated() / 2**20 if args.device != "cpu" else None
    say(
        ready={name: {"fourth_loss": form.fourth_loss, "first_s": form.first_s} for name, form in forms.items()},
        failed=failed,
        torch=torch.__version__,
        peak_mb=peak,
    )
    for line in sys.stdin:
        name, steps = line.split()
        times = forms[name].milliseconds(int(steps))
        say(ms=times, median=statistics.median(times))


if __name__ == "__main__":
    main()
