"""experiments/study/results/b_product: question (b) by the quickstart's recipe."""

import statistics

from quoted.page import STUDY, brief_ratios, cell, error_at, read
from seeds import interval, ratio_over_seeds, short

PRODUCT = STUDY / "b_product"
# The learning rate that each shape was given, and those that were tried.
RATES = {"1 x 8": "1.6e-2", "2 x 4": "8e-3", "4 x 2": "4e-3"}
TRIED = ["1e-3", "2e-3", "4e-3", "8e-3", "1.6e-2", "3.2e-2"]


def product(page):
    """The study's question (b) by the quickstart's recipe: as many block applications, in more blocks or in more loops."""
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1", "a validation loss of 1.05", "a true ratio of 1.25", "one of 1.5"):
        page.says(fragment)
    comparison, at_most, data = read(PRODUCT, "comparison", "most", "runs")
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    after_most = {variant["name"]: variant for variant in at_most["variants"]}
    brief = brief_ratios(comparison)
    errors = {name: [run["errors"][10] for run in runs.values()] for name, runs in data["runs"].items()}
    ratios = {name: [a / b for a, b in zip(own, errors["1 x 8"], strict=True)] for name, own in errors.items() if name != "1 x 8"}
    for name, rate_of in RATES.items():
        own, most = (error_at(of[name]) for of in (variants, after_most))
        against = [cell(of, name) if name in ratios else "" for of in (comparison, at_most)]
        flops = short(variants[name]["flops"] / variants["1 x 8"]["flops"])
        page.says(f"| {name} | {rate_of} | {variants[name]['parameters']} | {own} | {against[0]} | {most} | {against[1]} | {flops} |")
        page.says(f"| {name} | " + " | ".join(short(error) for error in errors[name]) + " |")
        page.says(f"| {name} | " + " | ".join(chosen_by(data["rates"].get(f"{name}, {tried}")) for tried in TRIED) + " |")
    page.says(f"with four blocks is {brief['4 x 2']} times that with one (ten seeds, 90 % CI, *worse*), and with two {brief['2 x 4']} times")
    page.says(f"by {short(min(ratios['4 x 2']))} to {short(max(ratios['4 x 2']))} times")
    of_two = ratios["2 x 4"]
    rest = [ratio for ratio in of_two if ratio < max(of_two)]
    page.says(f"{sum(ratio > 1 for ratio in of_two)} of {len(of_two)} seeds have a larger error than with one block, one of them {short(max(of_two))} times")
    page.says(f"over its own seeds the ratio is {interval(*ratio_over_seeds(of_two))}, and without that one seed {interval(*ratio_over_seeds(rest))}")
    page.says("the best is 1.6e-2 for one block, 8e-3 for two, 4e-3 for four")
    needed = {of["ratio"]: of["seeds"] for of in comparison["ratios"]["seeds_needed"]}
    page.says(f"would take {needed[1.25]:.0f} seeds to show in four sweeps of five, and one of 1.5 {needed[1.5]:.0f}, at this spread")


def chosen_by(runs):
    """The validation loss by which a rate was judged: the geometric mean over its two seeds."""
    if not runs:
        return ""
    if len(runs) < 2 or any(run["step"] < 1999 for run in runs.values()):
        return "stopped"
    return short(statistics.geometric_mean(run["validation_loss"] for run in runs.values()))
