#!/usr/bin/env python3
"""The variants of a sweep against one of them, seed by seed.

    scripts/pairs.py experiments/study/results/a_last_n "all tokens" [EXAMPLES ...]
    scripts/pairs.py experiments/study/results/d_ssm "experiments/study/results/a_last_n/all tokens"    of another folder

Runs of one seed share their prompts, and their initial weights where the models are alike, so their ratio tells more than
two means do. Reads FOLDER/runs/NAME-seedN/eval.json; prints the ratio of errors for each seed, their geometric mean and its
90 % interval by Student's t over the logarithms.
"""

import json
import math
import re
import sys
from pathlib import Path

# The 95 % quantile of Student's t by degrees of freedom: of 2 to 10 seeds.
QUANTILE = [6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833]


def read(folder):
    """The errors per number of examples of each variant's seeds."""
    errors = {}
    for path in sorted(Path(folder).glob("runs/*/eval.json")):
        name, seed = re.fullmatch(r"(.*)-seed(\d+)", path.parent.name).groups()
        errors.setdefault(name, {})[int(seed)] = json.loads(path.read_text())["curves"]["model"]["mean"]
    return errors


def main():
    folder, first, *counts = sys.argv[1:]
    errors = read(folder)
    *elsewhere, first = first.rsplit("/", 1)
    base = (read(elsewhere[0]) if elsewhere else errors)[first.replace(" ", "-")]
    counts = [int(count) for count in counts] or [(len(base[min(base)]) - 1) // 2, len(base[min(base)]) - 1]
    print(f"{'':26}" + "".join(f"{f'{count} examples':>42}" for count in counts))
    for name, of_seed in errors.items():
        cells = []
        for count in counts:
            logs = [math.log(curve[count] / base[seed][count]) for seed, curve in sorted(of_seed.items())]
            mean = sum(logs) / len(logs)
            spread = math.sqrt(sum((log - mean) ** 2 for log in logs) / (len(logs) - 1) / len(logs))
            reach = QUANTILE[len(logs) - 2] * spread
            each = " ".join(f"{math.exp(log):.2f}" for log in logs)
            middle, low, high = (math.exp(value) for value in (mean, mean - reach, mean + reach))
            cells.append(f"{each}: {middle:.2f} ({low:.2f} .. {high:.2f})")
        print(f"{name:26}" + "".join(f"{cell:>42}" for cell in cells))


if __name__ == "__main__":
    main()
