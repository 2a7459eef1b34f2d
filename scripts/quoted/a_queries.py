"""experiments/study/results/a_queries: question (a), where the loss counts only the queries that keep their state."""

from quoted.page import STUDY, brief_ratios, cell, ends, error_at, read, verdicts
from seeds import interval, ratio_over_seeds, short

FOLDER = STUDY / "a_queries"
# How many of the 11 queries keep their state, by the number of last tokens that do.
KEPT = {20: 10, 15: 7, 11: 5, 5: 2}
ALL, LAST = "all tokens", "all tokens, loss of the last query"


def names(n):
    return f"last {n}", f"last {n}, loss of kept queries"


def variants_of():
    return [ALL, LAST, *(name for n in KEPT for name in names(n))]


def ratios(comparison):
    """The error by the loss of kept queries divided by that by the loss of all, of each seed."""
    return {n: [a / b for a, b in zip(*(ends(comparison, name) for name in reversed(names(n))), strict=True)] for n in KEPT}


def rows(comparison):
    """The tables, row by row."""
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    verdict = verdicts(ratios(comparison))
    for n, queries in KEPT.items():
        by_all, by_kept = (error_at(variants[name]) for name in names(n))
        yield "main", f"| {n} | {queries} of 11 | {by_all} | {by_kept} | {verdict[n]} |"
    for name in variants_of():
        against = "" if name == ALL else cell(comparison, name)
        yield "against", f"| {name} | {error_at(variants[name])} | {against} |".replace("|  |", "| |")
        yield "counts", f"| {name} | " + " | ".join(short(variants[name]["error"]["mean"][count]) for count in (2, 5, 8, 10)) + " |"
        yield "seeds", f"| {name} | " + " | ".join(short(error) for error in ends(comparison, name)) + " |"


def sentences(comparison):
    """What the page says in words."""
    brief = brief_ratios(comparison)
    own = {n: interval(*ratio_over_seeds(found)) for n, found in ratios(comparison).items()}
    mean = {variant["name"]: variant["error"]["mean"] for variant in comparison["variants"]}
    needed = {of["ratio"]: of["seeds"] for of in comparison["ratios"]["seeds_needed"]}
    assert sum(ratio > 1 for ratio in ratios(comparison)[15]) == 0
    return [
        f"With the last 15 the loss of the kept queries has {own[15]} times the error of the loss of all (ten seeds, 90 % CI, *better*)",
        f"with the last 20 and the last 5 the two are equal within a factor of 1.1 ({own[20]} and {own[5]}), with the last 11 undecided ({own[11]})",
        f"the last 20 of 22 tokens have {brief['last 20, loss of kept queries']} times the error of all tokens, the last 15 {brief['last 15, loss of kept queries']} times",
        f"that of the last query alone has {brief['all tokens, loss of the last query']} times the error of the loss of all, undecided",
        f"at 5 examples {short(mean['all tokens, loss of the last query'][5])} against {short(mean['all tokens'][5])}",
        f"a true ratio of 1.25 would take {needed[1.25]:.0f} seeds, and one of 1.1 {needed[1.1]:.0f}",
    ]


def queries(page):
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1"):
        page.says(fragment)
    (comparison,) = read(FOLDER, "comparison")
    for said in [*(row for _, row in rows(comparison)), *sentences(comparison)]:
        page.says(said)
