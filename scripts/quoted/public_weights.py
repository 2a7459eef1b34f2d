"""experiments/study/results/public_weights: question (a) asked of published checkpoints."""

import json
import math

from quoted.page import STUDY, error_at, read
from seeds import interval, short

PUBLIC = STUDY / "public_weights"


def public(page):
    """Published checkpoints of the last n tokens: with the state kept in place, and moved as by the code that trained them."""
    page.says("90 % CI")
    comparison, moved, others = read(PUBLIC, "comparison", "moved", "evaluations")
    variants = {variant["name"]: variant for variant in comparison["variants"]}

    for name, variant in variants.items():
        of = moved[name]
        to_truth, to_other = (interval(*of["replaced"][key]) for key in ("to_the_truth", "to_the_replacement"))
        page.says(f"| {name} | {error_at(variant)} | {interval(*of['error'][0])} | {interval(*of['error'][10])} | {to_truth} | {to_other} |")
    for where, trained, rows in (("position", 22, 203), ("dimension", 5, 20)):
        found = moved[f"values_of_a_{where}"]
        assert all(each > 1 for each in found[:trained]) and found[trained:] == [1] * (rows - trained), where
    copies = [name for name in moved if name.startswith("last") and name != "last 0"]
    spread = moved["spread_of_position_21"]
    still = {short(spread[name]) for name in ("all tokens", "last 0")}
    of_copies = [spread[name] for name in copies]
    page.says(f"root mean square is {'/'.join(still)}; with the other n it was trained, to {short(min(of_copies))} to {short(max(of_copies))}")
    none = [moved[name]["error"][0][0] for name in copies]
    page.says(f"their errors are {short(min(none))} to {short(max(none))}")
    page.says(f"theirs is at most {short(max(none))}")
    to_other = [moved[name]["replaced"]["to_the_replacement"][0] for name in copies]
    to_truth = [moved[name]["replaced"]["to_the_truth"][0] for name in copies]
    page.says(f"an error of {short(max(to_other))} or less, and are {short(min(to_truth))} to {short(max(to_truth))} from the true answer")
    for name in ("all tokens", "last 0"):
        assert math.isclose(moved[name]["replaced"]["to_the_truth"][0], moved[name]["error"][10][0], rel_tol=1e-6), name
    every, nothing = variants["all tokens"], variants["last 0"]
    page.says(f"The error at the last query is {error_at(every)} where all 22 tokens keep their state, and {error_at(nothing)} where none does")
    page.says(f"{every['parameters'] / 1e6:.3f} million")
    kept = [variants[name]["error"]["mean"][10] for name in copies]
    page.says(f"{short(min(kept))} to {short(max(kept))} at 10 examples where predicting 0 has about 1")
    page.says(f"{short(every['error']['mean'][2])} after 2 examples, and least squares {short(comparison['baselines']['least_squares']['mean'][2])}")
    found = next(c for c in comparison["ratios"]["cells"] if c["variant"] == "last 0" and c["examples"] == 10)
    page.says(f"{interval(found['ratio'], found['low'], found['high'])} times that with all")
    page.says(f"{short(nothing['error']['mean'][5])} at 5 examples and {short(nothing['error']['mean'][10])} at 10")
    page.says(f"averaging has {interval(*(comparison['baselines']['averaging'][end][10] for end in ('mean', 'low', 'high')))} at 10")
    by_loop = others["long"]["error_at_10_examples_by_loop"]
    after_20, after_100 = (interval(*(by_loop[end][loop - 1] for end in ("mean", "low", "high"))) for loop in (20, 100))
    page.says(f"{after_20} after 20 loops and {after_100} after 100 on the same {others['long']['prompts']} prompts")
    page.says(f"lowest after loop {by_loop['mean'].index(min(by_loop['mean'])) + 1}")
    named = others["named"]["error_by_examples"]
    assert min(named["mean"]) > 1
    page.says(f"{interval(*(named[end][40] for end in ('mean', 'low', 'high')))} at 40 examples, where predicting 0 has about 1, and above 1 at every number of examples ({others['named']['prompts']} prompts)")
    page.says(f"| 256 | 5 | 10 | 20 | about 150,000 steps of Adam, one seed | {error_at(every)} |")
    ours = {}
    for name, file in {"b": "b_product/comparison.json", "a": "a_continued/comparison.json", "full": "full_size/continued/comparison.json"}.items():
        ours[name] = {variant["name"]: variant for variant in json.loads((PUBLIC.parent / file).read_text())["variants"]}
    page.says(f"| 32 | 5 | 10 | 8 | 2000 steps of Muon, ten seeds | {error_at(ours['b']['1 x 8'])} |")
    page.says(f"| 32 | 5 | 10 | 8 | 11,600 steps of Adam, ten seeds | {error_at(ours['a']['all tokens'])} |")
    page.says(f"| 256 | 10 | 20 | 30 | 26,001 steps of Adam, five seeds | {error_at(ours['full']['all tokens'], 20)} |")
    once = [ours["a"][name]["error"]["mean"][count] for name, last in (("last 11", 5), ("last 5", 8)) for count in range(1, last)]
    theirs = nothing["error"]["mean"][2:]
    page.says(f"{short(min(once))} to {short(max(once))} at 1 to 7 examples, and \"last 0\" {short(min(theirs))} to {short(max(theirs))} at 2 to 10")
