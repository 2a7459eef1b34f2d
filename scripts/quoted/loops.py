"""experiments/loops/results, its summary in experiments/README.md, and what docs/lab.md and docs/experiment-file.md say was seen here."""

import json
import math
import re
import statistics
from itertools import pairwise

from figures import FIGURES, INJECTORS, PLACEMENTS, grid_name, options_endpoints, redrawn, settled
from quoted.page import EXPERIMENTS, Page, cell, error_at, unchecked
from seeds import holm, interval, over_seeds, p_of, ratio_over_seeds, short

# What is decided, or quoted of the quickstart's own file, not computed here.
GIVEN = (
    "90 % CI",
    "equal within 1.1",
    "0.038 at its own seed",
    "0.4 of them",
    "p < 0.05 after Holm's correction",
    "### Steps and seconds to 0.038",
    "the least steps to 0.038",
    "eight seeds of eight had reached 0.038",
    "each of the 24 seeds is at most 0.038",
    "at most 0.038 | these have",
    "how many seeds are at most 0.038",
    "| schedule | at most 0.038 |",
    "no recipe for 0.038 either",
    "seeds 0 to 15, is above 0.3",
    "below 0.3",
    "below 0.7 of predicting 0",
    "a margin of 1.1",
)

RESULTS = EXPERIMENTS / "loops/results"


def load(name):
    return json.loads((RESULTS / name).read_text())


def percent(x):
    return f"{100 * x:.0f} %"


def rate(count, of):
    """The 90 % CI of a rate, exact (Clopper and Pearson): the rates at which as many or more, and as few or fewer, have 5 %."""

    def at_most(k, p):
        return sum(math.comb(of, i) * p**i * (1 - p) ** (of - i) for i in range(k + 1))

    def solve(tail):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if tail(middle) else (low, middle)
        return low

    low = 0.0 if count == 0 else solve(lambda p: 1 - at_most(count - 1, p) < 0.05)
    high = 1.0 if count == of else solve(lambda p: at_most(count, p) > 0.05)
    return f"{count} of {of}: {100 * low:.1f} to {100 * high:.0f} %"


LOOPS = (4, 8, 16, 32, 60)


def after(run, loop):
    """A run's error with the most examples after so many loops."""
    return run["per_loop"][loop - 1]


DRAWN = "uniform 4 to 16"
SLOWER = "dims every 300"
MUON = "quickstart_muon"


def learnt(runs, loop=8):
    """The runs that don't predict 0 as good as everywhere."""
    return {seed: run for seed, run in runs.items() if after(run, loop) < 0.3}


def time_to_quality(page):
    comparison, runs, pilots = load("time/comparison.json"), load("runs.json"), load("time/pilots.json")
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    for variant in variants.values():
        error = error_at(variant)
        of_seeds = [after(run, 8) for run in runs[variant["name"]].values()]
        page.says(
            f"| {variant['name']} | {len(of_seeds)} | {variant['flops'] / 1e12:.2f}e12 | {error} | "
            + ", ".join(short(each) for each in of_seeds)
            + " |"
        )
    page.says(f"fast: {cell(load('time/fast.json'), 'fast')}")
    page.says(f"from 1 dim: {cell(comparison, 'from 1 dim')}")
    page.says(f"{DRAWN}: {cell(load('time/drawn.json'), DRAWN)}")
    lower = sum(after(runs[DRAWN][seed], 8) < after(runs["shipped"][seed], 8) for seed in runs["shipped"])
    page.says(f"below the quickstart's in {lower} of 8 seeds")
    left = [after(run, 8) for run in learnt(runs["fast"]).values()]
    page.says(f"{len(left)} of 8 seeds of fast end at {short(min(left))} to {short(max(left))}")
    page.says(f"one at {short(max(after(run, 8) for run in runs['fast'].values()))}")
    page.says(f"{8 - len(learnt(runs['from 1 dim']))} of 8 seeds of the second recipe")
    ends = [after(run, 8) for run in runs[DRAWN].values()]
    page.says(f"{sum(end <= 0.038 for end in ends)} of 8 seeds are at most 0.038, between {short(min(ends))} and {short(max(ends))}")
    cpu = {name: statistics.mean(run["cpu_seconds"] for run in runs[name].values()) for name in ("shipped", "fast", DRAWN)}
    page.says(f"{cpu['fast']:.0f} CPU seconds, with drawn depths {cpu[DRAWN]:.0f}, of shipped {cpu['shipped']:.0f}")
    page.says(f"{variants[DRAWN]['flops'] / variants['shipped']['flops']:.2f} of the quickstart's FLOPs")
    page.says(f"{variants[DRAWN]['flops'] / variants['fast']['flops']:.2f} times those of a depth of 8")
    for name, seeds in pilots["whole"].items():
        page.says(f"| {name} | " + " | ".join(short(seeds[s]) if s in seeds else "" for s in ("100", "101", "102", "104")) + " |")
    steps = ("100", "101", "102", "103", "104", "105")
    for name, seeds in pilots["plateau"].items():
        shown = [("no" if seeds[s] is None else str(seeds[s])) if s in seeds else "" for s in steps]
        page.says(f"| {name} | " + " | ".join(shown) + " |")


