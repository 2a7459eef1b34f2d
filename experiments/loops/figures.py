#!/usr/bin/env python3
"""Draws the figures of means over seeds on experiments/loops/results/README.md from the runs' JSON, in the style of the reports.

    experiments/loops/figures.py

A row is a variant: a small dot for each seed, a bar for the 90 % CI of their mean, and a dot for the mean. check-numbers.py fails where
a committed figure isn't what this draws.
"""

import json
import math
import statistics
from html import escape
from pathlib import Path

from seeds import over_seeds

RESULTS = Path(__file__).resolve().parent / "results"
FONT = "'Liberation Sans', Arimo, Arial, Helvetica, sans-serif"
BLUE, ORANGE, GREEN, PINK, YELLOW, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
ROW, TOP = 15.0, 22.0

PLACEMENTS = ("pre", "post", "peri", "sandwich")
INJECTORS = ("full", "concat", "learned_gate")


class Axis:
    """Where a number lies between the left and the right end of a panel."""

    def __init__(self, title, ticks, low, high, logarithmic=False, mark=None):
        self.title, self.ticks, self.mark = title, ticks, mark
        self.scale = math.log if logarithmic else float
        self.low, self.high = self.scale(low), self.scale(high)

    def place(self, value):
        """From 0 to 1; what lies outside is drawn at the panel's edge."""
        return min(1.0, max(0.0, (self.scale(value) - self.low) / (self.high - self.low)))

    def centre(self, seeds):
        """Mean and interval, of logarithms where the axis is one of ratios."""
        ends = over_seeds([self.scale(each) for each in seeds])
        return [math.exp(end) for end in ends] if self.scale is math.log else ends


def text(x, y, what, anchor="start", size=9.0, weight="normal"):
    return f'<text x="{x:.2f}" y="{y:.2f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}">{escape(what)}</text>'


def line(x, y, to_x, to_y, width, colour="currentColor", opacity=1.0):
    return f'<path d="M{x:.2f} {y:.2f}L{to_x:.2f} {to_y:.2f}" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}" fill="none"/>'


def panel(axis, rows, left, width, column):
    """A panel's grid, and of each row the seeds in one of its columns."""
    bottom = TOP + ROW * len(rows)
    drawn = [line(left, bottom, left + width, bottom, 0.8)]
    for tick in axis.ticks:
        x = left + width * axis.place(tick)
        drawn.append(line(x, TOP, x, bottom, 0.6, opacity=0.13))
        drawn.append(line(x, bottom, x, bottom + 3.5, 0.7))
        drawn.append(text(x, bottom + 13, f"{tick:g}", "middle"))
    if axis.mark is not None:
        x = left + width * axis.place(axis.mark)
        drawn.append(line(x, TOP, x, bottom, 0.9, opacity=0.6))
    drawn.append(text(left + width / 2, bottom + 28, axis.title, "middle", 10.0))
    for i, (_, colour, *columns) in enumerate(rows):
        seeds, y = columns[column] if columns else None, TOP + ROW * (i + 0.5)
        if seeds is None:
            continue
        for each in seeds:
            drawn.append(f'<circle cx="{left + width * axis.place(each):.2f}" cy="{y:.2f}" r="1.6" fill="{colour}" fill-opacity="0.3"/>')
        mean, low, high = (left + width * axis.place(end) for end in axis.centre(seeds))
        drawn.append(line(low, y, high, y, 1.9, colour))
        drawn.append(f'<circle cx="{mean:.2f}" cy="{y:.2f}" r="3" fill="{colour}"/>')
    return drawn


def figure(rows, axes, labels=150.0, width=190.0, gap=16.0):
    """Rows of (label, colour, seeds of each axis); one without seeds is a heading."""
    whole = labels + len(axes) * (width + gap) + 8
    height = TOP + ROW * len(rows) + 36
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole:g}" height="{height:g}" viewBox="0 0 {whole:g} {height:g}" role="img" '
        f'color="#1a1a1a" fill="currentColor" font-family="{FONT}">',
        f'<rect x="0" y="0" width="{whole:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    for i, (label, _, *columns) in enumerate(rows):
        y = TOP + ROW * (i + 0.5) + 3.2
        drawn.append(text(labels - 8, y, label, "end", weight="normal" if columns else "bold"))
    for i, axis in enumerate(axes):
        drawn += panel(axis, rows, labels + i * (width + gap), width, i)
    return "\n".join([*drawn, "</svg>", ""])


