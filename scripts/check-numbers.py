#!/usr/bin/env python3
"""Recomputes every number that experiments/loops/results/README.md, and its summary in experiments/README.md, quote from the JSON
that is committed beside it.

    scripts/check-numbers.py

Fails where a sentence or a row of the page doesn't follow from the JSON, and where a decimal number or a percentage stands on the
page that nothing here computes or names as given. Numbers in code, which are settings, are left out.
"""

import json
import math
import re
import statistics
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "experiments/loops/results"

# The 95 % quantiles of Student's t, by degrees of freedom.
T = {6: 1.9432, 7: 1.8946}


# What is decided, or quoted of the quickstart's own file, not computed here.
GIVEN = (
    "90 % CI",
    "equal within 1.1",
    "0.038 at its own seed",
    "0.4 of them",
    "below 0.7 of predicting 0",
    "0.10 after 60 loops at its one seed",
)


class Page:
    """A page, or a section of one, and the fragments that were found to follow from the JSON."""

    def __init__(self, text):
        self.text, self.wrong, self.checked = text, [], []

    def says(self, fragment):
        if fragment not in self.text:
            self.wrong.append(f"should say: {fragment}")
        self.checked.append(fragment)


def unchecked(text, fragments):
    """The numbers with a decimal point or a percent sign, outside of code and links, that no fragment covers."""
    for fragment in sorted(fragments, key=len, reverse=True):
        text = text.replace(fragment, " ")
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)
    return re.findall(r"(?<![\w.])\d+\.\d+\b|\b\d+ %", text)


def load(name):
    return json.loads((RESULTS / name).read_text())


def short(x):
    """Three digits, as the reports print a number."""
    if x == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(x))))
    text = f"{x:.{digits}f}"
    # 0.09996 is 0.1000 to four places: one digit too many.
    return f"{x:.{digits - 1}f}" if digits and len(text.strip("-0.").replace(".", "")) > 3 else text


def percent(x):
    return f"{100 * x:.0f} %"


def interval(mean, low, high):
    return f"{short(mean)} [{short(low)}, {short(high)}]"


