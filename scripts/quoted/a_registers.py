"""experiments/study/results/a_registers: question (a), where a few register tokens hold what the loops carry."""

from quoted.page import STUDY, brief_ratios, cell, ends, error_at, read
from seeds import interval, ratio_over_seeds, short

FOLDER = STUDY / "a_registers"
ALL, QUERY = "all tokens", "the query alone"
NAMES = (ALL, "8 registers and the query", "4 registers and the query", "2 registers and the query", QUERY)
# The place of the query: 10 examples and 4 points of zeros stand before it.
LAST = 14


def rows(comparison, against_query):
    """The tables, row by row."""
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    for name in NAMES:
        to_all = "" if name == ALL else cell(comparison, name, LAST)
        to_query = "" if name == QUERY else cell(against_query, name, LAST)
        yield "main", f"| {name} | {error_at(variants[name], LAST)} | {to_all} | {to_query} |".replace("|  |", "| |").replace("|  |", "| |")
        yield "loops", f"| {name} | " + " | ".join(short(variants[name]["per_loop"]["mean"][loop - 1]) for loop in (1, 2, 3, 4, 6, 8)) + " |"
        yield "seeds", f"| {name} | " + " | ".join(short(error) for error in ends(comparison, name, LAST)) + " |"


def sentences(comparison, against_query, before):
    """What the page says in words."""
    brief = brief_ratios(comparison, LAST)
    to_query = brief_ratios(against_query, LAST)
    needed = {of["ratio"]: of["seeds"] for of in comparison["ratios"]["seeds_needed"]}
    start = [seed[LAST] for seed in before["variants"][0]["error_of_seeds"]]
    return [
        f"With 8 register tokens and the query the error is {brief['8 registers and the query']} times that of all tokens (ten seeds, 90 % CI)",
        f"with 4 it is {brief['4 registers and the query']} times, with 2 {brief['2 registers and the query']} times, and with the query alone {brief[QUERY]} times",
        f"8 registers have {to_query['8 registers and the query']} times the error of the query alone",
        f"The models that all runs begin with have an error of {interval(*ratio_over_seeds(start))}",
        f"a true ratio of 1.25 would take {needed[1.25]:.0f} seeds, and one of 1.1 {needed[1.1]:.0f}",
    ]


def registers(page):
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1", "arXiv 2309.16588"):
        page.says(fragment)
    comparison, against_query, before = read(FOLDER, "comparison", "against_query", "before")
    for said in [*(row for _, row in rows(comparison, against_query)), *sentences(comparison, against_query, before)]:
        page.says(said)
