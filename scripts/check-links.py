#!/usr/bin/env python3
"""Every file that a committed Markdown page links or shows exists, and is committed too.

    scripts/check-links.py
"""

import re
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def links(page: Path):
    """The relative links of a page outside of code, each with its line."""
    fenced = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if fenced:
            continue
        for match in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
            target = (match[1] or match[2]).split("#")[0]
            if target and not re.match(r"[a-z]+:", target):
                yield number, target


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, check=True, capture_output=True, text=True).stdout
    files = {root / name for name in listed.split("\0") if name}
    folders = {parent for file in files for parent in file.parents}
    broken = [
        f"{page.relative_to(root)}:{line}: {target} is not there"
        for page in sorted(file for file in files if file.suffix == ".md" and file.exists())
        # Templates are filled in elsewhere, and goldens are pages without their figures.
        if not {"templates", "golden"} & set(page.parts)
        for line, target in links(page)
        if (place := (page.parent / target).resolve()) not in files and place not in folders
    ]
    print("\n".join(broken) or "every link leads to a committed file")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
