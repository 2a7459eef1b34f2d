"""Bars: in a notebook, on a terminal, or as lines."""

from __future__ import annotations

import html
import shutil
import sys
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional

Show = Callable[[str, int, int, str], None]
"""Called with what is done, how much of it, of how much, and more about it."""

LINE_EVERY = 5.0
"""Seconds from one line to the next, where no bar can be drawn."""


@contextmanager
def shower(progress: bool) -> Iterator[Optional[Show]]:
    """What shows the work of a block, if it is to be shown."""
    if not progress:
        yield None
        return
    bar: Bar = _notebook() or (Terminal() if sys.stderr.isatty() else Lines())
    try:
        yield bar.show
    finally:
        bar.close()


class Bar:
    """How far the work is, in words."""

    def __init__(self) -> None:
        self._doing = ""
        self._begun = (0.0, 0)

    def words(self, doing: str, done: int, total: int, text: str) -> str:
        now = time.monotonic()
        if doing != self._doing:
            self._doing, self._begun = doing, (now, done)
        seconds, steps = now - self._begun[0], done - self._begun[1]
        left = f", {_clock((total - done) * seconds / steps)} left" if 0 < steps and done < total else ""
        rate = f", {steps / seconds:.1f}/s" if steps and seconds > 0 else ""
        return f"{doing} {done}/{total}{rate}{left}{', ' if text else ''}{text}"

    def show(self, doing: str, done: int, total: int, text: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Leaves the last state to be read."""


class Lines(Bar):
    """A line now and then."""

    _last = 0.0
    _ended = ""

    def show(self, doing: str, done: int, total: int, text: str) -> None:
        line, now = self.words(doing, done, total, text), time.monotonic()
        ends = done == total and doing != self._ended
        if ends or (done < total and now - self._last >= LINE_EVERY):
            self._last = now
            self._ended = doing if ends else self._ended
            print(line, file=sys.stderr)


class Terminal(Bar):
    """A bar that stays in its line."""

    def show(self, doing: str, done: int, total: int, text: str) -> None:
        full = 24 * done // max(total, 1)
        line = f"{'█' * full}{'░' * (24 - full)} {self.words(doing, done, total, text)}"
        columns = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[2K{line[:columns]}", end="", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._doing:
            print(file=sys.stderr)


class Notebook(Bar):
    """A bar below a notebook's cell."""

    def __init__(self, display: Callable[..., Any]) -> None:
        super().__init__()
        self._display = display
        self._handle: Any = None
        self._markup = ""

    def show(self, doing: str, done: int, total: int, text: str) -> None:
        words = html.escape(self.words(doing, done, total, text))
        self._markup = f'<progress value="{done}" max="{max(total, 1)}"></progress> {words}'
        if self._handle is None:
            self._handle = self._display(self, display_id=True)
        else:
            self._handle.update(self)

    def _repr_html_(self) -> str:
        return self._markup

    def __repr__(self) -> str:
        return self._markup.partition("> ")[2]


def _notebook() -> Bar | None:
    """The bar of a notebook, if this is one."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell else None
    if running is None or not hasattr(running, "kernel"):
        return None
    from IPython.display import display

    return Notebook(display)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
