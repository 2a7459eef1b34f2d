"""experiments/study/results/a_queries: question (a), where the loss counts only the queries that keep their state."""

from quoted.page import STUDY, cell, ends, error_at, read, verdicts
from seeds import short

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


def queries(page):
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1"):
        page.says(fragment)
    (comparison,) = read(FOLDER, "comparison")
    for _, row in rows(comparison):
        page.says(row)
