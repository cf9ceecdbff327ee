"""How many frames a step of an Atari takes, and how long."""

from __future__ import annotations

__all__ = ["FRAME_SKIP", "atari_seconds"]

FRAME_SKIP = 4  # of every ALE/...-v5; bench.workload, which may import no backend, has it too

_FRAMES_A_SECOND = 60


def atari_seconds(frame_skip: int | None) -> float:
    """How long a step of so many frames is on an Atari 2600, in seconds; None: of as many as usual.

    >>> atari_seconds(60), atari_seconds(None) == 4 / 60
    (1.0, True)
    """
    return (frame_skip or FRAME_SKIP) / _FRAMES_A_SECOND
