#!/usr/bin/env python3
"""What a step of several ranks takes, by a model of it: the gradient is shared out, all else isn't.

    cargo run -p cli -p looped-train --example parts_of_a_step -- exp.toml training.threads=1 > parts.json
    scripts/mpi/cost.py parts.json

A batch has at least as many prompts as there are ranks. An all-reduce of B bytes over n ranks takes 2 log2(n) messages one after
another, and moves 2 B (n - 1) / n bytes through each rank (the least that is possible; Rabenseifner, 2004).
"""

import argparse
import json
import math


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts")
    parser.add_argument("--latency", type=float, default=20e-6, help="seconds of a message; default: %(default)s, as of Ethernet")
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes a second; default: %(default)s, 10 Gbit/s")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 4, 16, 64, 256, 1024])
    args = parser.parse_args()
    parts = json.loads(open(args.parts).read().strip().splitlines()[-1])
    prompts, size = parts["prompts"], 4 * parts["parameters"]
    of_prompt = parts["gradient_s"] / prompts
    print("| ranks | batch | gradient | draw | update | all-reduce | step | of it useful |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for ranks in args.ranks:
        batch = max(prompts, ranks)
        gradient = of_prompt * math.ceil(batch / ranks)
        draw = parts["draw_s"] * batch / prompts
        reduce = 2 * math.ceil(math.log2(ranks)) * args.latency + 2 * size * (ranks - 1) / ranks / args.bandwidth
        step = gradient + draw + parts["update_s"] + reduce
        useful = of_prompt * batch / ranks / step
        cells = [f"{1e3 * s:.3g} ms" for s in (gradient, draw, parts["update_s"], reduce, step)]
        print("|", " | ".join([str(ranks), str(batch), *cells, f"{100 * useful:.0f} %"]), "|")


if __name__ == "__main__":
    main()
