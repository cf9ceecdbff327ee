"""How long the main process waits for a worker."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Timeouts"]


class Timeouts(NamedTuple):
    """How long the main process waits for a worker that shows no progress, in seconds; 0: for ever.

    Attributes:
        start: for an env to be built.
        step: for a reset, a step, or an answer to a word.
        close: for all envs to close; then their processes are killed.
    """

    start: float
    step: float
    close: float

    def of(self, word: str) -> float:
        """For an answer to ``word``."""
        return self.start if word == "build" else self.close if word == "close" else self.step
