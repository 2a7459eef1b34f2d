"""Times the PyTorch peer: a training step, or predictions alone. Prints one line of JSON.

    python scripts/torch/bench_peer.py                                           the study's step, D 256
    python scripts/torch/bench_peer.py --width 64 --heads 4 --mode compile
    python scripts/torch/bench_peer.py --last-n 20 --prefix-once
    python scripts/torch/bench_peer.py --layers 12 --loops 1 --injector none     the standard transformer
    python scripts/torch/bench_peer.py --eval --loops 50

A training step is zero_grad, forward, backward, Adam. Peak memory is the process's, so run one setting a process, as this
script does. `base_mb` is what importing torch and building the model took of it. `cpu_s` is the time of all threads
together, waiting in spin locks included: far above `median_s` times the free cores, the machine was busy otherwise.
"""

import argparse
import json
import os
import resource
import statistics
import sys
import time


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--width", type=int, default=256, help="D, n_embd")
    add("--heads", type=int, default=8)
    add("--layers", type=int, default=1, help="blocks in one loop")
    add("--block", choices=["transformer", "lstm"], default="transformer")
    add("--injector", choices=["full", "none"], default="full")
    add("--last-n", type=int, help="inject the last n tokens only")
    add("--prefix-once", action="store_true", help="compute the other tokens once, not in every loop")
    add("--dims", type=int, default=20, help="d, the width of x")
    add("--points", type=int, default=41)
    add("--positions", type=int, default=101, help="n_positions")
    add("--batch", type=int, default=64)
    add("--loops", type=int, default=30)
    add("--window", type=int, default=20, help="the last loops that carry gradient")
    add("--loss-loops", type=int, help="the last loops that enter the loss; default: the window")
    add("--eval", action="store_true", help="predictions of every loop, no gradient")
    add("--mode", choices=["eager", "compile"], default="eager", help="compile: torch.compile of the backbone")
    add("--precision", choices=["f32", "bf16"], default="f32", help="bf16: under autocast")
    add("--attention", choices=["explicit", "sdpa"], help="default: the faster, explicit for a step in bf16, else sdpa")
    add("--threads", type=int, default=os.cpu_count())
    add("--warmup", type=int, default=1, help="steps before timing starts (compilation always comes before)")
    add("--steps", type=int, default=3, help="timed steps")
    add("--serve", action="store_true", help="a step for each line of standard input, answered with its seconds")
    args = parser.parse_args()
    if min(args.steps, args.loops, args.window, args.threads) < 1:
        parser.error("--steps, --loops, --window and --threads must be at least 1")
    args.window = min(args.window, args.loops)
    args.loss_loops = args.loss_loops or args.window
    # Backward, sdpa's CPU kernel takes five times as long in bf16 as the plain products (torch 2.15, heads of 16 and 32).
    args.attention = args.attention or ("explicit" if args.precision == "bf16" and not args.eval else "sdpa")
    return args


def build(args):
    import torch

    from looped_torch import LoopedModel, Lstm

    block = {"type": args.block} | ({"n_head": args.heads} if args.block == "transformer" else {})
    injector = {"type": args.injector} if args.last_n is None else {"type": "last_n", "n": args.last_n}
    sizes = {"n_dims": args.dims, "n_positions": args.positions, "n_embd": args.width, "n_layer": args.layers}
    model = LoopedModel(sizes | {"block": block, "injector": injector}, args.attention)
    if args.mode == "compile":
        # torch.compile would unroll an LSTM token by token, for minutes and to no gain: it stays the library's kernel.
        for module in model.modules():
            if isinstance(module, Lstm):
                module.forward = torch.compiler.disable(module.forward)
        model._backbone.compile(dynamic=False)
    return model


def stepper(args, model):
    import torch

    from looped_torch import loss

    generator = torch.Generator().manual_seed(0)
    xs = torch.randn(args.batch, args.points, args.dims, generator=generator)
    ys = (xs @ torch.randn(args.batch, args.dims, 1, generator=generator)).squeeze(-1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def forward():
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            return model(xs, ys, args.loops, args.window, args.prefix_once).float()

    def train():
        optimizer.zero_grad(set_to_none=True)
        value = loss(forward(), ys, args.loss_loops)
        value.backward()
        optimizer.step()
        return value.item()

    @torch.no_grad()
    def evaluate():
        return loss(forward(), ys, 1).item()

    return evaluate if args.eval else train


def peak_mb():
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / (2**20 if sys.platform == "darwin" else 2**10))


def main():
    args = arguments()
    # Before torch starts its threads.
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    step = stepper(args, build(args))
    base = peak_mb()
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    for _ in range(args.warmup):
        step()
    seconds, cpu_seconds = [], []
    if args.serve:
        print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin if args.serve else range(args.steps):
        started, cpu_started = time.perf_counter(), time.process_time()
        value = step()
        seconds.append(time.perf_counter() - started)
        cpu_seconds.append(time.process_time() - cpu_started)
        if args.serve:
            print(json.dumps({"seconds": seconds[-1]}), flush=True)
    report = {
        "engine": "torch " + torch.__version__,
        "median_s": statistics.median(seconds),
        "min_s": min(seconds),
        "max_s": max(seconds),
        "cpu_s": statistics.median(cpu_seconds),
        "first_s": first,
        "peak_mb": peak_mb(),
        "base_mb": base,
        "loss": value,
    }
    print(json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in report.items()} | vars(args)))


if __name__ == "__main__":
    main()
