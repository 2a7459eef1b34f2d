"""What the campaigns share: a tiny experiment, how to run the program, and what two equal runs have in common."""

import hashlib
import json
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PROGRAM = REPOSITORY / "target/debug/looped"

TINY = """
name = "tiny"
seed = 3
[task]
type = "linear_regression"
[model]
n_dims = 2
n_positions = 5
n_embd = 8
n_layer = 1
block = { type = "transformer", n_head = 2 }
injector = { type = "full" }
[training]
threads = 1
batch_size = 4
learning_rate = 1e-3
train_steps = 12
n_loop_window = 2
log_every_steps = 2
save_every_steps = 5
keep_every_steps = 1000000
[training.curriculum]
dims = { start = 2, end = 2, inc = 1, interval = 1 }
points = { start = 3, end = 5, inc = 1, interval = 3 }
loops = { start = 2, end = 4, inc = 1, interval = 4 }
[evaluation]
prompts = 16
"""


def looped(program, *words, **options):
    """Runs a command to its end, with its output as text."""
    return subprocess.run([str(program), *map(str, words)], capture_output=True, text=True, check=False, **options)


def contents(run):
    """A hash of each file that two equal runs share: all of them, but for what tells the time."""
    files = {}
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_file() and not name.startswith((".lock", "events.", "run.json")):
            data = path.read_bytes()
            if name == "metrics.jsonl":
                records = [json.loads(line) for line in data.splitlines()]
                for record in records:
                    del record["steps_per_second"]
                    record.pop("cpu_seconds", None)
                data = json.dumps(records).encode()
            files[name] = hashlib.sha256(data).hexdigest()
    return files


def differing(found, expected):
    """The names of the files that differ or that only one of them has."""
    return sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
