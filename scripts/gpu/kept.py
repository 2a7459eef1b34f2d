#!/usr/bin/env python3
"""What keeping the last n of 82 tokens costs on the queries that keep their state, from runs that share their start.

    scripts/gpu/kept.py RUNS

RUNS is the folder of runs named by kept tokens and seed (all_42, 75_42, ...), each with eval.json, or as scripts/gpu/score.sh leaves
them. Ratios of errors, paired by seed: geometric mean, 90 % interval by Student's t over the seeds' logarithms, p of a
difference by Holm's correction over the rows, and by two one-sided tests within a factor of 1.1. Prompts are taken as they are.
Last, what the training loss of steps 2000 to 2999 is of that of steps 1000 to 1999, by the steps that metrics.jsonl has.
"""
import json
import math
import pathlib
import sys

TOKENS, MARGIN = 82, 1.1


def tail(t, freedom):
    """The probability that Student's t exceeds t >= 0: Simpson's rule on [0, t]."""
    density = lambda x: (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    scale = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    parts = 2000
    weights = (1 if i in (0, parts) else 4 if i % 2 else 2 for i in range(parts + 1))
    return 0.5 - scale * t / parts / 3 * sum(w * density(t * i / parts) for i, w in enumerate(weights))


def quantile(probability, freedom):
    low, high = 0.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if tail(middle, freedom) < 1 - probability else (middle, high)
    return low


def ratio(logs):
    """Mean, ends of the interval, p of a difference, p of being further than the margin."""
    count, mean = len(logs), sum(logs) / len(logs)
    error = math.sqrt(sum((x - mean) ** 2 for x in logs) / (count - 1) / count)
    far = quantile(0.95, count - 1) * error
    differs = 2 * tail(abs(mean) / error, count - 1)
    outside = (math.log(MARGIN) - abs(mean)) / error
    unequal = tail(outside, count - 1) if outside >= 0 else 1 - tail(-outside, count - 1)
    return math.exp(mean), math.exp(mean - far), math.exp(mean + far), differs, unequal


def holm(values):
    order, worst, out = sorted(range(len(values)), key=values.__getitem__), 0.0, [0.0] * len(values)
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, values[index] * (len(values) - rank)))
        out[index] = worst
    return out


def curves(folder):
    found = {}
    for run in sorted(pathlib.Path(folder).iterdir()):
        files = [file for file in (run / "eval.json", run / "evals" / "full.json") if file.exists()]
        if files and run.name.count("_") == 1:
            kept, seed = run.name.split("_")
            found[kept, seed] = json.loads(files[0].read_text())["curves"]["model"]["mean"]
    return found


def losses(folder, kept, steps):
    files = pathlib.Path(folder).glob(f"{kept}_*/metrics.jsonl")
    lines = (json.loads(line) for file in files for line in file.read_text().splitlines())
    found = [line["loss"] for line in lines if line["step"] in steps]
    return sum(found) / len(found)


def main():
    found = curves(sys.argv[1])
    sizes = sorted({int(kept) for kept, _ in found if kept != "all"}, reverse=True)
    mean = lambda curve, start: sum(curve[start:]) / len(curve[start:])
    # Query k is token 2 k; a pair that n keeps whole begins at an even token.
    first = lambda n: math.ceil((TOKENS - n) / 2)
    last = TOKENS // 2 - 1
    questions = {
        f"error at {last} examples, over the control's": lambda n, own, all_: own[last] / all_[last],
        "mean error over the queries that n keeps, over the control's": lambda n, own, all_: mean(own, first(n)) / mean(all_, first(n)),
        f"error at {last} examples, over the control's with only the examples that n keeps whole":
            lambda n, own, all_: own[last] / all_[last - first(n)],
    }
    for question, of in questions.items():
        print(f"\n{question}\n")
        rows = []
        for n in sizes:
            seeds = [seed for kept, seed in found if kept == str(n) and ("all", seed) in found]
            rows.append((n, seeds, *ratio([math.log(of(n, found[str(n), seed], found["all", seed])) for seed in seeds])))
        differ, unequal = (holm([row[at] for row in rows]) for at in (5, 6))
        print("| last n | from query | seeds | ratio (90 % CI) | p | verdict |\n| --- | --- | --- | --- | --- | --- |")
        for (n, seeds, middle, low, high, _, _), p, q in zip(rows, differ, unequal):
            verdict = ("worse" if middle > 1 else "better") if p < 0.05 else f"equal within {MARGIN}" if q < 0.05 else "undecided"
            print(f"| {n} | {first(n)} | {len(seeds)} | {middle:.3g} ({low:.3g} .. {high:.3g}) | {p:.2g} | {verdict} |")
    print("\nloss of steps 2000 to 2999, over that of steps 1000 to 1999\n\n| last n | ratio |\n| --- | --- |")
    for kept in ("all", *sizes):
        later, sooner = (losses(sys.argv[1], kept, range(start, start + 1000)) for start in (2000, 1000))
        print(f"| {kept} | {later / sooner:.3f} |")


main()
