"""experiments/README.md: every number of a row stands on a page or in a report that the row links."""

import re

from quoted.page import EXPERIMENTS, numbers


def faults():
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    return [fault for line in text.splitlines() if line.startswith("| ") and ".md" in line for fault in of_row(line)]


def of_row(line):
    """What a row says that none of the files it links does."""
    targets = [target.split("#")[0] for target in re.findall(r"\]\(([^)#]+\.md[^)]*)\)", line)]
    linked = " ".join((EXPERIMENTS / target).read_text(encoding="utf-8") for target in targets)
    known = set(numbers(linked))
    missing = [number for number in numbers(line) if number not in known]
    return [f"experiments/README.md: {number} isn't in {' or '.join(targets) or 'any linked file'}: {line[:60]}" for number in missing]
