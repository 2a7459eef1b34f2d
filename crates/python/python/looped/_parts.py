"""Tasks and baselines written in Python: made of what an experiment file says of them, called, and what they return checked.

The extension module calls these functions. Each raises :class:`PartError` with the one sentence that the user is to read.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, Sequence

import numpy as np
import numpy.typing as npt

from looped._errors import PartError

Floats = npt.NDArray[np.float32]

METHODS = {"task": "sample(rng, prompts, points, dims, n_dims)", "baseline": "predict(xs, ys)"}


def make(kind: str, module: str, name: str, path: str | None, config: dict[str, Any]) -> object:
    """The object that an experiment file describes."""
    found = _module(module, path)
    if not hasattr(found, name):
        close = difflib.get_close_matches(name, vars(found), n=1)
        meant = f"; did you mean {close[0]}?" if close else ""
        raise PartError(f"the module {module} has no {name}{meant}", "class")
    try:
        made: object = getattr(found, name)(**config)
    except Exception as error:
        raise PartError(f"{module}.{name} can't be made: {_words(error)}", "config") from error
    method = METHODS[kind]
    if not callable(getattr(made, method.split("(")[0], None)):
        raise PartError(f"{module}.{name} has no method {method}, which a {kind} needs", "class")
    return made


def sample(task: Any, label: str, asked: tuple[Sequence[int], int, int, int, int]) -> tuple[Floats, Floats]:
    """Prompts of a task: all xs and all ys, each as one vector."""
    seed, prompts, points, dims, n_dims = asked
    rng = np.random.default_rng(list(seed))
    call = f"the task {label}: sample(prompts={prompts}, points={points}, dims={dims}, n_dims={n_dims})"
    try:
        drawn = task.sample(rng, prompts=prompts, points=points, dims=dims, n_dims=n_dims)
    except Exception as error:
        raise PartError(f"{call} raised {_words(error)}") from error
    if not isinstance(drawn, tuple) or len(drawn) != 2:
        raise PartError(f"{call} returned {_kind(drawn)}; expected a tuple of two arrays, xs and ys")
    xs = _array(call, "xs", drawn[0], (prompts, points, n_dims))
    return xs, _array(call, "ys", drawn[1], (prompts, points))


def predict(baseline: Any, label: str, asked: tuple[Floats, Floats, int]) -> Floats:
    """A baseline's predictions of a prompt."""
    xs, ys, dims = asked
    call = f"{label}: predict(xs {(len(ys), dims)}, ys {(len(ys),)})"
    try:
        predicted = baseline.predict(xs.reshape(-1, dims), ys)
    except Exception as error:
        raise PartError(f"{call} raised {_words(error)}") from error
    return _array(call, "", predicted, (len(ys),))


def fingerprint(task: Any, label: str, asked: tuple[()]) -> str | None:
    """What tells the data that a task reads from others, if it has a method that says so."""
    own = getattr(task, "fingerprint", None)
    if own is None:
        return None
    try:
        found = own()
    except Exception as error:
        raise PartError(f"the task {label}: fingerprint() raised {_words(error)}") from error
    return None if found is None else str(found)


def _module(name: str, path: str | None) -> ModuleType:
    folder = Path(path).resolve() if path else None
    if folder:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(name)
    except Exception as error:
        where = f" from {folder}" if folder else ""
        advice = "" if folder or not isinstance(error, ModuleNotFoundError) else "; set path to the folder that it is in"
        raise PartError(f"{name} can't be imported{where}: {_words(error)}{advice}", "module") from error
    finally:
        if folder:
            sys.path.remove(str(folder))
    file = getattr(module, "__file__", None)
    if folder and file and folder not in Path(file).resolve().parents:
        raise PartError(f"{name} is imported already, from {file}, which isn't in {folder}; rename one of them", "module")
    return module


def _array(call: str, name: str, found: object, shape: tuple[int, ...]) -> Floats:
    of = f"{call} returned {name}".rstrip()
    expected = f"expected float32 or float64 of the shape {shape}"
    if not isinstance(found, np.ndarray):
        raise PartError(f"{of} as {_kind(found)}; {expected}")
    if found.dtype not in (np.float32, np.float64):
        raise PartError(f"{of} as {found.dtype}; {expected}")
    if found.shape != shape:
        raise PartError(f"{of} of the shape {found.shape}; {expected}")
    # What is too large for float32 becomes infinite, and is told as such.
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(found, dtype=np.float32)
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise PartError(f"{of} with {found[first]} at {list(first)}; expected finite numbers")
    return array.reshape(-1)


def _kind(found: object) -> str:
    if isinstance(found, (tuple, list)):
        return f"a {type(found).__name__} of {len(found)}"
    return "None" if found is None else f"a {type(found).__name__}"


def _words(error: Exception) -> str:
    """An exception in a line: what it is, and where in the user's code it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != __file__ and "importlib" not in frame.filename]
    where = f" ({Path(own[-1].filename).name}, line {own[-1].lineno}, in {own[-1].name})" if own else ""
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"{text}{where}"
