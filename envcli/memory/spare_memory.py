"""The contract of memory that rollouts have let go of, kept for those that follow."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set

import torch

from envcli.keys import Key
from envcli.memory.buffer import Place

__all__ = ["SpareMemory", "must_be_zero"]

_LARGE = 2**20  # bytes: below that, malloc keeps freed memory itself


class SpareMemory(ABC):
    """Where the rows of an env come from, and what they go back to when the last view of them is gone."""

    @abstractmethod
    def place(self, paths: Set[Key] = frozenset()) -> Place:
        """A ``Place`` for one buffer; rows of ``paths``, where they are large, may hold anything.

        All other rows, and bools, begin at zero.
        """


def must_be_zero(size: int, dtype: torch.dtype) -> bool:
    """Rows of ``size`` bytes: marks are written where they are true, and nowhere else; and small rows cost nothing."""
    return size < _LARGE or dtype == torch.bool
