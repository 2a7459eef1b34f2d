#!/usr/bin/env python3
"""Recomputes every number that experiments/loops/results/README.md, its summary in experiments/README.md, and what docs/lab.md and
docs/experiment-file.md say was seen here, quote from the JSON that is committed beside the first; and every number of the PAGES below from the
JSON beside each. The numbers of all other rows of experiments/README.md must stand on a page or in a report that the row links.

    scripts/check-numbers.py

Fails where a sentence or a row of the page doesn't follow from the JSON, where a decimal number or a percentage stands on the page that
nothing here computes or names as given, and where a figure of means over seeds isn't what figures.py draws. Numbers in code, which are
settings, are left out. What each page says is in the modules of scripts/quoted.
"""

import sys

from quoted import a_continued, a_queries, a_registers, b_product, c_blocks, fast_classes, fast_linear, few_prompts, loops, public_weights, summary
from quoted.page import STUDY, Page

# The pages, and what checks each.
PAGES = {
    STUDY / "a_continued": a_continued.continued,
    a_queries.FOLDER: a_queries.queries,
    a_registers.FOLDER: a_registers.registers,
    STUDY / "b_product": b_product.product,
    STUDY / "c_blocks": c_blocks.other_blocks,
    STUDY / "public_weights": public_weights.public,
    fast_linear.FOLDER: fast_linear.linear,
    fast_classes.FOLDER: fast_classes.classes,
    few_prompts.FOLDER: few_prompts.few,
}


def main():
    wrong = loops.faults() + summary.faults()
    for folder, check in PAGES.items():
        page = Page((folder / "README.md").read_text(encoding="utf-8"))
        check(page)
        wrong += page.faults(folder.name)
    names = ", ".join(folder.name for folder in PAGES)
    print("\n".join(wrong) or f"every number of experiments/loops, {names} follows from the JSON")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
