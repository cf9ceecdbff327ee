"""A Ctrl-C that was another signal."""

from __future__ import annotations

import signal

__all__ = ["Ended"]


class Ended(KeyboardInterrupt):
    """What SIGTERM or SIGHUP, ``number``, make of what they interrupt; ``said`` is how far that came."""

    def __init__(self, number: int, said: str = "") -> None:
        self.code = 128 + number  # as a shell tells of a process that the signal ended
        super().__init__(f"{said or 'interrupted'} ({signal.Signals(number).name})")
