#!/usr/bin/env python3
"""Counts the instructions of a step of several builds, and prints each count's ratio to the first.

    scripts/instructions.py BEFORE AFTER -- --threads 1 --batch 4 --loops 6 --window 4 --width 64 --heads 4

The options behind `--` are those of crates/train/examples/step.rs. What is counted is the second step, by valgrind's callgrind, which runs 50 times
slower, and which knows no AVX-512: the kernels run on AVX2. A count is the same each time to a ten-thousandth, whatever else the machine does.
"""

import argparse
import glob
import os
import subprocess
import sys
import tempfile


def count(build, options):
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={folder}/count", build, "--serve", *options]
        step = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        step.stdout.readline()
        for _ in range(2):
            # Each dump begins the count anew.
            subprocess.run(["callgrind_control", "-d", str(step.pid)], check=True, capture_output=True)
            print(file=step.stdin, flush=True)
            step.stdout.readline()
        subprocess.run(["callgrind_control", "-d", str(step.pid)], check=True, capture_output=True)
        step.kill()
        step.wait()
        last = max(glob.glob(f"{folder}/count.*"), key=lambda name: int(name.rsplit(".", 1)[1]))
        totals = [line for line in open(last) if line.startswith(("summary:", "totals:"))]
        return int(totals[-1].split()[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("builds", nargs="+")
    # What stands behind -- is the step's.
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:at])
    counts = [count(os.path.abspath(build), words[at + 1 :]) for build in args.builds]
    for build, instructions in zip(args.builds, counts):
        print(f"{instructions / 1e6:.1f} million, ratio {instructions / counts[0]:.4f}: {build}")


if __name__ == "__main__":
    main()
