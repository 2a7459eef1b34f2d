#!/usr/bin/env python3
"""Times two builds of our step in turn, and prints the ratio of the second to the first.

    cargo build -p looped-train --example step && cp target/debug/examples/step before
    # change something
    cargo build -p looped-train --example step && scripts/builds.py before target/debug/examples/step -- --width 64 --heads 4

Both get the options behind `--` (crates/train/examples/step.rs lists them). They run one step after another, round by round,
as in bench.py.
"""

import argparse
import os
import statistics

from bench import Side


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("options", nargs="*", help="what to time, behind --")
    args = parser.parse_args()

    sides = [Side([os.path.abspath(build), *args.options]) for build in (args.before, args.after)]
    seconds = [[side.step() for side in sides] for _ in range(args.rounds)]
    reports = [side.end() for side in sides]
    for name, times, report in zip(("before", "after"), zip(*seconds), reports):
        print(f"{name:6} {statistics.median(times):.3f} s, peak {report['peak_mb']:.0f} MB")
    ratios = [after / before for before, after in seconds]
    print(f"ratio  {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
