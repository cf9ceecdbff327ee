"""The base of transforms that look at the last few values of each env."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from envcli.errors import TransformError
from envcli.keys import NestedKey, as_path
from envcli.memory.buffer import Array
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Composite, TensorSpec
from envcli.transforms.stated import Stated
from envcli.transforms.windows import Ring

__all__ = ["Windowed"]


class Windowed(Stated, ABC):
    """Keeps a window for each of its entries, beyond the rows that it is bound to.

    A subclass says what becomes of the specs, gets its rings from :meth:`_ring` when it is bound, and fills them.

    Args:
        in_keys: what a reset shows, too: a window begins there.
        out_keys: None: the same.
    """

    def __init__(self, in_keys: Sequence[NestedKey], out_keys: Sequence[NestedKey] | None) -> None:
        super().__init__(in_keys, out_keys)
        self._rings: dict[NestedKey, Ring] = {}

    def _inspect(self, before: EnvSpecs) -> None:
        begun = {path for family in ("observation", "done", "state") for path in before._leaves(family)}
        for key in self.in_keys:
            if as_path(key) in before._leaves("reward") and as_path(key) not in begun:
                who = type(self).__name__
                raise TransformError(
                    f"{who}: {key!r} is a reward, which no reset shows, so there is nothing to begin with"
                )

    def _derived(self, spec: Composite) -> Composite:
        return self._each_after(spec)

    @abstractmethod
    def _entry_after(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        """See :class:`Transform`."""

    def _ring(self, key: NestedKey, count: int, shape: tuple[int, ...], axis: int, dtype: np.dtype[Any]) -> Ring:
        """The ring of the entry ``key``, with what is in it, or a new one; see :class:`Ring`."""
        ring = self._rings.get(key)
        if ring is None or ring.layout != (count, shape, axis, dtype):
            ring = self._rings[key] = Ring(count, shape, axis, dtype)
        return ring

    def _among(self, where: Array | None) -> Array | None:
        """A mask of envs, ``[*batch]``, as the rings take it."""
        return where

    def _wait(self, where: Array | None) -> None:
        for ring in self._rings.values():
            ring.waiting = self._among(where)
