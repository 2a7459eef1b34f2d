"""What the tests share: an experiment that takes a moment, and the command that was installed beside the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import looped

ROOT = Path(__file__).resolve().parents[3]

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

[model.block]
type = "transformer"
n_head = 2

[model.injector]
type = "full"

[training]
batch_size = 4
learning_rate = 1e-3
train_steps = 12
n_loop_window = 2
threads = 1
log_every_steps = 2
validate_every_steps = 4

[training.curriculum]
dims = { start = 2, end = 2, inc = 0, interval = 1 }
points = { start = 5, end = 5, inc = 0, interval = 1 }
loops = { start = 2, end = 3, inc = 1, interval = 4 }

[evaluation]
prompts = 16
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the experiment."""
    file = tmp_path_factory.mktemp("tiny") / "tiny.toml"
    file.write_text(TINY)
    return file


@pytest.fixture(scope="session")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> looped.Run:
    """A finished run of it."""
    return looped.Experiment(tiny).run(tmp_path_factory.mktemp("runs") / "run")


def command(*words: object) -> subprocess.CompletedProcess[str]:
    """The installed ``looped``, run to its end."""
    program = Path(sys.executable).with_name("looped")
    return subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=300)
