#!/usr/bin/env python3
"""Checks what the build depends on: every licence allowed, every crate from the registry, one copy of what must be one.

    scripts/check-dependencies.py

Advisories can't be checked here: their database lives in a git repository outside the registry. Where the network allows it:
`cargo install cargo-audit && cargo audit`.
"""

import collections
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "MIT", "MIT-0", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "ISC", "Unicode-3.0", "Unlicense", "Zlib", "0BSD",
}
# Two copies of these would not know each other's types, or register parts that the other can't see.
ONE_COPY = ["candle-core", "candle-nn", "looped-core", "inventory", "typetag", "schemars", "safetensors"]
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"


def allowed(expression):
    """Whether an SPDX expression can be met by allowed licences: `OR` by one side, `AND` by both."""
    words = re.findall(r"[()]|[^\s()]+(?:\s+WITH\s+[^\s()]+)?", expression.replace("/", " OR "))
    # Python's own `or` and `and` have SPDX's precedence.
    known = {"OR": "or", "AND": "and", "(": "(", ")": ")"}
    text = " ".join(known.get(word, str(" ".join(word.split()) in ALLOWED)) for word in words)
    return bool(eval(text, {"__builtins__": {}}))  # of True, False, or, and, brackets alone


def main():
    host = re.search(r"host: (\S+)", subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout)[1]
    words = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", host]
    metadata = json.loads(subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    built = {node["id"] for node in metadata["resolve"]["nodes"]}
    packages = [package for package in metadata["packages"] if package["id"] in built]
    problems = []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if not package["license"]:
            problems.append(f"{name}: names no licence (its file: {package['license_file']})")
        elif not allowed(package["license"]):
            problems.append(f"{name}: licence {package['license']} is not on the list in {Path(__file__).name}")
        if package["source"] is None:
            if ROOT not in Path(package["manifest_path"]).parents:
                problems.append(f"{name}: comes from {package['manifest_path']}, outside this repository")
        elif package["source"] != REGISTRY:
            problems.append(f"{name}: comes from {package['source']}, not from the registry")
    copies = collections.Counter(package["name"] for package in packages)
    problems += [f"{name}: {copies[name]} versions; there must be one" for name in ONE_COPY if copies[name] > 1]
    print("\n".join(problems) or f"{len(packages)} crates: licences allowed, sources known, no copy too many")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
