#!/usr/bin/env python3
"""A checkpoint damaged in 1000 ways: is each reported by name, and is the run resumed from the previous good checkpoint?

    cargo build -p cli
    scripts/reliability/damage.py

Each case takes a finished run, flips bits of one file of its newest checkpoint, or cuts the file short, or removes it, and
resumes. The command must end well, warn of that file in that checkpoint, say that it resumes from the previous one, and
leave the same bytes as the run that was never damaged.
"""

import argparse
import collections
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from common import PROGRAM, TINY, contents, differing, looped

FILES = ["model.safetensors", "optimizer.safetensors", "state.json", "SHA256SUMS"]


def damage(path, rng):
    """Damages a file; the damage in words."""
    data = bytearray(path.read_bytes())
    kind = rng.choices(["bit flipped", "byte changed", "cut short", "emptied", "removed", "lengthened"], [40, 25, 25, 3, 3, 4])[0]
    at = rng.randrange(len(data))
    if kind == "bit flipped":
        data[at] ^= 1 << rng.randrange(8)
    elif kind == "byte changed":
        data[at] = (data[at] + rng.randrange(1, 256)) % 256
    elif kind == "cut short":
        del data[at:]
    elif kind == "emptied":
        data.clear()
    elif kind == "lengthened":
        data += rng.randbytes(rng.randrange(1, 9))
    path.unlink()
    if kind != "removed":
        path.write_bytes(data)
    return kind


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=Path, default=PROGRAM)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    program, rng = options.program.resolve(), random.Random(options.seed)
    kinds, bad, begun = collections.Counter(), [], time.time()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tiny.toml").write_text(TINY)
        made = looped(program, "run", folder / "tiny.toml", "--out", folder / "whole")
        if made.returncode != 0:
            sys.exit(made.stderr)
        whole = contents(folder / "whole")
        for case in range(options.cases):
            run = folder / "run"
            shutil.rmtree(run, ignore_errors=True)
            shutil.copytree(folder / "whole", run)
            file = FILES[case % len(FILES)]
            kind = damage(run / "checkpoints/last" / file, rng)
            kinds[f"{file} {kind}"] += 1
            resumed = looped(program, "resume", run)
            # A checksum that was changed is seen at the file that no longer has it.
            told = f"checkpoints/last/{file}: " in resumed.stderr or (file == FILES[-1] and "SHA256SUMS" in resumed.stderr)
            went_on = "warning: using " in resumed.stderr and "checkpoints/previous (step 10)" in resumed.stderr
            differ = differing(contents(run), whole)
            if resumed.returncode != 0 or not told or not went_on or differ:
                bad.append((case, file, kind, resumed.returncode, told, went_on, differ, resumed.stderr))
    for what, count in sorted(kinds.items()):
        print(f"{count:5} {what}")
    print(f"{options.cases} cases in {time.time() - begun:.0f} s, {len(bad)} not as they should be")
    for line in bad[:10]:
        print(line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
