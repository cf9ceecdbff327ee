"""Specs under names."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import SpecError, nearest
from envcli.keys import as_keys
from envcli.specs.shaped import DeviceLike, Move, Shape, as_device, as_shape
from envcli.specs.spec import TensorSpec, stacked
from envcli.specs.spec_tree import SpecTree

__all__ = ["Composite"]


class Composite(SpecTree):
    """All TensorDicts that hold, under each key, a member of that key's spec.

    Specs are given as one dict (nested dicts and tuple keys make nested Composites), by keyword, or both. ``shape``
    (also ``batch_size``) is the batch size of the members; the shape of each spec must begin with it, and a Composite
    in it that has fewer dimensions gets it. ``device`` is theirs; with None the specs keep their own. A TensorDict may
    hold more than the specs say and still be a member. ``names`` and ``data_cls`` are TorchRL's, and can only be None.

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
        return self._with(lambda spec: spec.clone() if recurse else spec)

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

    def zeros_update(self, val: TensorDictBase) -> TensorDictBase:
        """Write the member nearest to zero of each spec into ``val``, ``[*lead, *self.shape]``, and return it."""
        return val.update(self.zero(self._lead_of(val)))

    def ones_update(self, val: TensorDictBase) -> TensorDictBase:
        """Write the member nearest to one of each spec into ``val``, ``[*lead, *self.shape]``, and return it."""
        return val.update(self.one(self._lead_of(val)))

    def rand_update(self, val: TensorDictBase) -> TensorDictBase:
        """Write a random member of each spec into ``val``, ``[*lead, *self.shape]``, and return it."""
        return val.update(self.rand(self._lead_of(val)))

    def is_in(self, val: Any) -> bool:
        """Whether ``val``, a TensorDict or a dict, holds a member under each key, whatever else it holds."""
        return isinstance(val, (TensorDictBase, Mapping)) and self._holds(val)

    def project(self, val: Any) -> Any:
        """``val`` itself where it is a member, else a copy with each entry projected; the others are kept.

        The copy is shallow: entries that were members are shared. (TorchRL writes into ``val`` instead.) Raises
        SpecError, naming the key, where one is missing or cannot be projected.
        """
        if self.is_in(val):
            return val
        if not isinstance(val, (TensorDictBase, Mapping)):
            raise SpecError(f"cannot project: {self._complaint(val)}")
        return self._nearest(val)

    def encode(self, val: Any, *, ignore_device: bool = False) -> TensorDict:
        """The entries of ``val``, a dict or a TensorDict, encoded by their specs, in fresh memory.

        Keys may be missing, as in TorchRL. Raises SpecError, naming the key, for one that is unknown, for what its spec
        does not hold, and where leading dimensions differ. With ``ignore_device`` each entry stays where it was.
        """
        entries: dict[str, Any] = {}
        leads: dict[str, torch.Size] = {}
        for key, entry in val.items():
            spec = self._known(key)
            entries[key] = encoded = _at(key, partial(spec.encode, ignore_device=ignore_device), entry)
            leads[key] = encoded.shape[: encoded.ndim - spec.ndim + self.ndim]
        if len(set(leads.values())) > 1:
            raise SpecError(f"the leading dimensions differ between keys: { {k: [*v] for k, v in leads.items()} }.")
        device = None if ignore_device else self._device
        return TensorDict(entries, batch_size=next(iter(leads.values()), self._shape), device=device)

    def to_numpy(self, val: Any, safe: bool = True) -> dict[str, Any]:
        """A dict of arrays, nested like the specs; ``safe`` checks first that ``val`` is a member."""
        return {key: _at(key, spec.to_numpy, val[key], safe) for key, spec in self._specs.items()}

    def type_check(  # type: ignore[override]  # the second one is TorchRL's
        self, value: Any, selected_keys: str | Sequence[str] | None = None
    ) -> None:
        """Raise SpecError, naming the key, where the dtype of an entry of ``value`` is not its spec's.

        With ``selected_keys`` only these entries are looked at.
        """
        chosen = None if selected_keys is None else as_keys(selected_keys)
        for name, spec in self._specs.items():
            if chosen is None or name in chosen:
                _at(name, spec.type_check, value[name])

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

    def _lead_of(self, value: TensorDictBase) -> torch.Size:
        """The ``[*lead]`` of a TensorDict ``[*lead, *self.shape]``."""
        if not self._fits(value.batch_size):
            expected = ", ".join(map(str, self._shape))
            raise SpecError(f"expected the batch size [*, {expected}], found {list(value.batch_size)}.")
        return value.batch_size[: value.batch_dims - self.ndim]

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

    def _described(self) -> str:
        return f"Composite {list(self.shape)} of {list(self._specs)}"

    def _stacked(self, specs: Sequence[Self], where: int) -> Self:
        if any(spec._specs.keys() != self._specs.keys() for spec in specs):
            return super()._stacked(specs, where)
        out = self.empty()._repeated(where, len(specs))
        for key in self._specs:
            out._specs[key] = _at(key, stacked, [spec._specs[key] for spec in specs], where)
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
