"""experiments/paper/results/few_prompts: the looped block and 12 blocks, trained on few distinct prompts."""

import math

from quoted.page import EXPERIMENTS, between, ends, error_at, p_in_words, read
from seeds import holm, interval, p_of, ratio_over_seeds, short

FOLDER = EXPERIMENTS / "paper/results/few_prompts"
# How many prompts there are, and what each model is called then.
COUNTS = {str(count): (f"looped, {count} prompts", f"12 blocks, {count} prompts") for count in (256, 1024, 4096, 16384, 65536)}
COUNTS["fresh"] = ("looped, 4 to 12 loops", "12 blocks")


def ratios(comparison):
    """The looped block's error divided by that of 12 blocks, of each seed, by the number of prompts."""
    return {
        count: [a / b for a, b in zip(ends(comparison, looped), ends(comparison, blocks), strict=True)]
        for count, (looped, blocks) in COUNTS.items()
    }


def rows(comparison):
    """The tables, row by row."""
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    of_count = ratios(comparison)
    p = holm({count: p_of([math.log(ratio) for ratio in found]) for count, found in of_count.items()})
    for count, names in COUNTS.items():
        looped, blocks = (variants[name] for name in names)
        verdict = "undecided" if p[count] >= 0.05 else "better" if ratio_over_seeds(of_count[count])[0] < 1 else "worse"
        yield "main", f"| {count} | {error_at(looped)} | {error_at(blocks)} | {interval(*ratio_over_seeds(of_count[count]))} {verdict} ({p_in_words(p[count])}) |"
        learnt, tested = ([short(of[what]["loss"][-1]) for of in (looped, blocks)] for what in ("training", "validation"))
        yield "losses", f"| {count} | {learnt[0]} | {tested[0]} | {learnt[1]} | {tested[1]} |"
    for name in [name for names in COUNTS.values() for name in names]:
        yield "seeds", f"| {name} | " + " | ".join(short(error) for error in ends(comparison, name)) + " |"


def sentences(comparison):
    """What the page says in words."""
    found = {}
    for model in (0, 1):
        fresh = ends(comparison, COUNTS["fresh"][model])
        for count in ("4096", "16384", "65536"):
            own = ends(comparison, COUNTS[count][model])
            found[model, count] = interval(*ratio_over_seeds([a / b for a, b in zip(own, fresh, strict=True)]))
    many = sorted(ends(comparison, COUNTS["65536"][0]))
    return [
        f"with 256 prompts the looped block's errors are {between(ends(comparison, COUNTS['256'][0]))} and those of 12 blocks {between(ends(comparison, COUNTS['256'][1]))}",
        f"with 1024 they are {between(ends(comparison, COUNTS['1024'][0]))} and {between(ends(comparison, COUNTS['1024'][1]))}",
        f"With 4096 prompts the looped block has {found[0, '4096']} times the error that it has with fresh prompts, with 16,384 {found[0, '16384']} and with 65,536 {found[0, '65536']} times",
        f"for 12 blocks these are {found[1, '4096']}, {found[1, '16384']} and {found[1, '65536']} times",
        f"with 65,536 prompts one seed of the looped block ends at {short(many[-1])}, the others at {between(many[:-1])}",
    ]


def few(page):
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1", "arXiv 2311.12424"):
        page.says(fragment)
    (comparison,) = read(FOLDER, "comparison")
    for row in [*(row for _, row in rows(comparison)), *sentences(comparison)]:
        page.says(row)