def over_seeds(values):
    """Mean and 90 % CI by Student's t over the seeds."""
    mean, half = statistics.mean(values), T[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def ratio_over_seeds(values):
    """Geometric mean and 90 % CI by Student's t over the logarithms of the seeds' ratios."""
    return tuple(math.exp(x) for x in over_seeds([math.log(value) for value in values]))


def cell(comparison, variant, examples=10):
    """A ratio of `looped compare` with its verdict."""
    found = next(c for c in comparison["ratios"]["cells"] if c["variant"] == variant and c["examples"] == examples)
    p = f"{found['p_holm']:.3f}" if found["p_holm"] >= 0.0005 else "< 0.001"
    return f"{interval(found['ratio'], found['low'], found['high'])} {found['verdict']} (p {p})"


def after(run, loop):
    """A run's error with the most examples after so many loops."""
    return run["per_loop"][loop - 1]


def time_to_quality(page):
    comparison, runs, pilots = load("time/comparison.json"), load("runs.json"), load("time/pilots.json")
    for variant in comparison["variants"]:
        error = interval(*(variant["error"][end][10] for end in ("mean", "low", "high")))
        of_seeds = [after(run, 8) for run in runs[variant["name"]].values()]
        page.says(
            f"| {variant['name']} | {len(of_seeds)} | {variant['flops'] / 1e12:.2f}e12 | {error} | "
            + ", ".join(short(each) for each in of_seeds)
            + " |"
        )
    for name in ("fast", "from 1 dim"):
        page.says(f"{name}, to shipped on the three seeds that both have: {cell(comparison, name)}")
    left = {name: [after(run, 8) for run in runs[name].values() if after(run, 8) < 0.3] for name in ("fast", "from 1 dim")}
    page.says(f"{len(left['fast'])} of 8 seeds of fast end at {short(min(left['fast']))} to {short(max(left['fast']))}")
    page.says(f"geometric mean {short(statistics.geometric_mean(left['fast']))}")
    page.says(f"{sum(each <= 0.038 for each in left['fast'])} of them at most 0.038")
    page.says(f"one at {short(max(after(run, 8) for run in runs['fast'].values()))}")
    page.says(f"{8 - len(left['from 1 dim'])} of 8 seeds of the second recipe")
    cpu = {name: statistics.mean(run["cpu_seconds"] for run in runs[name].values()) for name in ("shipped", "fast")}
    page.says(f"{cpu['fast']:.0f} CPU seconds, of shipped {cpu['shipped']:.0f}")
    for name, seeds in pilots["whole"].items():
        page.says(f"| {name} | " + " | ".join(short(seeds[s]) if s in seeds else "" for s in ("100", "101", "102", "104")) + " |")
    steps = ("100", "101", "102", "103", "104", "105")
    for name, seeds in pilots["plateau"].items():
        shown = [("no" if seeds[s] is None else str(seeds[s])) if s in seeds else "" for s in steps]
        page.says(f"| {name} | " + " | ".join(shown) + " |")


def beyond_the_loops(page):
    comparison, runs = load("depth/comparison.json"), load("runs.json")["fast"]
    found = comparison["variants"][0]["per_loop"]
    cells = [interval(*(found[end][loop - 1] for end in ("mean", "low", "high"))) for loop in (4, 8, 16, 32, 60)]
    page.says("| all 8 | " + " | ".join(cells) + " |")
    learnt = {seed: run for seed, run in runs.items() if after(run, 8) < 0.3}
    means = [short(statistics.geometric_mean(after(run, loop) for run in learnt.values())) for loop in (4, 8, 16, 32, 60)]
    page.says(f"| the {len(learnt)} that learnt | " + " | ".join(means) + " |")
    own = [after(run, 60) / after(run, 8) for run in runs.values()]
    page.says(f"{interval(*ratio_over_seeds(own))} times that after 8")
    page.says(f"between {min(own):.2f} and {max(own):.2f}")
    least = [min(range(1, 61), key=lambda loop: after(run, loop)) for run in learnt.values()]
    page.says(f"least after {min(least)} to {max(least)} loops")
    found = {seed: run["stability"] for seed, run in learnt.items()}
    for seed, each in found.items():
        shares = each["shares"]
        page.says(
            f"| {seed} | "
            + " | ".join(percent(shares[verdict]) for verdict in ("settles", "drifts", "cycles"))
            + f" | {short(each['spectral_radius'])} | {round(each['lyapunov'], 2) + 0.0:.2f} | {each['alignment']:.2f} ({each['alignment_of_others']:.2f}) "
            + f"| {interval(*each['last_against_best'])} |"
        )


def slope(steps):
    """Of a least-squares line through (3, steps[0]), (4, steps[1]), ..."""
    mean = statistics.mean(steps)
    middle = (len(steps) - 1) / 2
    return sum((i - middle) * (step - mean) for i, step in enumerate(steps)) / sum((i - middle) ** 2 for i in range(len(steps)))


def solvers(page):
    runs = [run["match"] for run in load("runs.json")["fast"].values() if after(run, 8) < 0.3]
    for name in ("gd", "heavy_ball", "chebyshev", "cg", "newton_schulz"):
        of_loops = [[run["simw_step"][name][loop] for run in runs] for loop in range(2, 8)]
        medians = " | ".join(f"{statistics.median(steps):.0f} ({min(steps)} to {max(steps)})" for steps in of_loops)
        slopes = [slope(run["simw_step"][name][2:8]) for run in runs]
        doublings = [slope([math.log2(step) for step in run["simw_step"][name][2:8]]) for run in runs]
        if name == "gd":
            page.says(f"grows by {interval(*over_seeds(doublings))} doublings a loop")
            steps_after = {loop: statistics.median(run["simw_step"][name][loop - 1] for run in runs) for loop in (3, 7)}
            page.says(f"{steps_after[3]} after loop 3, {steps_after[7]} after loop 7")
        if name == "newton_schulz":
            page.says(f"Of Newton's iteration a loop makes {interval(*over_seeds(slopes))} steps")
        if name == "cg":
            page.says(f"of conjugate gradients {interval(*over_seeds(slopes))}")
        page.says(f"| `{name}` | {medians} |")
        page.says(f"| `{name}` | {interval(*over_seeds(slopes))} | {interval(*over_seeds(doublings))} |")
    values = [max(run["simw"][name][7] for name in run["simw"]) for run in runs]
    page.says(f"SimW of the closest solver to loop 8 is {min(values):.3f} to {max(values):.3f}")
    gaps = [max(values) - min(values) for values in ([of[7] for of in run["simw"].values()] for run in runs)]
    page.says(f"the farthest is at most {max(gaps):.4f} behind")


def main():
    page = Page((RESULTS / "README.md").read_text(encoding="utf-8"))
    for fragment in GIVEN:
        page.says(fragment)
    for check in CHECKS:
        check(page)
    # The summary quotes the page.
    summary = (RESULTS.parent.parent / "README.md").read_text(encoding="utf-8").split("## Eight seeds")[1].split("\n## ")[0]
    wrong = page.wrong + [
        f"isn't recomputed: {number}" for text in (page.text, summary) for number in unchecked(text, page.checked)
    ]
    print("\n".join(wrong) or "every number of experiments/loops follows from the JSON")
    return 1 if wrong else 0


CHECKS = [time_to_quality, beyond_the_loops, solvers]

if __name__ == "__main__":
    sys.exit(main())
