"""Actions that are known before a rollout, as its policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import NestedKey

__all__ = ["GivenActions"]


class GivenActions:
    """One action after the other, each ``[*batch, *value]``, whatever is observed.

    Args:
        actions: key -> its actions in the order of the steps; a tensor ``[time, *batch, *value]`` is such, too.

    Raises:
        SpecError: when it is called once more than there are actions.
    """

    in_keys: tuple[str, ...] = ()

    def __init__(self, actions: Mapping[NestedKey, Iterable[Any]]) -> None:  # Any: what a TensorDict takes
        self._left = [(key, iter(each)) for key, each in actions.items()]
        self._taken = 0

    def __call__(self, tensordict: TensorDictBase) -> TensorDictBase:
        for key, left in self._left:
            try:
                tensordict.set(key, next(left))
            except StopIteration:
                raise SpecError(
                    f"rollout: there are only {self._taken} actions. Give more of them, or max_steps={self._taken}"
                ) from None
        self._taken += 1
        return tensordict
