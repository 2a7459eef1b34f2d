"""Looped models from Python: the same experiments, runs and numbers as by the ``looped`` command.

>>> import looped
>>> exp = looped.Experiment("experiments/quickstart.toml", {"training.train_steps": 1500})
>>> run = exp.run("runs/demo", progress=True)
>>> run.evaluate(loops=60).plot()

docs/python.md is the page. numpy is imported when the first numbers are asked for: that takes longer than all else that Python does in a run.
"""

from __future__ import annotations

import sys

from looped import _looped
from looped._errors import ConfigError, Error, Finding, PartError, RunError
from looped._evaluation import Curve, Evaluation, Picture
from looped._experiment import Cost, Experiment
from looped._metrics import Metrics
from looped._model import Model
from looped._protocols import Baseline, Task, part
from looped._run import Run
from looped._study import Comparison, Sweep, compare, sweep
from looped._trainer import Gradients, Step, Trainer

__all__ = [
    "Baseline",
    "Comparison",
    "ConfigError",
    "Cost",
    "Curve",
    "Error",
    "Evaluation",
    "Experiment",
    "Finding",
    "Gradients",
    "Metrics",
    "Model",
    "PartError",
    "Picture",
    "Run",
    "RunError",
    "Step",
    "Sweep",
    "Task",
    "Trainer",
    "compare",
    "part",
    "sweep",
]

if sys.executable:
    # The runs of a sweep are processes of this program: of Python, running the command.
    _looped.started_by(sys.executable, ["-m", "looped"])