def confirmed(page):
    """Fresh seeds of the recipes with drawn depths."""
    every, comparison = load("runs.json"), load("confirm/comparison.json")
    flops = {variant["name"]: variant["flops"] for variant in comparison["variants"]}
    for variant in comparison["variants"]:
        name = variant["name"]
        error = error_at(variant)
        of_seeds = ", ".join(short(after(run, 8)) for seed, run in every[name].items() if int(seed) < 16)
        page.says(f"| {name} | {flops[name] / 1e12:.2f}e12 | {error} | {of_seeds} |")
    for name, against, file in (
        ("quickstart_fast", "adam", "fast"),
        ("quickstart_fast", "adam, drawn", "muon"),
        ("adam, drawn", "adam", "drawn"),
        (SLOWER, "adam", "slower"),
        (SLOWER, "quickstart_fast", "slower_to_fast"),
    ):
        page.says(f"{name} to {against}: {cell(load(f'confirm/{file}.json'), name)}")
    for name in ("quickstart_fast", SLOWER, MUON):
        ends = {seed: after(run, 8) for seed, run in every[name].items()}
        good = [end for end in ends.values() if end <= 0.038]
        bad = ", ".join(f"{seed}: {short(end)}" for seed, end in ends.items() if end > 0.038)
        page.says(f"| {name} | {len(good)} of {len(ends)} | {short(min(good))} to {short(max(good))} | {bad} |")
        page.says(f"above 0.038 with {name} {rate(len(ends) - len(good), len(ends))}")
        beyond = [after(run, 60) / after(run, 8) for run in learnt(every[name]).values()]
        page.says(f"of {name} {interval(*ratio_over_seeds(beyond))} times as large after 60 loops")
    both = [seed for seed in every["adam"] if seed in learnt(every["adam"]) and seed in learnt(every["quickstart_fast"])]
    ratios = [after(every["quickstart_fast"][seed], 8) / after(every["adam"][seed], 8) for seed in both]
    page.says(f"the {len(both)} seeds that learn with both it is {interval(*ratio_over_seeds(ratios))}")
    shipped = {**every["shipped"], **every["adam"]}
    page.says(f"of the quickstart's own recipe {rate(len(shipped) - len(learnt(shipped)), len(shipped))}")
    page.says(f"{sum(after(run, 8) <= 0.038 for run in shipped.values())} of {len(shipped)} runs of that recipe are at most 0.038")
    page.says(f"for {flops['adam, drawn'] / flops['adam']:.2f} times the FLOPs")
    page.says(f"Muon in {3200 / 8000:.2f} of the steps")
    drawn = every["adam, drawn"]
    page.says(f"{len(learnt(drawn))} of {len(drawn)} seeds of adam, drawn")


def quickstart(page):
    """The recipe that became the quickstart; how many of its seeds fail is among those of `confirmed`."""
    comparison, pilots = load("muon/comparison.json"), load("time/pilots.json")["muon"]
    runs = load("runs.json")[MUON]
    ends = {seed: after(run, 8) for seed, run in runs.items()}
    for name, seeds in pilots.items():
        columns = ("100", "101", "102", "103", "104", "105")
        page.says(f"| {name} | " + " | ".join(short(seeds[s]) if s in seeds else "" for s in columns) + " |")
    page.says(f"geometric mean over all {len(ends)} is {interval(*ratio_over_seeds(list(ends.values())))}")
    page.says(f"seed 42, ends at {short(ends['42'])} in one thread")
    page.says(f"A run takes {statistics.mean(run['cpu_seconds'] for run in runs.values()):.0f} CPU seconds")
    adam = next(variant for variant in load("time/comparison.json")["variants"] if variant["name"] == "shipped")
    page.says(f"{comparison['variants'][0]['flops'] / adam['flops']:.2f} of the FLOPs of its 8000 steps of Adam")
    page.says(f"{2000 / 8000:.2f} of the steps")


