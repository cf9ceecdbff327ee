"""A function as a transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.transforms.transform import Transform

__all__ = ["CallableTransform", "Transforming", "as_transform"]

Transforming = Transform | Callable[[TensorDictBase], TensorDictBase]
"""A transform, or a function that takes a TensorDict and gives one."""


class CallableTransform(Transform):
    """``function`` is called on what each reset and each step shows, ``[*batch]``, and the user sees what it returns.

    A reset shows no reward: a function that changes rewards looks if there is one. What it writes are entries that are
    there; for new ones write a :class:`Transform`, which can announce them.

    Args:
        function: takes a TensorDict, and returns it or another one.
    """

    def __init__(self, function: Callable[[TensorDictBase], TensorDictBase]) -> None:
        super().__init__()
        self.function = function

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``function`` of ``tensordict``, whatever is in it."""
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self.function(next_tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return self._call(tensordict_reset)

    def extra_repr(self) -> str:
        """The name of the function, for ``repr``."""
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))


def as_transform(transform: Any, who: str) -> Transform:  # Any: what a user gave
    """``transform``, or a function made one. Raises TransformError, in the name of ``who``, if it is neither."""
    if isinstance(transform, Transform):
        return transform
    if isinstance(transform, type) and issubclass(transform, Transform):
        raise TransformError(f"{who}: expected a transform, found the class. Write {transform.__name__}(...)")
    if not callable(transform):
        raise TransformError(f"{who}: expected a transform, found a {type(transform).__name__}")
    return CallableTransform(transform)
