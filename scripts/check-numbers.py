#!/usr/bin/env python3
"""Recomputes every number that experiments/loops/results/README.md quotes from the JSON that is committed beside it.

    scripts/check-numbers.py

Fails where a sentence or a row of the page doesn't follow from the JSON, and where a decimal number or a percentage stands on the
page that nothing here computes. Numbers in code, which are settings, are left out.
"""

import json
import math
import re
import statistics
import sys
from pathlib import Path

RESULTS = Path(__file__).resolve().parent.parent / "experiments/loops/results"

# The 95 % quantile of Student's t with 7 degrees of freedom: eight seeds.
T_7 = 1.8946


class Page:
    """A page, and the fragments of it that were found to follow from the JSON."""

    def __init__(self, place):
        self.place, self.text, self.wrong = place, place.read_text(encoding="utf-8"), []
        self.left = self.text

    def says(self, fragment):
        if fragment not in self.text:
            self.wrong.append(f"should say: {fragment}")
        self.left = self.left.replace(fragment, " ")

    def unchecked(self):
        """The numbers with a decimal point or a percent sign, outside of code and links, that no fragment covers."""
        text = re.sub(r"```.*?```", " ", self.left, flags=re.DOTALL)
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
    """Mean and 90 % CI by Student's t over eight seeds."""
    assert len(values) == 8, len(values)
    mean, half = statistics.mean(values), T_7 * statistics.stdev(values) / math.sqrt(8)
    return mean, mean - half, mean + half


def ratio_over_seeds(values):
    """Geometric mean and 90 % CI by Student's t over the logarithms of eight seeds' ratios."""
    return tuple(math.exp(x) for x in over_seeds([math.log(value) for value in values]))


def cell(comparison, variant, examples=10):
    """A ratio of `looped compare` with its verdict."""
    found = next(c for c in comparison["ratios"]["cells"] if c["variant"] == variant and c["examples"] == examples)
    p = f"{found['p_holm']:.3f}" if found["p_holm"] >= 0.0005 else "< 0.001"
    return f"{interval(found['ratio'], found['low'], found['high'])} {found['verdict']} (p {p})"


def by_loop(comparison, variant, loop):
    """A variant's error after so many loops, geometric mean over the seeds, with its 90 % CI."""
    found = next(v for v in comparison["variants"] if v["name"] == variant)["per_loop"]
    return interval(*(found[end][loop - 1] for end in ("mean", "low", "high")))


def time_to_quality(page):
    comparison, runs = load("time/comparison.json"), load("time/runs.json")
    variants = {v["name"]: v for v in comparison["variants"]}
    for name, steps in (("shipped", "8000"), ("fast", "3200")):
        error = variants[name]["error"]
        seeds = sorted(run["error"] for run in runs[name].values())
        cost = statistics.mean(run["cpu_seconds"] for run in runs[name].values())
        page.says(
            f"| {name} | {steps} | {variants[name]['flops'] / 1e12:.2f}e12 | {cost:.0f} s | "
            f"{interval(*(error[end][10] for end in ('mean', 'low', 'high')))} | {short(seeds[0])} to {short(seeds[-1])} |"
        )
    page.says(f"The ratio of fast to shipped is {cell(comparison, 'fast')}.")
    page.says(f"{variants['fast']['flops'] / variants['shipped']['flops']:.2f} of the FLOPs")
    ahead = sum(runs["fast"][seed]["error"] < runs["shipped"][seed]["error"] for seed in runs["fast"])
    page.says(f"lower in {ahead} of 8 seeds")
    for name, seeds in load("time/pilots.json").items():
        page.says(f"| {name} | " + ", ".join(short(run["error"]) for run in seeds.values()) + " |")


LOOPS = (4, 8, 16, 32, 60)


def depth(page):
    comparison, ratios, runs = load("depth/comparison.json"), load("depth/ratios.json"), load("depth/runs.json")
    ratios["60"] = comparison
    drawn = [v["name"] for v in comparison["variants"] if v["name"] != "fixed 8"]
    for name in ["fixed 8", *drawn]:
        page.says(f"| {name} | " + " | ".join(by_loop(comparison, name, loop) for loop in LOOPS) + " |")
        own = [run["per_loop"][59] / run["per_loop"][7] for run in runs[name].values()]
        shares = [run["stability"]["shares"]["settles"] for run in runs[name].values()]
        least = [min(range(60), key=run["per_loop"].__getitem__) + 1 for run in runs[name].values()]
        step = statistics.median(run["stability"]["last_step"] for run in runs[name].values())
        page.says(
            f"| {name} | {interval(*ratio_over_seeds(own))} | {min(least)} to {max(least)} | {percent(statistics.mean(shares))} "
            f"({percent(min(shares))} to {percent(max(shares))}) | {step:.0e} |"
        )
    for name in drawn:
        page.says(f"| {name} | " + " | ".join(cell(ratios[str(loop)], name) for loop in LOOPS) + " |")


def main():
    page = Page(RESULTS / "README.md")
    for check in CHECKS:
        check(page)
    wrong = page.wrong + [f"isn't recomputed: {number}" for number in page.unchecked()]
    print("\n".join(f"{page.place.name}: {each}" for each in wrong) or "every number of the page follows from the JSON")
    return 1 if wrong else 0


CHECKS = [time_to_quality, depth]

if __name__ == "__main__":
    sys.exit(main())