def steps_to(loss, run):
    """The steps after which a run's validation loss is at most this, on a straight line between two validations; None if it never is."""
    for (step, above), (next_step, below) in pairwise(run["validation"]):
        if below <= loss:
            return step + (next_step - step) * (above - loss) / (above - below)
    return None


def recipes():
    """The runs of the recipes of time to quality, by their names."""
    every = load("runs.json")
    return {
        "adam": [*every["shipped"].values(), *every["adam"].values()],
        "adam, drawn": every["adam, drawn"].values(),
        "fast": every["fast"].values(),
        "quickstart_fast": [*every[DRAWN].values(), *every["quickstart_fast"].values()],
        SLOWER: every[SLOWER].values(),
        MUON: every[MUON].values(),
    }


def losses_at_the_goal():
    """The validation losses of the recipes' runs that end within 10 % of an error of 0.038."""
    return [run["validation"][-1][1] for runs in recipes().values() for run in runs if abs(after(run, 8) / 0.038 - 1) < 0.1]


def goal():
    """The validation loss that goes with an error of 0.038."""
    return round(statistics.mean(losses_at_the_goal()), 3)


def spread(values):
    """Median and range."""
    return f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})" if values else ""


def steps_to_quality(page):
    """Steps and CPU seconds to an error of 0.038, by the validation loss that goes with it."""
    near, loss = losses_at_the_goal(), goal()
    page.says(
        f"The {len(near)} runs of the table's recipes that end within 10 % of 0.038 have a validation loss of "
        f"{short(min(near))} to {short(max(near))} there, {loss} on the mean"
    )
    for name, runs in recipes().items():
        reached = [(steps, run) for run in runs if (steps := steps_to(loss, run)) is not None]
        seconds = [run["cpu_seconds"] * steps / run["validation"][-1][0] for steps, run in reached]
        page.says(f"| {name} | {len(reached)} of {len(runs)} | {spread([steps for steps, _ in reached])} | {spread(seconds)} |")


def schedules(page):
    """Other ways for the rate to fall, seed by seed against the linear one, which the recipe has."""
    every, loss = load("schedule/runs.json"), goal()
    linear = {seed: load("runs.json")[MUON][seed] for seed in every["cosine"]}
    ratios = {name: [after(run, 8) / after(linear[seed], 8) for seed, run in runs.items()] for name, runs in every.items()}
    said = verdicts(ratios, ratios=True)
    for name, runs in {"linear": linear, **every}.items():
        errors = [after(run, 8) for run in runs.values()]
        good = sum(error <= 0.038 for error in errors)
        reached = [steps for run in runs.values() if (steps := steps_to(loss, run)) is not None]
        against = "{} {} ({})".format(*said[name]) if name in said else ""
        page.says(
            f"| {name} | {good} of {len(errors)} | {interval(*ratio_over_seeds(errors))} | {against} | "
            f"{len(reached)} of {len(errors)} | {spread(reached)} |"
        )
    for name, (ratio, *_) in said.items():
        page.says(f"{name}: {ratio} times the error")


def stability_row(runs):
    """Mean and range over the runs of what `looped stability` found."""
    found = [run["stability"] for run in runs]

    def over(of):
        values = [of(each) for each in found]
        return f"{short(statistics.mean(values))} ({short(min(values))} to {short(max(values))})"

    return (
        " | ".join(over(lambda each, v=verdict: each["shares"][v]) for verdict in ("settles", "drifts", "cycles"))
        + f" | {over(lambda each: each['spectral_radius'])} | {over(lambda each: each['alignment'])} "
        + f"| {over(lambda each: each['last_against_best'][0])} |"
    )