def windows(every):
    rows = [
        (name, BLUE, *([run["per_loop"][loop - 1] for run in every[name].values()] for loop in (8, 20, 60)),
         [run["stability"]["shares"]["settles"] for run in every[name].values()])
        for name in ("window 20", "window 8", "window 4", "window 2", "window 1")
    ]  # fmt: skip
    errors = [Axis(f"error after {loops} loops", (0.01, 0.03, 0.1, 0.3, 1), 0.004, 1.3, logarithmic=True) for loops in (8, 20, 60)]
    return figure(rows, [*errors, Axis("part that settles", (0, 0.5, 1), 0, 1)], labels=70, width=140)


def grid_name(norm, injector):
    """As the sweep names a variant of its grid."""
    return f"norm={norm}, injector={injector}"


def settled(every, names):
    """For each seed the part of prompts that settle, its mean over the variants."""
    return [statistics.mean(every[name][seed]["stability"]["shares"]["settles"] for name in names) for seed in every[names[0]]]


def norms(every):
    rows = [("placement, all injectors", BLUE)]
    rows += [(norm, BLUE, settled(every, [grid_name(norm, each) for each in INJECTORS])) for norm in PLACEMENTS]
    rows += [("injector, all placements", ORANGE)]
    rows += [(each, ORANGE, settled(every, [grid_name(norm, each) for norm in PLACEMENTS])) for each in INJECTORS]
    rows += [("each by itself", GREEN)]
    rows += [(f"{norm}, {each}", GREEN, settled(every, [grid_name(norm, each)])) for each in INJECTORS for norm in PLACEMENTS]
    return figure(rows, [Axis("part of 32 prompts whose state settles", (0, 0.2, 0.4, 0.6, 0.8, 1), 0, 1)], width=300)


def options_endpoints(every):
    """Of each variant of options.toml the three endpoints, a number a seed: the ratio to the base of the errors after 4 and 16 loops, and
    the difference of the part of prompts that settle."""
    base = every["base"]

    def of(seed, run):
        errors = [run["per_loop"][loop - 1] / base[seed]["per_loop"][loop - 1] for loop in (4, 16)]
        return [*errors, run["stability"]["shares"]["settles"] - base[seed]["stability"]["shares"]["settles"]]

    others = {name: runs for name, runs in every.items() if name != "base"}
    return {name: list(zip(*(of(seed, run) for seed, run in runs.items()), strict=True)) for name, runs in others.items()}


def options(every):
    groups = {
        "depth": ("drawn 2 to 6",),
        "unroll": ("window 2", "random_prefix", "phantom", "implicit"),
        "loss": ("last loss", "progressive", "gate"),
        "regulariser": ("jacobian", "fixed_point"),
        "state": ("embedded", "noise", "learned", "relaxation"),
        "weights by loop": ("loop_embedding", "lora"),
    }
    endpoints, rows = options_endpoints(every), []
    for (group, names), colour in zip(groups.items(), (GREEN, BLUE, ORANGE, PINK, YELLOW, SKY), strict=True):
        rows += [(group, colour), *((name, colour, *endpoints[name]) for name in names)]
    axes = [
        Axis("error after 4 loops, × base", (0.1, 0.3, 1, 3, 10), 0.08, 12, logarithmic=True, mark=1),
        Axis("error after 16 loops, × base", (0.1, 0.3, 1, 3, 10), 0.08, 12, logarithmic=True, mark=1),
        Axis("part that settles, less base's", (-0.8, -0.4, 0, 0.4), -0.95, 0.55, mark=0),
    ]
    return figure(rows, axes, labels=110)


# A figure, the runs that it is of, and what draws it.
FIGURES = {
    "norm/plots/settles.svg": ("runs.json", norms),
    "window/plots/windows.svg": ("runs.json", windows),
    "options/plots/options.svg": ("options/runs.json", options),
}


def redrawn(name):
    runs, draw = FIGURES[name]
    return draw(json.loads((RESULTS / runs).read_text()))


def main():
    for name in FIGURES:
        (RESULTS / name).write_text(redrawn(name))
        print(RESULTS / name)


if __name__ == "__main__":
    main()
