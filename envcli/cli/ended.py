"""A signal that is handled like Ctrl-C."""

from __future__ import annotations

import signal

__all__ = ["Ended"]


class Ended(KeyboardInterrupt):
    """Raised for SIGTERM or SIGHUP, ``number``; ``said`` is how far the interrupted work came."""

    def __init__(self, number: int, said: str = "") -> None:
        self.code = 128 + number  # the exit code that a shell reports for a process ended by the signal
        super().__init__(f"{said or 'interrupted'} ({signal.Signals(number).name})")