def beyond_the_loops(page):
    comparison, runs = load("depth/comparison.json"), load("runs.json")
    for variant, name in zip(comparison["variants"], ("fast", DRAWN), strict=True):
        found, of_seeds = variant["per_loop"], runs[name]
        cells = [interval(*(found[end][loop - 1] for end in ("mean", "low", "high"))) for loop in LOOPS]
        page.says(f"| {variant['name']} | 8 | " + " | ".join(cells) + " |")
        if len(learnt(of_seeds)) < len(of_seeds):
            means = [short(statistics.geometric_mean(after(run, loop) for run in learnt(of_seeds).values())) for loop in LOOPS]
            page.says(f"| {variant['name']} | {len(learnt(of_seeds))} | " + " | ".join(means) + " |")
        own = [after(run, 60) / after(run, 8) for run in of_seeds.values()]
        page.says(f"{variant['name']}: {interval(*ratio_over_seeds(own))}, between {min(own):.2f} and {max(own):.2f}")
        least = [min(range(1, 61), key=lambda loop, run=run: after(run, loop)) for run in learnt(of_seeds).values()]
        page.says(f"{variant['name']} after {min(least)} to {max(least)} loops")
    lower = {loop: sum(after(runs[DRAWN][s], loop) < after(runs["fast"][s], loop) for s in runs["fast"]) for loop in (8, 60)}
    page.says(f"lower in {lower[60]} of 8 seeds after 60 loops, and in {lower[8]} after 8")
    page.says(f"After 60 loops the ratio is {cell(comparison, DRAWN)}")
    page.says(f"after 8 it is {cell(load('depth/after_8.json'), DRAWN)}")
    for name in ("fast", DRAWN):
        page.says(f"| {'fixed 8' if name == 'fast' else name} | " + stability_row(learnt(runs[name]).values()))


def other_draws(page):
    """Other ways of drawing the depth, beside those of beyond_the_loops."""
    comparison, runs = load("depth/all.json"), load("runs.json")
    names = {"fixed 8": "fast"}
    flops = {variant["name"]: variant["flops"] for variant in comparison["variants"]}
    poisson, of_set = (flops[name] / flops[DRAWN] for name in ("poisson, mean 8", "set of 4, 8, 16"))
    page.says(f"{poisson:.2f} and {of_set:.2f} of the FLOPs of {DRAWN}")
    for variant in comparison["variants"]:
        name = variant["name"]
        found, of_seeds = variant["per_loop"], runs[names.get(name, name)]
        cells = [interval(*(found[end][loop - 1] for end in ("mean", "low", "high"))) for loop in LOOPS]
        if name not in ("fixed 8", DRAWN):
            page.says(f"| {name} | 8 | " + " | ".join(cells) + " |")
            if len(learnt(of_seeds)) < len(of_seeds):
                means = [short(statistics.geometric_mean(after(run, loop) for run in learnt(of_seeds).values())) for loop in LOOPS]
                page.says(f"| {name} | {len(learnt(of_seeds))} | " + " | ".join(means) + " |")
            own = [after(run, 60) / after(run, 8) for run in learnt(of_seeds).values()]
            page.says(f"{name}: {interval(*ratio_over_seeds(own))}, between {min(own):.2f} and {max(own):.2f}")
            page.says(f"| {name} | " + stability_row(learnt(of_seeds).values()))
        if name != "fixed 8":
            page.says(f"{name} to fixed 8: {cell(comparison, name)}")


def windows(page):
    """How many of the last of up to 20 loops carry gradient. `window 8` ran later, and has a comparison of its own."""
    comparison, runs = load("window/comparison.json"), load("runs.json")
    variants = comparison["variants"] + load("window/window_8.json")["variants"]
    widest = next(variant for variant in variants if variant["name"] == "window 20")
    reference = learnt(runs["window 20"])
    for variant in variants:
        name, every = variant["name"], runs[variant["name"]]
        good = learnt(every)
        # Where none learns there is nothing else to describe.
        shown = (good or every).values()
        cost = f"{variant['flops'] / 1e12:.2f}e12 | {variant['flops'] / widest['flops']:.2f}"
        error = error_at(variant)
        if name == "window 1":
            page.says(f"which ends at {error}")
        page.says(f"| {name} | {cost} | {error} | {', '.join(short(after(run, 20)) for run in every.values())} |")
        means = [short(statistics.geometric_mean(after(run, loop) for run in shown)) for loop in (8, 20, 60)]
        page.says(f"| {name} | {len(shown)} | {' | '.join(means)} | {stability_row(shown)}")
        if name == "window 8":
            ratios = [after(run, 20) / after(runs["window 20"][seed], 20) for seed, run in every.items()]
            page.says(f"{name}: {interval(*ratio_over_seeds(ratios))}, 8 seeds")
        elif name != "window 20":
            page.says(f"{name}: {cell(comparison, name)}")
        if name != "window 20":
            both = [seed for seed in good if seed in reference]
            if both:
                ratios = [after(every[seed], 20) / after(reference[seed], 20) for seed in both]
                page.says(f"{name}: {interval(*ratio_over_seeds(ratios))}, {len(both)} seeds")
        page.says(f"{len(good)} of 8 with {name}")
    ends = [after(run, 20) for run in runs["window 1"].values()]
    page.says(f"All eight end between {short(min(ends))} and {short(max(ends))}")
    page.says(f"averaging has {short(comparison['baselines']['averaging']['mean'][10])}")


