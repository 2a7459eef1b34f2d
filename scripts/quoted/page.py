"""A page, what was found on it, and how errors and ratios are quoted."""

import json
import math
import re
import statistics
from pathlib import Path

from seeds import holm, interval, p_of, ratio_over_seeds, short

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"
STUDY = EXPERIMENTS / "study/results"


class Page:
    """A page, or a section of one, and the fragments that were found to follow from the JSON."""

    def __init__(self, text):
        self.text, self.wrong, self.checked = text, [], []

    def says(self, fragment):
        if fragment not in self.text:
            self.wrong.append(f"should say: {fragment}")
        self.checked.append(fragment)

    def faults(self, name):
        """What doesn't follow, and what is a number that nothing was computed for."""
        numbers = unchecked(self.text, self.checked)
        return [f"{name} {what}" for what in self.wrong] + [f"{name}: isn't recomputed: {number}" for number in numbers]


def unchecked(text, fragments):
    """The numbers that no fragment covers."""
    for fragment in sorted(fragments, key=len, reverse=True):
        text = text.replace(fragment, " ")
    return numbers(text)


def numbers(text):
    """The numbers with a decimal point or a percent sign, outside of code and links."""
    text = re.sub(r"```.*?```", " ", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", " ", text)
    return re.findall(r"(?<![\w.])\d+\.\d+\b|\b\d+ %", text)


def read(folder, *names):
    """The JSON files of these names."""
    return (json.loads((folder / f"{name}.json").read_text()) for name in names)


def cell(comparison, variant, examples=10):
    """A ratio of `looped compare` with its verdict."""
    found = next(c for c in comparison["ratios"]["cells"] if c["variant"] == variant and c["examples"] == examples)
    return f"{interval(found['ratio'], found['low'], found['high'])} {found['verdict']} ({p_in_words(found['p_holm'])})"


def p_in_words(p):
    return f"p {p:.3f}" if p >= 0.0005 else "p < 0.001"


def between(values):
    return f"{short(min(values))} to {short(max(values))}"


def ends(comparison, name, examples=10):
    """The error of each seed of a variant."""
    variant = next(variant for variant in comparison["variants"] if variant["name"] == name)
    return [seed[examples] for seed in variant["error_of_seeds"]]


def error_at(variant, examples=10):
    """A variant's error with its interval."""
    return interval(*(variant["error"][end][examples] for end in ("mean", "low", "high")))


def brief_ratios(comparison, examples=10):
    """Each variant's ratio with its interval, by name."""
    cells = (c for c in comparison["ratios"]["cells"] if c["examples"] == examples)
    return {c["variant"]: interval(c["ratio"], c["low"], c["high"]) for c in cells}


def chosen_by_the_last(runs):
    """The validation loss by which a rate was judged, from what collect.py writes: the geometric mean over its seeds."""
    return short(statistics.geometric_mean(run["validation"][-1][1] for run in runs.values())) if runs else ""


def verdicts(ratios, margin=1.1):
    """What the seeds' ratios of each name show, in the words of `looped compare`: each with its interval, p by Holm's correction over all."""
    logs = {name: [math.log(ratio) for ratio in found] for name, found in ratios.items()}

    def beyond(values, edge):
        """p of Student's one-sided test that the mean is on this side of `edge`."""
        shifted = [value - edge for value in values]
        inside = statistics.mean(shifted) * edge < 0
        return p_of(shifted) / 2 if inside else 1 - p_of(shifted) / 2

    differ = holm({name: p_of(values) for name, values in logs.items()})
    same = holm({name: max(beyond(values, edge) for edge in (math.log(margin), -math.log(margin))) for name, values in logs.items()})
    found = {}
    for name, of in ratios.items():
        mean, low, high = ratio_over_seeds(of)
        word = f"equal within {margin}" if same[name] < 0.05 else "undecided" if differ[name] >= 0.05 else "better" if mean < 1 else "worse"
        found[name] = f"{interval(mean, low, high)} {word} ({p_in_words(differ[name])})"
    return found
