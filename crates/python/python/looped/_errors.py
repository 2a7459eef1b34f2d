"""What can go wrong. The texts are those of the ``looped`` command."""

from __future__ import annotations

from typing import NamedTuple, Sequence


class Finding(NamedTuple):
    """One thing that is wrong with an experiment file."""

    source: str
    """The file that set the key, or ``command line``."""
    key: str
    """Dotted path of the key."""
    message: str
    """What is wrong, and what is allowed."""
    line: int
    """Line of the source, from 1; 0 where it has none."""
    column: int
    """Column of the source, from 1; 0 where it has none."""


class Error(Exception):
    """Anything that looped refuses, or that went wrong in it."""


class ConfigError(Error, ValueError):
    """An experiment, an argument or a file that can't be used; the command ends with exit code 2."""

    def __init__(self, message: str, findings: Sequence[tuple[str, str, str, int, int]] = ()) -> None:
        super().__init__(message)
        self.findings = [Finding(*finding) for finding in findings]


class RunError(Error, RuntimeError):
    """A run that went wrong; the command ends with exit code 1."""


class PartError(Error):
    """A task or a baseline written in Python that can't be made or called, or that returns something else than it should."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key