def norms(page):
    """Norm placements by injectors."""
    every, comparison = load("runs.json"), load("norm/comparison.json")
    reference = grid_name("pre", "full")
    for variant in comparison["variants"]:
        name, runs = variant["name"], every[variant["name"]].values()
        norm, injector = (part.split("=")[1] for part in name.split(", "))
        error = interval(*(variant["error"][end][6] for end in ("mean", "low", "high")))
        ratio = "" if name == reference else cell(comparison, name, 6)
        page.says(f"| {norm} | `{injector}` | {len(learnt(every[name]))} of {len(runs)} | {error} | {ratio} |")
        page.says(f"| {norm} | `{injector}` | {stability_row(runs)}")
    for norm in PLACEMENTS:
        page.says(f"| {norm} | {interval(*over_seeds(settled(every, [grid_name(norm, each) for each in INJECTORS])))} |")
    for injector in INJECTORS:
        page.says(f"| `{injector}` | {interval(*over_seeds(settled(every, [grid_name(norm, injector) for norm in PLACEMENTS])))} |")


def verdicts(endpoints, ratios):
    """Of each variant's seeds: mean, interval and verdict, after Holm's correction; ratios go by their logarithms."""
    p = holm({name: p_of([math.log(each) for each in seeds] if ratios else seeds) for name, seeds in endpoints.items()})

    def said(name, seeds):
        mean, low, high = ratio_over_seeds(seeds) if ratios else over_seeds(seeds)
        of_p = f"p {p[name]:.3f}" if p[name] >= 0.0005 else "p < 0.001"
        verdict = ("better", "worse") if ratios else ("fewer", "more")
        shown = verdict[mean > (1 if ratios else 0)] if p[name] < 0.05 else "undecided"
        return interval(mean, low, high), shown, of_p

    return {name: said(name, seeds) for name, seeds in endpoints.items()}


def options(page):
    """One change each of a model of 4 loops."""
    every, comparison = load("options/runs.json"), load("options/comparison.json")
    flops = {variant["name"]: variant["flops"] for variant in comparison["variants"]}
    for name, runs in every.items():
        errors = [interval(*ratio_over_seeds([after(run, loop) for run in runs.values()])) for loop in (4, 16)]
        parts = [run["stability"]["shares"]["settles"] for run in runs.values()]
        seconds = statistics.mean(run["cpu_seconds"] for run in runs.values())
        page.says(
            f"| {name} | {len(learnt(runs, 4))} of {len(runs)} | {' | '.join(errors)} | {interval(*over_seeds(parts))} | "
            f"{flops[name] / 1e12:.2f}e12 | {seconds:.0f} |"
        )
    endpoints = options_endpoints(every)
    for name, found in options_verdicts(endpoints).items():
        page.says(f"| {name} | {' | '.join(f'{mean} {verdict} ({p})' for mean, verdict, p in found)} |")


def options_verdicts(endpoints):
    """Of each variant what is said of its three endpoints."""
    columns = [verdicts({name: of[i] for name, of in endpoints.items()}, ratios=i < 2) for i in range(3)]
    return {name: [column[name] for column in columns] for name in endpoints}


def options_seen(page):
    """What a page says of each option in a sentence."""
    for name, found in options_verdicts(options_endpoints(load("options/runs.json"))).items():
        after_4, after_16, settles = (f"{mean} ({verdict})" for mean, verdict, _ in found)
        page.says(f"`{name}`: {after_4} times the error after 4 loops, {after_16} times after 16, {settles} in the part that settles")


