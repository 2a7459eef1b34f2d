"""experiments/study/results/c_blocks: question (c) by the quickstart's recipe."""

import statistics

from quoted.page import STUDY, between, brief_ratios, cell, chosen_by_the_last, error_at, read
from seeds import interval, ratio_over_seeds, short

OTHER_BLOCKS = STUDY / "c_blocks"
# The learning rate that each loop of question (c) was given, and those that were tried.
OTHER_RATES = {
    "transformer": "1.6e-2", "lstm": "1.6e-2", "lstm of width 40": "1.6e-2", "lstm of width 64": "8e-3", "lstm of width 128": "4e-3", "gru": "8e-3", "gru of width 46": "8e-3",
    "ssm of width 36": "1.6e-2", "ssm of width 64": "1.6e-2", "lstm, then transformer": "3.2e-2", "transformer, then lstm": "8e-3", "two transformers": "8e-3",
}
OTHER_TRIED = ["2e-3", "4e-3", "8e-3", "1.6e-2", "3.2e-2", "6.4e-2"]


def other_blocks(page):
    """The study's question (c) by the quickstart's recipe: other blocks in the transformer's place."""
    for fragment in ("90 % CI", "p < 0.05", "within a factor of 1.1", "a true ratio of 1.25", "one of 1.5", "4 and 5 %"):
        page.says(fragment)
    comparison, mixed, rates, matched = read(OTHER_BLOCKS, "comparison", "mixed", "rates", "match")
    variants = {variant["name"]: variant for variant in comparison["variants"]}
    control = variants["transformer"]
    for name, learning_rate in OTHER_RATES.items():
        of = variants[name]
        error = error_at(of)
        against = "" if of is control else cell(comparison, name)
        page.says(f"| {name} | {learning_rate} | {of['parameters']} | {short(of['flops'] / control['flops'])} | {error} | {against} |".replace("|  |", "| |"))
        page.says(f"| {name} | " + " | ".join(short(seed[10]) for seed in of["error_of_seeds"]) + " |")
        page.says(f"| {name} | " + " | ".join(short(of["per_loop"]["mean"][loop - 1]) for loop in (1, 2, 3, 4, 6, 8)) + " |")
        tried = [chosen_by_the_last(rates.get(f"{name}, {one}")) for one in OTHER_TRIED]
        if any(tried):
            page.says(f"| {name} | " + " | ".join(tried) + " |")
    for name in ("lstm, then transformer", "transformer, then lstm"):
        page.says(f"{name}: {cell(mixed, name)}")
    for sentence in other_blocks_in_words(variants, comparison, matched):
        page.says(sentence)
    page.says(f"for {short(variants['lstm, then transformer']['flops'] / variants['two transformers']['flops'])} of their FLOPs")
    for name in ("transformer", "lstm of width 40", "lstm, then transformer", "transformer, then lstm"):
        steps = {loop: [run["match"]["simw_step"]["gd_safe"][loop - 1] for run in matched[name].values()] for loop in (2, 4, 8)}
        page.says(f"| {name} | " + " | ".join(f"{statistics.median(of):g} ({min(of)} to {max(of)})" for of in steps.values()) + " |")
    needed = {of["ratio"]: of["seeds"] for of in comparison["ratios"]["seeds_needed"]}
    page.says(f"would take {needed[1.25]:.0f} seeds to show in four sweeps of five, and one of 1.5 {needed[1.5]:.0f}, at this spread, which is pooled over all rows")


def other_blocks_in_words(variants, comparison, matched):
    """What the page says in words."""
    brief = brief_ratios(comparison)
    ends = {name: [seed[10] for seed in of["error_of_seeds"]] for name, of in variants.items()}
    first, second = ({name: [run["per_loop"][loop] for run in runs.values()] for name, runs in matched.items()} for loop in (0, 1))
    means = {name: short(of["error"]["mean"][10]) for name, of in variants.items()}
    ahead = "lstm, then transformer"
    learnt = [error for error in ends[ahead] if error < 0.1]
    stuck = [error for error in ends[ahead] if error >= 0.1]
    close = {name: [run["match"]["simw"]["gd_safe"][7] for run in runs.values()] for name, runs in matched.items()}
    own = [two / one for two, one in zip(ends["two transformers"], ends["transformer"], strict=True)]
    early = [error for error, end in zip(second[ahead], ends[ahead], strict=True) if end < 0.1]

    assert all(min(ends[name]) > max(ends["transformer"]) for name in ends if name not in ("transformer", "two transformers"))
    return [
        f"With as many parameters and FLOPs an LSTM has {brief['lstm of width 40']} times the transformer's error (ten seeds, 90 % CI, *worse*), and a GRU {brief['gru of width 46']} times",
        f"An LSTM of twice the width has {brief['lstm of width 64']} times, one of four times the width {brief['lstm of width 128']} times",
        f"after one loop the LSTM of width 40 has an error of {between(first['lstm of width 40'])}, the transformer one of {between(first['transformer'])}",
        f"after 2 loops their errors are {between(early)}, the transformer's {between(second['transformer'])}",
        f"its error is {means['lstm']}, {means['lstm of width 40']}, {means['lstm of width 64']} and {means['lstm of width 128']} at widths 32, 40, 64 and 128",
        f"At width 36 its errors are {between(ends['ssm of width 36'])}, at width 64 {between(ends['ssm of width 64'])}, where predicting 0 has about 1",
        f"in {len(stuck)} of {len(ends[ahead])} seeds the error ends at {between(stuck)}, in the others at {between(learnt)}; the transformer's are {between(ends['transformer'])}",
        f"for twice the FLOPs of one they have {brief['two transformers']} times its error, undecided over all rows together (by its own seeds {interval(*ratio_over_seeds(own))})",
        f"After 8 loops the cosine of the two is {between(close['lstm of width 40'])} for the LSTM and {between(close['transformer'])} for the transformer",
    ]
