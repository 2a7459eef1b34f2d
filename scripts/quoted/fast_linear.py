"""experiments/paper/results/fast_linear: the paper's first comparison by the quickstart's recipe."""

import statistics

from quoted.page import EXPERIMENTS, between, brief_ratios, cell, chosen_by_the_last, ends, error_at, read
from seeds import interval, over_seeds, ratio_over_seeds, short

FOLDER = EXPERIMENTS / "paper/results/fast_linear"
# The learning rate that each model was given, and those that were tried.
RATES = {"looped, 4 to 12 loops": "1.6e-2", "looped, 12 loops": "8e-3", "12 blocks": "2e-3", "12 tied blocks": "2e-3", "1 block once": "1.6e-2"}
TRIED = ["5e-4", "1e-3", "2e-3", "4e-3", "8e-3", "1.6e-2", "3.2e-2", "6.4e-2"]
LOOPED = ["looped, 4 to 12 loops", "looped, 12 loops"]
COUNTS = (2, 5, 8, 10)


def rows(comparison, rates):
    """The tables of errors and rates, row by row."""
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    control = variants[LOOPED[0]]
    for name, rate in RATES.items():
        of = variants[name]
        against = "" if of is control else cell(comparison, name)
        yield "main", f"| {name} | {rate} | {of['parameters']} | {short(of['flops'] / control['flops'])} | {error_at(of)} | {against} |".replace("|  |", "| |")
        yield "counts", f"| {name} | " + " | ".join(short(of["error"]["mean"][count]) for count in COUNTS) + " |"
        yield "seeds", f"| {name} | " + " | ".join(short(error) for error in ends(comparison, name)) + " |"
        tried = [chosen_by_the_last(rates.get(f"{name}, {one}")) for one in TRIED]
        if any(tried):
            yield "rates", f"| {name} | " + " | ".join(tried) + " |"
        yield "falls", f"| {name} | " + " | ".join(short(loss) for loss in of["validation"]["loss"]) + " |"


def shifts(runs):
    """The table of the shifted prompts, row by row: geometric means over the seeds."""
    models = [name for name in RATES if "ood" in next(iter(runs[name].values()))]
    kinds = next(iter(runs[models[0]].values()))["ood"]
    for kind in kinds:
        found = [ratio_over_seeds([run["ood"][kind] for run in runs[name].values()]) for name in models]
        yield f"| {kind.replace('_', ' ')} | " + " | ".join(interval(*of) for of in found) + " |"


def laboratory(runs):
    """The table of what the states do and which step of gradient descent is closest, row by row."""
    for name in LOOPED:
        of = list(runs[name].values())
        stable = [run["stability"] for run in of]
        steps = [run["match"]["simw_step"]["gd_safe"][7] for run in of]
        alike = [run["match"]["simw"]["gd_safe"][7] for run in of]
        yield (
            f"| {name} | {interval(*over_seeds([each['shares']['settles'] for each in stable]))} | "
            f"{interval(*over_seeds([each['spectral_radius'] for each in stable]))} | "
            f"{interval(*ratio_over_seeds([each['last_against_best'][0] for each in stable]))} | "
            f"{statistics.median(steps):g} ({min(steps)} to {max(steps)}) | {min(alike):.3f} to {max(alike):.3f} |"
        )


def sentences(comparison, runs):
    """What the page says in words."""
    brief = brief_ratios(comparison)
    fewer = [a / b for a, b in zip(ends(comparison, "12 blocks"), ends(comparison, "looped, 12 loops"), strict=True)]
    needed = {of["ratio"]: of["seeds"] for of in comparison["ratios"]["seeds_needed"]}
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    fallen = {name: 1 - of["validation"]["loss"][-1] / of["validation"]["loss"][-2] for name, of in variants.items()}
    tied = ends(comparison, "12 tied blocks")
    by_loop = variants["looped, 12 loops"]["per_loop"]["mean"]
    assert sum(error > 0.98 for error in tied) == 4
    return [
        f"12 blocks have {brief['12 blocks']} times the error of the block in 4 to 12 loops (ten seeds, 90 % CI, *worse*)",
        f"and {interval(*ratio_over_seeds(fewer))} times that of the block in 12 loops, which takes as many FLOPs (over their own seeds)",
        f"one block once has {brief['1 block once']} times",
        f"12 tied blocks have {brief['12 tied blocks']} times",
        f"12 loops in every step have {brief['looped, 12 loops']} times the error of 4 to 12 (*better*), for {short(variants['looped, 12 loops']['flops'] / variants[LOOPED[0]]['flops'])} times the FLOPs",
        f"its errors are {between(ends(comparison, '12 blocks'))}, those of the block in 12 loops {between(ends(comparison, 'looped, 12 loops'))}",
        f"their errors are {between(tied)}, where predicting 0 has about 1",
        f"between the last two validations its loss still falls by {100 * fallen['12 blocks']:.0f} %",
        f"that of the block in 12 loops by {100 * fallen['looped, 12 loops']:.0f} %",
        f"a true ratio of 1.25 would take {needed[1.25]:.0f} seeds to show in four sweeps of five, and one of 1.1 {needed[1.1]:.0f}",
        f"The block that is trained with 12 loops has an error of {short(by_loop[7])} after 8 of them and of {short(by_loop[11])} after 12",
    ]


def multiplied(comparison, rates):
    """What the page says of z = f(x * z), and of its runs."""
    name = "looped, multiplied"
    variant = next(variant for variant in comparison["variants"] if variant["name"] == name)
    tried = {rate: chosen_by_the_last(rates[f"{name}, {rate}"]) for rate in ("4e-3", "8e-3", "1.6e-2", "3.2e-2")}
    assert cell(comparison, name).endswith("worse (p < 0.001)")
    return [
        f"The error at 10 examples is {error_at(variant)}, {brief_ratios(comparison)[name]} times that of z = f(x + z), *worse* (p < 0.001)",
        f"its seeds end at {', '.join(short(error) for error in ends(comparison, name))}",
        f"The validation losses by which its rate was chosen are {tried['4e-3']}, {tried['8e-3']}, {tried['1.6e-2']} and {tried['3.2e-2']}",
        f"The error after so many loops, from the first on, is {', '.join(short(error) for error in variant['per_loop']['mean'])}",
    ]


def linear(page):
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1", "arXiv 2311.12424", "arXiv 2208.01066"):
        page.says(fragment)
    comparison, rates, runs = read(FOLDER, "comparison", "rates", "runs")
    for _, row in rows(comparison, rates):
        page.says(row)
    for said in multiplied(*read(FOLDER, "multiplied", "multiplied_rates")):
        page.says(said)
    for row in [*shifts(runs), *laboratory(runs), *sentences(comparison, runs)]:
        page.says(row)
