"""Joins several observations into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_keys, as_path, as_user_key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.specs.space import ContinuousBox
from envcli.transforms.transform import Transform

__all__ = ["CatTensors"]


class CatTensors(Transform):
    """Observations side by side in one tensor, in the dtype that holds them all; it is bounded where they are.

    Args:
        in_keys: which observations; None: every float one with a single dimension ``[*batch, n]``, and with
            ``unsqueeze_if_oor`` every float number ``[*batch]``, but no hidden state of a policy (TorchRL: those too,
            and integers such as a step count).
        out_key: what the result is called.
        dim: along which dimension, counted from the end: -1 for the last.
        del_keys: the user sees the result alone, and no longer what it was made of.
        unsqueeze_if_oor: give a value that has no such dimension one of size 1.
        sort: join in the order of the keys (the default, as in TorchRL), whatever the order of ``in_keys``.

    Raises:
        ConfigError: ``dim`` is not negative, or ``in_keys`` is empty.
        TransformError: the observations do not fit together, or none was found.
    """

    _resets_by_call = True

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_key: NestedKey = "observation_vector",
        dim: int = -1,
        *,
        del_keys: bool = True,
        unsqueeze_if_oor: bool = False,
        sort: bool = True,
    ) -> None:
        if dim >= 0:
            raise ConfigError(f"CatTensors: dim counts from the end, -1 for the last; found {dim}")
        if in_keys is not None and not in_keys:
            raise ConfigError(
                "CatTensors: in_keys is empty. Leave it out to join every float observation of one dimension"
            )
        super().__init__(_sorted(as_keys(in_keys)) if sort else in_keys, [out_key])
        self._finds = in_keys is None
        self._carried: set[Key] = set()
        self.dim, self.del_keys, self.unsqueeze_if_oor, self.sort = dim, del_keys, unsqueeze_if_oor, sort

    # -- values ---------------------------------------------------------------------------------------------------

    def _joined(self, values: Sequence[torch.Tensor], lead: int) -> torch.Tensor:
        """``values``, each ``[*lead, *value]``, side by side."""
        if self.unsqueeze_if_oor:
            values = [value if value.ndim - lead >= -self.dim else value.unsqueeze(self.dim) for value in values]
        short = [key for key, value in zip(self.in_keys, values, strict=True) if value.ndim - lead < -self.dim]
        if short:
            raise TransformError(f"CatTensors: {short} have no dimension {self.dim}. Add unsqueeze_if_oor=True")
        try:
            return torch.cat(tuple(values), self.dim)
        except RuntimeError:
            shapes = {key: list(value.shape) for key, value in zip(self.in_keys, values, strict=True)}
            raise TransformError(f"CatTensors: shapes differ outside dimension {self.dim}: {shapes}") from None

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        values = [next_tensordict.get(key, None) for key in self.in_keys]
        if not values or any(value is None for value in values):
            return next_tensordict
        joined = self._joined(values, next_tensordict.batch_dims)
        if self.del_keys:
            next_tensordict.exclude(*self.in_keys, inplace=True)
        return next_tensordict.set(self.out_keys[0], joined)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Join what a TensorDict holds, at its root and under ``"next"``, in place; nothing where a part is missing."""
        following = tensordict.get("next", None)
        if following is not None:
            self._call(following)
        return self._call(tensordict)

    # -- specs ----------------------------------------------------------------------------------------------------

    def _keys_given(self, name: str) -> None:
        if name == "in_keys":
            self._finds = False

    def _inspect(self, before: EnvSpecs) -> None:
        self._carried = set(before._roles().recurrent)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With the result, and without its parts if ``del_keys``."""
        lead, leaves = len(observation_spec.shape), observation_spec.leaves()
        if self._finds:
            self._find(leaves, lead)
        missing = [key for key in self.in_keys if as_path(key) not in leaves]
        if missing:
            shapes = {".".join(path): list(leaf.shape) for path, leaf in leaves.items()}
            raise TransformError(f"CatTensors: in_keys {missing} do not exist. The env has {shapes}")
        result = self._result([leaves[as_path(key)] for key in self.in_keys], lead)
        if self.del_keys:
            for key in self.in_keys:
                del observation_spec[key]
        observation_spec[self.out_keys[0]] = result
        return observation_spec

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """What the user no longer sees, a step does not take from the user either: it goes on unseen."""
        for key in self.in_keys:
            if self.del_keys and as_path(key) in state_spec.leaves():
                del state_spec[key]
        return state_spec

    def _find(self, leaves: Mapping[Key, TensorSpec], lead: int) -> None:
        sizes = (0, 1) if self.unsqueeze_if_oor else (1,)
        found = [
            as_user_key(path)
            for path, leaf in leaves.items()
            if leaf.dtype.is_floating_point and len(leaf.shape) - lead in sizes and path not in self._carried
        ]
        if not found:
            shapes = {".".join(path): list(leaf.shape) for path, leaf in leaves.items()}
            raise TransformError(
                f"CatTensors: no float observation of one dimension among {shapes}. Name them in in_keys"
            )
        self._take_keys(in_keys=_sorted(found) if self.sort else found)

    def _result(self, leaves: list[TensorSpec], lead: int) -> TensorSpec:
        if len({leaf.dtype for leaf in leaves}) > 1:
            for leaf in leaves:
                self._require_numbers(leaf)
        zero = self._joined([leaf.zero() for leaf in leaves], lead)
        boxes = [leaf.space for leaf in leaves]
        if all(isinstance(leaf, Bounded) and isinstance(leaf.space, ContinuousBox) for leaf in leaves):
            low, high = (self._joined([getattr(box, end) for box in boxes], lead) for end in ("low", "high"))
            return Bounded(low, high, zero.shape, device=leaves[0].device, dtype=zero.dtype)
        return Unbounded(zero.shape, device=leaves[0].device, dtype=zero.dtype)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        lead = len(outer.batch_size)
        self._root_parts = self._parts(inner, outer, lead, ())
        self._next_parts = self._parts(inner, outer, lead, ("next",))

    def _parts(self, inner: RolloutBuffer, outer: RolloutBuffer, lead: int, prefix: Key) -> list[tuple[Array, Array]]:
        """Each part's rows, and the piece of the result's rows that it goes into."""
        result = outer.array((*prefix, *as_path(self.out_keys[0])))
        pieces, start = [], 0
        for key in self.in_keys:
            source = inner.array((*prefix, *as_path(key)))
            axis = source.ndim + self.dim
            if source.ndim - 1 - lead < -self.dim:  # checked when the specs were made: it may be given the dimension
                place: Any = [slice(None)] * (result.ndim + self.dim) + [start]
                size = 1
            else:
                size = source.shape[axis]
                place = [slice(None)] * (result.ndim + self.dim) + [slice(start, start + size)]
            pieces.append((source, result[tuple(place)]))
            start += size
        return pieces

    def _step_row(self, t: int) -> None:
        for source, piece in self._next_parts:
            piece[t] = source[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else where
        for source, piece in self._root_parts:
            piece[t, ...][mask] = source[t, ...][mask]

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"in_keys={self.in_keys}, out_key={self.out_keys[0]!r}"


def _sorted(keys: Sequence[NestedKey]) -> list[NestedKey]:
    """By their parts, as TorchRL does."""
    return [as_user_key(path) for path in sorted(map(as_path, keys))]