def slope(steps):
    """Of a least-squares line through (3, steps[0]), (4, steps[1]), ..."""
    mean = statistics.mean(steps)
    middle = (len(steps) - 1) / 2
    return sum((i - middle) * (step - mean) for i, step in enumerate(steps)) / sum((i - middle) ** 2 for i in range(len(steps)))


def grown(run, name):
    """The slope of a solver's best step over the loops 3 to 8: in steps a loop, and in doublings a loop."""
    steps = run["simw_step"][name][2:8]
    return slope(steps), slope([math.log2(step) for step in steps])


def best_steps(page, recipe, runs, names):
    """The rows of both tables, for each solver; returns its two intervals, as they stand there."""
    found = {}
    for name in names:
        of_loops = [[run["simw_step"][name][loop] for run in runs] for loop in range(2, 8)]
        medians = " | ".join(f"{statistics.median(steps):g} ({min(steps)} to {max(steps)})" for steps in of_loops)
        page.says(f"| {recipe} | `{name}` | {medians} |")
        found[name] = [interval(*over_seeds(list(slopes))) for slopes in zip(*(grown(run, name) for run in runs), strict=True)]
        page.says(f"| {recipe} | `{name}` | {' | '.join(found[name])} |")
    return found


def solvers(page):
    every = load("runs.json")
    for recipe in ("fast", DRAWN):
        runs = [run["match"] for run in learnt(every[recipe]).values()]
        found = best_steps(page, recipe, runs, ("gd", "heavy_ball", "chebyshev", "cg", "newton_schulz"))
        if recipe == "fast":
            page.says(f"{recipe}: {found['gd'][1]} doublings a loop")
            page.says(f"{recipe}: {found['newton_schulz'][0]} steps of Newton's iteration a loop")
            page.says(f"{recipe}: {found['cg'][0]} steps of conjugate gradients a loop")
        values = [max(of[7] for of in run["simw"].values()) for run in runs]
        gaps = [max(values) - min(values) for values in ([of[7] for of in run["simw"].values()] for run in runs)]
        page.says(
            f"of {recipe} the closest solver to loop 8 has a SimW of {min(values):.3f} to {max(values):.3f}, "
            f"and the farthest is at most {max(gaps):.4f} behind"
        )


def ill_conditioned(page):
    every, behind, said = load("runs.json"), {}, {}
    for recipe in ("skewed", "shipped"):
        seeds = learnt(every[recipe])
        runs = [run["match"] for run in seeds.values()]
        found = best_steps(page, recipe, runs, ("gd", "gd_single", "heavy_ball", "chebyshev", "cg", "newton_schulz"))
        best = [[max(of[loop] for of in run["simw"].values()) for run in runs] for loop in range(8)]
        errors, linear = [after(run, 8) for run in seeds.values()], [run["linear"][2] for run in runs]
        last = max(step for run in runs for steps in run["simw_step"].values() for step in steps[2:8])
        said[recipe] = {
            "learnt": f"{len(seeds)} of {len(every[recipe])} seeds",
            "last": f"{last}",
            "doublings": found["gd"][1],
            "newton": found["newton_schulz"][0],
            "cg": found["cg"][0],
            "condition": short(runs[0]["condition"]),
            "error": f"{short(min(errors))} to {short(max(errors))}",
            "simw_3": f"{min(best[2]):.2f} to {max(best[2]):.2f}",
            "simw_8": f"{min(best[7]):.3f} to {max(best[7]):.3f}",
            "linear": f"{min(linear):.2f} to {max(linear):.2f}",
        }
        closest = max(runs[0]["simw"], key=lambda name, runs=runs: statistics.mean(run["simw"][name][7] for run in runs))
        behind[recipe] = {}
        for name in runs[0]["simw"]:
            mean, low, high = over_seeds([run["simw"][closest][7] - run["simw"][name][7] for run in runs])
            behind[recipe][name] = "closest" if name == closest else f"{mean:.5f} [{low:.5f}, {high:.5f}]"
    for name in behind["skewed"]:
        page.says(f"| `{name}` | {behind['skewed'][name]} | {behind['shipped'][name]} |")
    for sentence in (
        "The best step of `gd` grows by {skewed[doublings]} doublings a loop on skewed, and by {shipped[doublings]} on shipped",
        "{skewed[newton]} steps of Newton's iteration a loop on skewed, and {shipped[newton]} on shipped",
        "{skewed[cg]} steps of conjugate gradients a loop on skewed, and {shipped[cg]} on shipped",
        "The median condition number of XᵀX is {skewed[condition]} on skewed, and {shipped[condition]} on shipped",
        "The closest solver to loop 8 has a SimW of {skewed[simw_8]} on skewed, and of {shipped[simw_8]} on shipped",
        "The error after 8 loops is {skewed[error]} on skewed, and {shipped[error]} on shipped",
        "the closest solver to loop 3 has a SimW of only {skewed[simw_3]} on skewed, and of {shipped[simw_3]} on shipped",
        "a linear function explains {skewed[linear]} of its predictions on skewed, and {shipped[linear]} on shipped",
        "{skewed[learnt]} of skewed learnt, and {shipped[learnt]} of shipped",
        "The latest best step is {skewed[last]} on skewed and {shipped[last]} on shipped",
    ):
        page.says(sentence.format(**said))
    skewed = every["skewed"]
    closest = [run["match"]["closest"][7] for run in learnt(skewed).values()]
    page.says(f"`gd_single` in {closest.count('gd_single')} of {len(closest)} seeds and `gd_safe` in {closest.count('gd_safe')}")
    page.says(f"no further than step {max(run['match']['simw_step']['cg'][7] for run in learnt(skewed).values())}")
    gaps = [grown(run["match"], "gd")[1] - grown(every["shipped"][seed]["match"], "gd")[1] for seed, run in skewed.items()]
    page.says(f"skewed less shipped: {interval(*over_seeds(gaps))} doublings a loop")
    page.says(f"in proportion to the loop would be {short(slope([math.log2(loop) for loop in range(3, 9)]))} doublings a loop")


