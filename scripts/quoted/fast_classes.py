"""experiments/paper/results/fast_classes: the paper's other function classes by the quickstart's recipe."""

import statistics

from quoted.page import EXPERIMENTS, between, brief_ratios, cell, chosen_by_the_last, ends, error_at, read
from seeds import interval, over_seeds, ratio_over_seeds, short

FOLDER = EXPERIMENTS / "paper/results/fast_classes"
CLASSES = ("sparse", "tree")
LOOPED, BLOCKS, TIED, ONCE = MODELS = ("looped, 4 to 12 loops", "12 blocks", "12 tied blocks", "1 block once")
# The rates that were tried; the best of them is what a model was given.
TRIED = ["5e-4", "1e-3", "2e-3", "4e-3", "8e-3", "1.6e-2", "3.2e-2", "6.4e-2"]
COUNTS = (2, 5, 8, 10)
SHIFTS = ("as in training", "skewed_covariance", "half_subspace", "scaled_inputs_0.5", "scaled_inputs_2", "label_noise_1")


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def named(variants):
    return {variant["name"]: variant for variant in variants}


def rate_of(rates, model):
    """The rate with the least validation loss at the last step, the geometric mean over the seeds that chose it."""
    losses = {
        rate: statistics.geometric_mean(run["validation"][-1][1] for run in rates[f"{model}, {rate}"].values())
        for rate in TRIED
        if f"{model}, {rate}" in rates
    }
    return min(losses, key=losses.get)


def rows(kind):
    """The tables of a class, row by row."""
    comparison, rates, runs, baselines = read(FOLDER / kind, "comparison", "rates", "runs", "baselines")
    variants = named(comparison["variants"])
    for model in MODELS:
        of = variants[model]
        against = "" if model == LOOPED else cell(comparison, model)
        flops = short(of["flops"] / variants[LOOPED]["flops"])
        yield "main", row(model, rate_of(rates, model), flops, error_at(of), against).replace("|  |", "| |")
        yield "counts", row(model, *(short(of["error"]["mean"][count]) for count in COUNTS))
        yield "seeds", row(model, *(short(error) for error in ends(comparison, model)))
        yield "rates", row(model, *(chosen_by_the_last(rates.get(f"{model}, {rate}")) for rate in TRIED))
        yield "falls", row(model, *(short(loss) for loss in of["validation"]["loss"]))
    for name, errors in baselines.items():
        yield "counts", row(f"`{name}`", *(short(errors[count]) if errors[count] > 1e-6 else "0" for count in COUNTS))
    for shift in SHIFTS:
        found = (ratio_over_seeds([run["ood"][shift] for run in runs[model].values()]) for model in MODELS)
        yield "ood", row(shift.replace("_", " "), *(interval(*of) for of in found))


def settling():
    """What the looped block's states do, a row for each class."""
    for kind in CLASSES:
        (runs,) = read(FOLDER / kind, "runs")
        stable = [run["stability"] for run in runs[LOOPED].values()]
        yield row(
            kind,
            interval(*over_seeds([each["shares"]["settles"] for each in stable])),
            interval(*over_seeds([each["spectral_radius"] for each in stable])),
            interval(*ratio_over_seeds([each["last_against_best"][0] for each in stable])),
        )


def sentences(kind):
    """What the page says of a class in words."""
    comparison, baselines = read(FOLDER / kind, "comparison", "baselines")
    brief, variants = brief_ratios(comparison), named(comparison["variants"])
    fallen = {name: 100 * (1 - of["validation"]["loss"][-1] / of["validation"]["loss"][-2]) for name, of in variants.items()}
    needed = {of["ratio"]: of["seeds"] for of in comparison["ratios"]["seeds_needed"]}
    mean = {name: of["error"]["mean"] for name, of in variants.items()}
    assert all(a < b for a, b in zip(ends(comparison, LOOPED), ends(comparison, BLOCKS), strict=True)), "in every seed"
    said = [
        f"12 blocks have {brief[BLOCKS]} times its error",
        f"12 tied blocks {brief[TIED]} times and one block once {brief[ONCE]} times",
        f"its errors are {between(ends(comparison, LOOPED))}, those of 12 blocks {between(ends(comparison, BLOCKS))}",
        f"the errors of 12 tied blocks are {between(ends(comparison, TIED))}",
        f"between the last two validations the loss of the looped block falls by {fallen[LOOPED]:.0f} %, that of 12 blocks by {fallen[BLOCKS]:.0f} %",
        f"a true ratio of 1.25 would take {needed[1.25]:.0f} seeds, and one of 1.1 {needed[1.1]:.0f}",
    ]
    if kind == "sparse":
        said.append(
            f"after 5 examples its error is {short(mean[LOOPED][5])}, that of least squares, which knows nothing of sparsity, "
            f"{short(baselines['least_squares'][5])}, and that of the lasso {short(baselines['lasso_0.01'][5])}"
        )
    if kind == "tree":

        def at(errors):
            return f"{short(errors[5])} and {short(errors[10])}"

        # They end at two levels, with nothing between.
        low, high = ([error for error in ends(comparison, LOOPED) if (error < 0.33) == below] for below in (True, False))
        said += [
            f"after 5 and 10 examples its errors are {at(mean[LOOPED])}, those of a tree on the signs of x {at(baselines['tree_2_signs'])}, "
            f"and those of boosting on the signs {at(baselines['boosting_100_signs'])}",
            f"on x itself they have {at(baselines['tree_2'])}, and {at(baselines['boosting_100'])}",
            f"{len(low)} seeds end at {between(low)}, the other {len(high)} at {between(high)}",
        ]
    return said


def classes(page):
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1", "arXiv 2311.12424", "arXiv 2208.01066"):
        page.says(fragment)
    for kind in CLASSES:
        for said in [*(line for _, line in rows(kind)), *sentences(kind)]:
            page.says(said)
    for line in settling():
        page.says(line)
