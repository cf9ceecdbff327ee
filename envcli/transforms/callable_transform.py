"""A function as a transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase

from envcli.errors import SpecError, TransformError
from envcli.rows.env_specs import EnvSpecs
from envcli.transforms.module_transform import ModuleTransform
from envcli.transforms.transform import Transform

__all__ = ["CallableTransform", "Transforming", "as_transform"]

Function = Callable[[TensorDictBase], TensorDictBase | None]

Transforming = Transform | Function
"""A transform, or a function that takes a TensorDict and gives one, or writes into it and gives None."""


class CallableTransform(Transform):
    """``function`` is called on what each reset and each step shows, ``[*batch]``, and the user sees what it returns.

    A reset shows no reward: a function that changes rewards looks if there is one. What it writes are entries that are
    there; for new ones write a :class:`Transform`, which can announce them.

    Args:
        function: takes a TensorDict, and returns it or another one; None, where it wrote into the one that it took.

    Raises:
        SpecError: from steps and resets of an env: the function wrote an entry that was not there. (On a TensorDict of
            another batch size than the env's it may.)
    """

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self._batch: torch.Size | None = None  # of the env, whose rows have no room for new entries

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``function`` of ``tensordict``, whatever is in it."""
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        result = self.function(next_tensordict)
        return next_tensordict if result is None else result

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._within(next_tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return self._within(tensordict_reset)

    def _within(self, tensordict: TensorDictBase) -> TensorDictBase:
        given = set(tensordict.keys(True, True))
        result = self._call(tensordict)
        fresh = [key for key in result.keys(True, True) if key not in given]
        if fresh and result.batch_size == self._batch:
            raise SpecError(
                f"{self!r} wrote {fresh}, which the env does not have there. If it has it at other times, like a "
                "reward after a step but not after a reset, check for it first. For a new entry, write a Transform "
                "with _apply_transform, in_keys and out_keys: a function cannot declare one"
            )
        return result

    def _inspect(self, before: EnvSpecs) -> None:
        self._batch = before.batch_size

    def extra_repr(self) -> str:
        """The name of the function, for ``repr``."""
        return str(getattr(self.function, "__qualname__", type(self.function).__name__))


def as_transform(transform: Any, who: str) -> Transform:  # Any: what a user gave
    """``transform``, or a function made one. Raises TransformError, in the name of ``who``, if it is neither.

    A TensorDictModule is a function that says what it writes: it becomes a :class:`ModuleTransform`.
    """
    if isinstance(transform, Transform):
        return transform
    if isinstance(transform, type) and issubclass(transform, Transform):
        raise TransformError(f"{who}: expected a transform, found the class. Write {transform.__name__}(...)")
    if isinstance(transform, TensorDictModuleBase):
        return ModuleTransform(module=transform)
    if not callable(transform):
        raise TransformError(f"{who}: expected a transform, found a {type(transform).__name__}")
    return CallableTransform(transform)
