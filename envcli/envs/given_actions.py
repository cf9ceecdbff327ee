"""Actions that are known before a rollout, as its policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import NestedKey

__all__ = ["GivenActions"]


class GivenActions:
    """One of ``actions`` after the other, each ``[*batch, *value]``, whatever is observed.

    Args:
        actions: in the order of the steps; a tensor ``[time, *batch, *value]`` is one, too.
        key: where they are written.

    Raises:
        SpecError: when it is called once more than there are actions.
    """

    in_keys: tuple[str, ...] = ()

    def __init__(self, actions: Iterable[Any], key: NestedKey) -> None:  # Any: what a TensorDict takes
        self._left, self._key, self._taken = iter(actions), key, 0

    def __call__(self, tensordict: TensorDictBase) -> TensorDictBase:
        try:
            action = next(self._left)
        except StopIteration:
            raise SpecError(
                f"rollout: there are only {self._taken} actions. Give more of them, or max_steps={self._taken}"
            ) from None
        self._taken += 1
        return tensordict.set(self._key, action)
