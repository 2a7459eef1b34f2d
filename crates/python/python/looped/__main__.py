"""The ``looped`` command."""

from __future__ import annotations

import signal
import sys

from looped import _looped


def main() -> int:
    # The command hears signals itself; Python's handler would raise KeyboardInterrupt in a task.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _looped.main(["looped", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