def at_the_same_loops(fixed, loops):
    """The error of all prompts after a mean number of loops: on the straight line between the two nearest numbers."""
    whole = min(int(loops), len(fixed) - 1)
    return fixed[whole - 1] + (loops - whole) * (fixed[whole] - fixed[whole - 1])


def rules_at(runs, rule, loops):
    """Of a rule at the threshold that takes nearest to so many loops: its mean loops, its error, and its ratios to all prompts after as many
    loops and to the same exits at random."""
    found = [(run["exits"]["rules"][rule][loops - 2], run["exits"]["fixed"]) for run in runs.values()]
    return [
        over_seeds([taken for (taken, _, _), _ in found]),
        ratio_over_seeds([error for (_, error, _), _ in found]),
        ratio_over_seeds([error / at_the_same_loops(fixed, taken) for (taken, error, _), fixed in found]),
        ratio_over_seeds([error / random for (_, error, random), _ in found]),
    ]


def exits(page):
    """When the models of options.toml could stop: the rules at half of the 4 loops, and the gate at 3."""
    every = load("options/runs.json")
    for variant in ("base", "gate"):
        runs = every[variant]
        for rule in runs["0"]["exits"]["rules"]:
            page.says(f"| {variant} | {rule} | {' | '.join(interval(*each) for each in rules_at(runs, rule, 2))} |")
        best = [run["exits"]["oracle"] for run in runs.values()]
        loops, error = over_seeds([loops for loops, _ in best]), ratio_over_seeds([error for _, error in best])
        page.says(f"| {variant} | oracle | {interval(*loops)} | {interval(*error)} | | |")
    page.says(f"{interval(*rules_at(every['gate'], 'gate', 2)[3])} of that of its own exits at random")
    gate_seen(page)
    page.says(f"| gate | gate, nearest to 3 | {' | '.join(interval(*each) for each in rules_at(every['gate'], 'gate', 3))} |")


def gate_seen(page):
    """What a page says of the gate against a fixed depth."""
    half, three = (rules_at(load("options/runs.json")["gate"], "gate", loops)[2] for loops in (2, 3))
    page.says(f"it has {interval(*half)} of its error")
    page.says(f"told from a fixed depth, {interval(*three)}")


