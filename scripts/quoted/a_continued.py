"""experiments/study/results/a_continued: question (a) at CPU size, from one trained model."""

import json

from quoted.page import EXPERIMENTS, STUDY, brief_ratios, cell, error_at, read
from seeds import interval, ratio_over_seeds, short

CONTINUED = STUDY / "a_continued"
# Of 10 examples, those whose y token keeps its state, and those of which both do.
KEPT = {"last 20": (9, 9), "last 18": (8, 8), "last 15": (7, 6), "last 11": (5, 4), "last 5": (2, 1)}


def continued(page):
    """The study's question (a) at CPU size, from one trained model."""
    for fragment in ("90 % CI", "p < 0.05", "from 0.002", "the last 20 (91 %)", "within a factor of 1.1", "a ratio of 1.25"):
        page.says(fragment)
    comparison, before, y_tokens, every_other = read(CONTINUED, "comparison", "before", "y_tokens", "every_other_point")
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    of_seeds = {name: [of[10] for of in variant["error_of_seeds"]] for name, variant in variants.items()}
    control = variants["all tokens"]
    start = [of[10] for of in before["variants"][0]["error_of_seeds"]]
    mean = error_at(before["variants"][0])
    page.says(f"| before | {mean} | | |")
    page.says("| before | " + " | ".join(short(error) for error in start) + " |")
    for name, variant in variants.items():
        error = error_at(variant)
        ratio = "" if variant is control else cell(comparison, name)
        page.says(f"| {name} | {error} | {ratio} | {short(variant['flops'] / control['flops'])} |".replace("|  |", "| |"))
        page.says(f"| {name} | " + " | ".join(short(error) for error in of_seeds[name]) + " |")
    page.says(f"between {short(min(start))} and {short(max(start))}")
    brief = brief_ratios(comparison)
    page.says(f"In the y tokens alone the error at the last query is {brief['y tokens']} times that with all tokens, in the x tokens alone {brief['x tokens']} times")
    page.says(f"the last 20 of 22 alone {brief['last 20']} times")
    page.says(f"y tokens to x tokens: {cell(y_tokens, 'y tokens')}")
    page.says(f"every other point to last 11: {cell(every_other, 'every other point')}")
    of_20 = next(c for c in comparison["ratios"]["cells"] if c["variant"] == "last 20")["of_seeds"]
    ratios = [of["ratio"] for of in of_20]
    below = [ratio for ratio in ratios if ratio < 1]
    page.says(f"In {len(ratios) - len(below)} of {len(ratios)} seeds it is above 1; in the other it is {short(below[0])}")
    page.says(f"by its own seeds alone it is {interval(*ratio_over_seeds(ratios))}")
    page.says(f"{interval(*ratio_over_seeds([a / b for a, b in zip(of_seeds['last 20'], start, strict=True)]))} times that of the model it began as")
    page.says(f"{interval(*ratio_over_seeds([a / b for a, b in zip(of_seeds['all tokens'], start, strict=True)]))} times with all tokens")
    full = json.loads((EXPERIMENTS / "study/results/full_size/continued/comparison.json").read_text())
    found = next(c for c in full["ratios"]["cells"] if c["variant"] == "last 75" and c["examples"] == 40)
    page.says(f"91 % are worse too**: {interval(found['ratio'], found['low'], found['high'])} times the error")
    stuck = [error for error in of_seeds["x tokens"] if error > 0.5]
    learnt_x = [error for error in of_seeds["x tokens"] if error <= 0.5]
    page.says(f"{len(stuck)} seeds end at {short(min(stuck))} to {short(max(stuck))}, the other {len(learnt_x)} at {short(min(learnt_x))} to {short(max(learnt_x))}")
    outside = [variants[name]["error"]["mean"][count] for name, last in (("last 11", 5), ("last 5", 8)) for count in range(1, last)]
    page.says(f"{short(min(outside))} to {short(max(outside))} is what the models with the last 11 and the last 5 have")
    page.says(f"averaging has {short(comparison['baselines']['averaging']['mean'][10])}")
    for name, counts in KEPT.items():
        pairs = list(zip(variants[name]["error_of_seeds"], control["error_of_seeds"], strict=True))
        found = (f"{count} | {interval(*ratio_over_seeds([of[10] / kept[count] for of, kept in pairs]))}" for count in counts)
        page.says(f"| {name} | {' | '.join(found)} |")
    page.says(f"{short(variants['first 15']['error']['mean'][7])} at 7 examples, where the control has {short(control['error']['mean'][7])}, and {short(variants['first 15']['error']['mean'][10])} at 10")
    needed = {of["ratio"]: of["seeds"] for of in comparison["ratios"]["seeds_needed"]}
    page.says(f"a ratio of 1.25 takes {needed[1.25]:.0f} seeds")
    fallen = [1 - variant["validation"]["loss"][-1] / variant["validation"]["loss"][-2] for variant in variants.values()]
    page.says(f"by {100 * min(fallen):.1f} to {100 * max(fallen):.1f} %")
