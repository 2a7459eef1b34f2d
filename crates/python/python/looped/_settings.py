"""Changes to an experiment as the ``key=value`` arguments of the command: a dotted path, and a value in TOML."""

from __future__ import annotations

import json
from os import PathLike, fspath
from typing import Any, Mapping

from looped._errors import ConfigError


def settings(changes: Mapping[str, object] | None) -> list[str]:
    """``{"training.train_steps": 2000}`` as ``["training.train_steps=2000"]``."""
    return [f"{key}={_toml(key, value)}" for key, value in (changes or {}).items()]


def _toml(key: str, value: Any) -> str:
    if hasattr(value, "tolist"):
        # Numbers and arrays of numpy.
        return _toml(key, value.tolist())
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, PathLike):
        value = fspath(value)
    if isinstance(value, str):
        # What JSON escapes, TOML does in the same way.
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(name))} = {_toml(key, of)}" for name, of in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(key, item) for item in value) + "]"
    raise ConfigError(
        f"{key}: is a {type(value).__name__}; allowed: a bool, number, text, path, list or dict, and to leave a key out instead of None"
    )