def laboratory(page):
    """What docs/lab.md says was seen here."""
    page.says("90 % CI")
    every = load("runs.json")
    shipped = [run["match"] for run in every["shipped"].values()]
    for name in ("gd", "newton_schulz", "cg"):
        of_loops = [[run["simw_step"][name][loop] for run in shipped] for loop in range(2, 8)]
        page.says(f"| `{name}` | {' | '.join(f'{statistics.median(of):g} ({min(of)} to {max(of)})' for of in of_loops)} |")
    slopes = {name: list(zip(*(grown(run, name) for run in shipped), strict=True)) for name in ("gd", "newton_schulz", "cg")}
    page.says(f"`gd` grows by {interval(*over_seeds(slopes['gd'][1]))} doublings a loop")
    page.says(f"`newton_schulz` by {interval(*over_seeds(slopes['newton_schulz'][0]))} steps")
    page.says(f"`cg` by {interval(*over_seeds(slopes['cg'][0]))}")
    fast = [grown(run["match"], "gd")[1] for run in learnt(every["fast"]).values()]
    page.says(f"with the recipe `fast` it is {interval(*over_seeds(fast))} doublings")
    linear = [[run["linear"][loop] for run in shipped] for loop in (0, 1, 7)]
    page.says(", ".join(f"{min(of):.2f} to {max(of):.2f} after loop {loop}" for of, loop in zip(linear, (1, 2, 8), strict=True)))
    skewed = [run["match"] for run in every["skewed"].values()]
    closest = [max(of[7] for of in run["simw"].values()) for run in skewed]
    page.says(f"the closest solver to loop 8 has a SimW of {min(closest):.3f} to {max(closest):.3f}")
    runs = [learnt(every[name]) for name in ("fast", DRAWN)]
    for what, of in {
        "settles": lambda found: found["shares"]["settles"],
        "drifts": lambda found: found["shares"]["drifts"],
        "cycles": lambda found: found["shares"]["cycles"],
        "alignment from another prompt's state": lambda found: found["alignment"],
        "its control": lambda found: found["alignment_of_others"],
        "spectral radius": lambda found: found["spectral_radius"],
        "largest Lyapunov exponent": lambda found: found["lyapunov"],
        "error of the last loop / of the best": lambda found: found["last_against_best"][0],
    }.items():
        page.says(f"| {what} | {' | '.join(interval(*over_seeds([of(run['stability']) for run in each.values()])) for each in runs)} |")
    window_8 = learnt(every["window 8"])
    for rule in ("context", "state", "acceleration", "prediction"):
        page.says(f"| {rule} | {' | '.join(interval(*each) for each in rules_at(window_8, rule, 4))} |")
    for loops in (4, 8):
        errors = [run["exits"]["fixed"][loops - 1] for run in window_8.values()]
        page.says(f"| all after loop {loops} | {loops} | {interval(*ratio_over_seeds(errors))} | | |")
    best = [run["exits"]["oracle"] for run in window_8.values()]
    loops, error = over_seeds([loops for loops, _ in best]), ratio_over_seeds([error for _, error in best])
    page.says(f"| oracle | {interval(*loops)} | {interval(*error)} | | |")


CHECKS = [time_to_quality, confirmed, quickstart, steps_to_quality, schedules, beyond_the_loops, other_draws, windows, norms, options, options_seen, exits, solvers, ill_conditioned]


def seen(text, paragraph):
    """The parts of a page that say what was seen here."""
    return "\n".join(re.findall(paragraph, text, flags=re.DOTALL))


def faults():
    """What is wrong with the page of the loops, with its summary, and with what the docs say was seen here."""
    page = Page((RESULTS / "README.md").read_text(encoding="utf-8"))
    for fragment in GIVEN:
        page.says(fragment)
    for check in CHECKS:
        check(page)
    # The summary quotes the page.
    summary = (EXPERIMENTS / "README.md").read_text(encoding="utf-8").split("## Eight seeds or more")[1].split("\n## ")[0]
    docs = EXPERIMENTS.parent / "docs"
    lab = Page(seen((docs / "lab.md").read_text(encoding="utf-8"), r"\*\*What was seen here\.\*\*.*?(?=\n## |\Z)"))
    laboratory(lab)
    keys = Page(seen((docs / "experiment-file.md").read_text(encoding="utf-8"), r"Seen here.*?(?=\n\n[^-])"))
    keys.says("90 % CI")
    options_seen(keys)
    gate_seen(keys)
    stale = [name for name in FIGURES if (RESULTS / name).read_text(encoding="utf-8") != redrawn(name)]
    return [
        *page.faults("loops"),
        *(f"the summary: isn't recomputed: {number}" for number in unchecked(summary, page.checked)),
        *lab.faults("docs/lab.md"),
        *keys.faults("docs/experiment-file.md"),
        *(f"{name} isn't what figures.py draws" for name in stale),
    ]
