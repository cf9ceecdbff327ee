"""A sequence of transforms that is one transform."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self, overload

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.specs import Composite
from envcli.transforms.callable_transform import Transforming, as_transform
from envcli.transforms.transform import Transform

__all__ = ["Compose"]

_CIRCLE = "Compose: a chain cannot contain itself. Use a copy: chain.clone()"


class Compose(Transform):
    """Transforms one after the other, the first nearest to the env; given one by one, in a list, or as ``transforms``.

    It can be read like a list (index, slice, ``len``) and edited like one (``append``, ``insert``, ``pop``, ``del``,
    assignment). An env that it stands in follows, or, where something does not fit, all stays as it was. What is taken
    out stands alone again. As in TorchRL, ``append`` takes the transforms of a plain Compose one by one; given to the
    constructor or to ``insert``, a Compose stays one transform.

    A function that takes a TensorDict and gives one is a transform too, see :class:`CallableTransform`.

    Raises:
        TransformError: something that is no transform, that is part of another chain already, or that holds this one.
    """

    def __init__(self, *given: Transforming | list[Any], transforms: Iterable[Transforming] = ()) -> None:
        super().__init__()
        self.transforms = torch.nn.ModuleList()
        first = given[0] if len(given) == 1 else None
        several: Iterable[Any] = first if isinstance(first, list) else given  # Any: what it is, append finds out
        for transform in (*several, *transforms):
            self.insert(len(self.transforms), transform)

    def append(self, transform: Transforming) -> None:
        """Add ``transform`` nearest to the user; of a plain Compose all its transforms, which are this chain's then.

        Raises:
            TransformError: it does not fit the env; both chains stay as they were.
        """
        added = as_transform(transform, "Compose")
        if type(self) is type(added) is Compose:
            self._append_those_of(added)
        else:
            self.insert(len(self.transforms), added)

    def _append_those_of(self, chain: Compose) -> None:
        if chain in self._holders():
            raise TransformError(_CIRCLE)
        if chain._container is not None:
            raise TransformError("Compose is already part of another chain. Use a copy: transform.clone()")
        chain._require_own()
        moved = chain.flat()
        for transform in moved:
            transform._hold(None)
        try:
            self._become([*self, *moved])
        except Exception:
            chain._hold_anew()
            raise

    def _give_back(self, transform: Transform) -> None:
        """Let go of all transforms, and of those that ``append(transform)`` has taken, to where they stood."""
        del self[:]
        if isinstance(transform, Compose):
            transform._hold_anew()

    def _hold_anew(self) -> None:
        for transform in self:
            transform._hold(self)
            if isinstance(transform, Compose):
                transform._hold_anew()

    def set_container(self, container: Any) -> None:
        """See :class:`Transform`. Raises TransformError also where the transforms have moved to another chain."""
        if container is not None:
            self._require_own()
        super().set_container(container)

    def _require_own(self) -> None:
        if any(transform._container is not self for transform in self):
            raise TransformError(
                "Compose: its transforms were appended to another chain. Change that one, or use a copy: chain.clone()"
            )

    def insert(self, index: int, transform: Transforming) -> None:
        """Put ``transform`` before the one that is at ``index`` now. Negative numbers count from the end.

        Raises:
            TransformError: it does not fit the env; the chain stays as it was.
        """
        if not -len(self.transforms) <= index <= len(self.transforms):
            raise TransformError(f"Compose: no position {index} in a chain of {len(self.transforms)} transforms")
        after = list(self)
        after.insert(index, as_transform(transform, "Compose"))
        self._become(after)

    def pop(self, index: int | None = None) -> Transform:
        """Take out the one at ``index``, None for the last, and return it. Raises IndexError if there is none."""
        place = -1 if index is None else index
        found = self[place]
        del self[place]
        return found

    def __delitem__(self, index: int | slice) -> None:
        after = list(self)
        del after[self._checked(index)]
        self._become(after)

    @overload
    def __setitem__(self, index: int, value: Transforming) -> None: ...

    @overload
    def __setitem__(self, index: slice, value: Iterable[Transforming]) -> None: ...

    def __setitem__(self, index: int | slice, value: Any) -> None:
        after: list[Any] = list(self)
        after[self._checked(index)] = value
        self._become([as_transform(transform, "Compose") for transform in after])

    def _exchange(self, transform: Transform, other: Transform) -> None:
        self[list(self).index(transform)] = other

    def _checked(self, index: Any) -> Any:
        if not isinstance(index, slice):
            self[index]  # raises IndexError
        return index

    def _become(self, after: list[Transform]) -> None:
        """Hold these from now on; where they do not fit, those held before."""
        self._require_own()
        before = list(self)
        leaving = [transform for transform in before if transform not in after]
        joining = [transform for transform in after if transform not in before]
        if len(set(map(id, after))) < len(after):
            raise TransformError("Compose: a transform cannot be used in two places. Use a copy: transform.clone()")
        holders = self._holders()
        if any(transform is holder for transform in joining for holder in holders):
            raise TransformError(_CIRCLE)
        in_env = holders[-1]._container is not None
        held: list[Transform] = []
        try:
            for transform in joining:
                transform.set_container(self)
                held.append(transform)
                if in_env:
                    transform._added_later()
            self._hold_all(after, leaving)
            self._changed()
        except Exception:  # whatever made it misfit: the chain must stay usable, and the caller gets the reason
            self._hold_all(before, held)
            self._changed()
            raise

    def _holders(self) -> list[Transform]:
        """This chain, the one that it stands in, and so on; the last may stand in an env."""
        found: list[Transform] = [self]
        while isinstance(found[-1]._container, Transform):
            found.append(found[-1]._container)
        return found

    def _added_later(self) -> None:
        for transform in self:
            transform._added_later()

    def _hold_all(self, transforms: list[Transform], others: list[Transform]) -> None:
        self.transforms = torch.nn.ModuleList(transforms)
        for transform in transforms:
            transform._hold(self)
        for transform in others:
            transform._hold(None)

    def _changed(self) -> None:
        if self._container is not None:
            self._container._changed()

    def _attribute_set(self, transform: Transform) -> None:
        if self._container is not None:
            self._container._attribute_set(transform)

    def _env_before(self, transform: Transform) -> Any:
        return None if self._container is None else self._container._env_before(transform)

    # -- as a list ------------------------------------------------------------------------------------------------

    def flat(self) -> list[Transform]:
        """Every transform that is not itself a Compose, in order.

        Raises:
            TransformError: a subclass of Compose has a TensorDict hook of its own, which nobody would call.
        """
        kind, found = type(self), list[Transform]()
        for hook in ("_call", "_step", "_reset", "_inv_call"):
            if getattr(kind, hook) is not getattr(Compose, hook):
                raise TransformError(
                    f"{kind.__name__} overrides {hook}, but an env runs the transforms of a Compose one by one, "
                    "without calling it. Put that into a separate transform next to them"
                )
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

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        for transform in self:
            next_tensordict = transform._call(next_tensordict)
        return next_tensordict

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        for transform in self:
            next_tensordict = transform._step(tensordict, next_tensordict)
        return next_tensordict

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        for transform in self:
            tensordict_reset = transform._reset(tensordict, tensordict_reset)
        return tensordict_reset

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        for transform in reversed(list(self)):
            tensordict = transform._inv_call(tensordict)
        return tensordict

    def _in_turn(self, method: str, spec: Composite) -> Composite:
        for transform in self:
            spec = getattr(transform, method)(spec)
        return spec

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        return self._in_turn("transform_output_spec", output_spec)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        return self._in_turn("transform_input_spec", input_spec)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        return self._in_turn("transform_observation_spec", observation_spec)

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        return self._in_turn("transform_reward_spec", reward_spec)

    def transform_done_spec(self, done_spec: Composite) -> Composite:
        """See :class:`Transform`. (TorchRL's chain does not change it.)"""
        return self._in_turn("transform_done_spec", done_spec)

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        return self._in_turn("transform_action_spec", action_spec)

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """See :class:`Transform`."""
        return self._in_turn("transform_state_spec", state_spec)

    def dump(self, suffix: str | None = None, step: int | None = None) -> None:
        """Have each of them write down what it holds."""
        for transform in self:
            transform.dump(suffix=suffix, step=step)

    def clone(self) -> Self:
        """A copy of the chain with copies of all its transforms."""
        return type(self)(*(transform.clone() for transform in self))

    def __repr__(self) -> str:
        if not len(self):
            return "Compose()"
        inner = ",\n".join(f"        {transform!r}" for transform in self)
        return f"Compose(\n{inner})"
