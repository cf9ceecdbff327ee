"""A sequence of transforms that is one transform."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self, overload

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.specs import Composite
from envcli.transforms.transform import Transform

__all__ = ["Compose"]


class Compose(Transform):
    """Transforms one after the other, the first nearest to the env.

    It can be read like a list (index, slice, ``len``) and edited with ``append`` and ``insert``.

    Raises:
        TransformError: something that is no transform, or that is part of another chain already.
    """

    def __init__(self, *transforms: Transform) -> None:
        super().__init__()
        self.transforms = torch.nn.ModuleList()
        for transform in transforms:
            self.append(transform)

    def append(self, transform: Transform) -> None:
        """Add ``transform`` nearest to the user."""
        self.insert(len(self.transforms), transform)

    def insert(self, index: int, transform: Transform) -> None:
        """Put ``transform`` before the one that is at ``index`` now. Negative numbers count from the end.

        Raises:
            TransformError: it does not fit the env; the chain stays as it was.
        """
        if not isinstance(transform, Transform):
            raise TransformError(f"Compose: expected a transform, found a {type(transform).__name__}")
        if not -len(self.transforms) <= index <= len(self.transforms):
            raise TransformError(f"Compose: no place {index} in a chain of {len(self.transforms)} transforms")
        transform.set_container(self)
        before = list(self.transforms)
        place = index if index >= 0 else len(before) + index
        self.transforms = torch.nn.ModuleList([*before[:place], transform, *before[place:]])
        try:
            self._changed()
        except Exception:  # whatever made it misfit: the chain must stay usable, and the caller gets the reason
            self.transforms = torch.nn.ModuleList(before)
            transform.set_container(None)
            self._changed()
            raise

    def _changed(self) -> None:
        if self._container is not None:
            self._container._changed()

    def _env_before(self, transform: Transform) -> Any:
        return None if self._container is None else self._container._env_before(transform)

    # -- as a list ------------------------------------------------------------------------------------------------

    def flat(self) -> list[Transform]:
        """Every transform that is not itself a Compose, in order."""
        found: list[Transform] = []
        for transform in self:
            found += transform.flat() if isinstance(transform, Compose) else [transform]
        return found

    def __len__(self) -> int:
        return len(self.transforms)

    def __iter__(self) -> Iterator[Transform]:
        return iter(self.transforms)  # type: ignore[arg-type]  # a ModuleList is typed as holding any Module

    @overload
    def __getitem__(self, index: int) -> Transform: ...

    @overload
    def __getitem__(self, index: slice) -> Compose: ...

    def __getitem__(self, index: int | slice) -> Transform:
        transforms: Sequence[Transform] = list(self)
        if isinstance(index, slice):
            return Compose(*(transform.clone() for transform in transforms[index]))
        try:
            return transforms[index]
        except IndexError:
            raise IndexError(f"Compose: no transform {index} among {len(transforms)}") from None

    # -- as a transform -------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """All of them on ``tensordict``, in order."""
        for transform in self:
            tensordict = transform(tensordict)
        return tensordict

    def inv(self, tensordict: TensorDictBase) -> TensorDictBase:
        """All of their ways back on a copy of ``tensordict``, the last first."""
        for transform in reversed(list(self)):
            tensordict = transform.inv(tensordict)
        return tensordict

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        for transform in self:
            output_spec = transform.transform_output_spec(output_spec)
        return output_spec

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        for transform in self:
            input_spec = transform.transform_input_spec(input_spec)
        return input_spec

    def clone(self) -> Self:
        """A copy of the chain with copies of all its transforms."""
        return type(self)(*(transform.clone() for transform in self))

    def __repr__(self) -> str:
        if not len(self):
            return "Compose()"
        inner = ",\n".join(f"        {transform!r}" for transform in self)
        return f"Compose(\n{inner})"
