"""How long the main process waits for a worker."""

from __future__ import annotations

__all__ = ["Timeouts"]


class Timeouts:
    """How long the main process waits for a worker that shows no progress, in seconds; 0: for ever.

    Args:
        start: for an env to be built.
        step: for a reset, a step, or an answer to a word.
        close: for all envs to close; then their processes are killed.
    """

    def __init__(self, start: float = 60, step: float = 60, close: float = 5) -> None:
        self.start, self.step, self.close = start, step, close

    def of(self, word: str) -> float:
        """For an answer to ``word``."""
        return self.start if word == "build" else self.close if word == "close" else self.step
