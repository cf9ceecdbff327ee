"""Specs under names."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import SpecError, nearest
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape
from envcli.specs.spec import TensorSpec
from envcli.specs.spec_tree import SpecTree

__all__ = ["Composite"]


class Composite(SpecTree):
    """All TensorDicts that hold, under each key, a member of that key's spec.

    Specs are given as one dict (nested dicts and tuple keys make nested Composites), by keyword, or both. ``shape``
    (also ``batch_size``) is the batch size of the members; the shape of each spec must begin with it. ``device`` is
    theirs; with None the specs keep their own. A TensorDict may hold more than the specs say and still be a member.
    ``names`` and ``data_cls`` are TorchRL's, and can only be None.

    It is also a dict (see :class:`~envcli.specs.spec_tree.SpecTree`) and the one spec that can be changed in place.

    >>> from envcli.specs import Categorical, Unbounded
    >>> spec = Composite({("agent", "position"): Unbounded(3)}, done=Categorical(2, (1,), dtype=torch.bool))
    >>> list(spec.keys(include_nested=True, leaves_only=True))
    [('agent', 'position'), 'done']
    >>> spec.rand([5])["agent", "position"].shape
    torch.Size([5, 3])
    """

    def __init__(
        self,
        specs: Mapping[Any, Any] | SpecTree | None = None,
        *,
        shape: Shape | None = None,
        device: DeviceLike = None,
        batch_size: Shape | None = None,
        names: None = None,
        data_cls: None = None,
        **named: TensorSpec | Mapping[Any, Any],
    ) -> None:
        if names is not None or data_cls is not None:
            raise SpecError(
                "a Composite supports neither names of dimensions nor data_cls. Leave names and data_cls out; a "
                'key with such a name goes into the dict: Composite({"names": spec})'
            )
        if shape is not None and batch_size is not None and as_shape(shape) != as_shape(batch_size):
            raise SpecError(f"shape and batch_size mean the same, found {shape} and {batch_size}.")
        size = as_shape(next((given for given in (shape, batch_size) if given is not None), ()))
        super().__init__(size, None if device is None else as_device(device))
        for source in (specs or {}, named):
            self.update(source)

    @property
    def batch_size(self) -> torch.Size:
        """The shape by its other name."""
        return self._shape

    @property
    def dtype(self) -> Any:  # as the contract says it
        """The dtype that all leaves share, or None."""
        dtypes = {spec.dtype for spec in self._specs.values()}
        return dtypes.pop() if len(dtypes) == 1 else None

    def empty(self) -> Self:
        """A Composite without entries, of the same shape and device."""
        return type(self)(shape=self._shape, device=self._device)

    def clone(self, recurse: bool = True) -> Self:
        """An equal Composite that is not locked; without ``recurse`` the specs in it are the same objects."""
        return super().clone() if recurse else self._with(lambda spec: spec)

    # Members.

    def rand(self, shape: Shape = ()) -> TensorDict:
        """A TensorDict ``[*shape, *self.shape]`` with a random member of each spec, drawn in the order of the keys."""
        return self._filled(lambda spec: spec.rand(shape), shape)

    def zero(self, shape: Shape = ()) -> TensorDict:
        """A TensorDict ``[*shape, *self.shape]`` with the member nearest to zero of each spec."""
        return self._filled(lambda spec: spec.zero(shape), shape)

    def one(self, shape: Shape = ()) -> TensorDict:
        """A TensorDict ``[*shape, *self.shape]`` with the member nearest to one of each spec."""
        return self._filled(lambda spec: spec.one(shape), shape)

    def is_in(self, value: Any) -> bool:
        """Whether ``value``, a TensorDict or a dict, holds a member under each key, whatever else it holds."""
        return isinstance(value, (TensorDictBase, Mapping)) and self._holds(value)

    def project(self, value: Any) -> Any:
        """``value`` itself where it is a member, else a copy with each entry projected; the others are kept.

        The copy is shallow: entries that were members are shared. (TorchRL writes into ``value`` instead.) Raises
        SpecError, naming the key, where one is missing or cannot be projected.
        """
        if self.is_in(value):
            return value
        if not isinstance(value, (TensorDictBase, Mapping)):
            raise SpecError(f"cannot project: {self._complaint(value)}")
        return self._nearest(value)

    def encode(self, value: Any) -> TensorDict:
        """The entries of ``value``, a dict or a TensorDict, encoded by their specs, in fresh memory.

        Keys may be missing, as in TorchRL. Raises SpecError, naming the key, for one that is unknown, for what its spec
        does not hold, and where leading dimensions differ.
        """
        entries: dict[str, Any] = {}
        leads: dict[str, torch.Size] = {}
        for key, entry in value.items():
            spec = self._known(key)
            entries[key] = encoded = _at(key, spec.encode, entry)
            leads[key] = encoded.shape[: encoded.ndim - spec.ndim + self.ndim]
        if len(set(leads.values())) > 1:
            raise SpecError(f"the leading dimensions differ between keys: { {k: [*v] for k, v in leads.items()} }.")
        return TensorDict(entries, batch_size=next(iter(leads.values()), self._shape), device=self._device)

    def to_numpy(self, value: Any, safe: bool = True) -> dict[str, Any]:
        """A dict of arrays, nested like the specs; ``safe`` checks first that ``value`` is a member."""
        return {key: _at(key, spec.to_numpy, value[key], safe) for key, spec in self._specs.items()}

    def type_check(self, value: Any, key: object = None) -> None:
        """Raise SpecError, naming the key, where the dtype of an entry of ``value`` is not its spec's."""
        for name, spec in self._specs.items():
            spec.type_check(value[name], name if key is None else (key, name))

    def cardinality(self) -> float:
        """The number of combinations of the members of all specs."""
        return math.prod(spec.cardinality() for spec in self._specs.values())

    def enumerate(self, use_mask: bool = False) -> TensorDict:
        """All combinations, the last key fastest, ``[cardinality, *self.shape]``. SpecError if one has no end."""
        members = {key: spec.enumerate(use_mask) for key, spec in self._specs.items()}
        if not members:
            raise SpecError("an empty Composite has no members to list.")
        places = torch.cartesian_prod(*[torch.arange(len(some)) for some in members.values()]).view(-1, len(members))
        entries = {key: some[places[:, i].to(some.device or "cpu")] for i, (key, some) in enumerate(members.items())}
        return TensorDict(entries, batch_size=(len(places), *self._shape), device=self._device)

    def __repr__(self) -> str:
        lines = [f"{name}: {spec}" for name, spec in self._specs.items()]
        lines += [f"device={self._device}", f"shape={self._shape}"]
        return f"{type(self).__name__}(\n" + textwrap.indent(",\n".join(lines), "    ") + ")"

    def _filled(self, fill: Callable[[TensorSpec], Any], shape: Shape) -> TensorDict:
        entries = {key: fill(spec) for key, spec in self._specs.items()}
        return TensorDict(entries, batch_size=self._size(shape), device=self._device)

    def _holds(self, value: Any) -> bool:
        return all(spec.is_in(value.get(key, None)) for key, spec in self._present())

    def _nearest(self, value: Any) -> Any:
        projected = value.copy() if isinstance(value, TensorDictBase) else dict(value)
        for key, spec in self._present():
            projected[key] = _at(key, spec.project, value.get(key, None))
        return projected

    def _present(self) -> list[tuple[str, TensorSpec]]:
        """The entries a member must have: an empty Composite may be missing, as TensorDicts drop empty ones."""
        return [(key, spec) for key, spec in self._specs.items() if not spec.is_empty()]

    def _known(self, key: str) -> TensorSpec:
        spec = self.get(key)
        if spec is None:
            raise SpecError(f"no spec for key {key!r}. {nearest(str(key), self._names())}".rstrip())
        found: TensorSpec = spec
        return found

    def _complaint(self, value: Any) -> str:
        if not isinstance(value, (TensorDictBase, Mapping)):
            return f"{type(self).__name__} takes a TensorDict, found {type(value).__name__}."
        for key, spec in self._present():
            entry = value.get(key, None)
            if entry is None:
                return f"key {key!r} is missing."
            if not spec.is_in(entry):
                return f"at key {key!r}: {spec._complaint(entry)}"
        return "nothing is wrong."

    def _with(self, change: Callable[[TensorSpec], TensorSpec]) -> Self:
        out = self.empty()
        out._specs.update({key: change(spec) for key, spec in self._specs.items()})
        return out

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        out = type(self)(shape=self._moved_shape(move), device=device or self._device)
        out._specs.update({key: spec._rebuild(move, device, dtype) for key, spec in self._specs.items()})
        return out


def _at(key: str, do: Callable[..., Any], *args: Any) -> Any:
    """``do(*args)``, with ``key`` in front of its SpecError."""
    if args[0] is None:
        raise SpecError(f"key {key!r} is missing.")
    try:
        return do(*args)
    except SpecError as error:
        raise SpecError(f"at key {key!r}: {error}") from error
