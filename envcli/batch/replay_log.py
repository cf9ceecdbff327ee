"""What a worker leaves to the one that takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from envcli.seeding import seed_chain

__all__ = ["ReplayLog", "advanced"]

# As a new worker is told them.
_LASTING = ("build", "train", "load", "set_seeds", "bind", "give", "adopt")


class ReplayLog:
    """The words that last: a worker that takes the place of a dead one is told them too, the latest of each kind.

    Only the seeds are others, or it would repeat what the dead one did: each is as many places farther on in the chain
    of :mod:`envcli.seeding` as the batch has seeds, times the worker's restarts since then.
    """

    def __init__(self) -> None:
        self._words: dict[str, Callable[[range], tuple[Any, ...]]] = {}

    def keep(self, name: str, args: Callable[[range], tuple[Any, ...]]) -> None:
        """``name`` is said, to each worker with ``args`` of its share of the envs."""
        if name in _LASTING:
            self._words[name] = args

    def words(self, envs: range, places: int, but: str = "") -> Iterator[tuple[str, tuple[Any, ...]]]:
        """What is to be said to a new worker with ``envs``, in this order.

        Args:
            envs: its share.
            places: how much farther on its seeds are.
            but: what it will be told anyway.
        """
        for name in _LASTING:
            if name in self._words and name != but:
                args = self._words[name](envs)
                yield name, (advanced(args[0], places),) if name == "set_seeds" else args


def advanced(seeds: Sequence[int | None], places: int) -> list[int | None]:
    """Each of ``seeds`` so many places farther on in its chain; None stays None."""
    return [None if seed is None else seed_chain(seed, places)[-1] for seed in seeds]
