"""Stacks several entries along a new dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, SpecError, TransformError
from envcli.keys import Key, NestedKey, as_keys, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.row_hooks import RowHooks
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.specs.space import ContinuousBox
from envcli.transforms.transform import Transform

__all__ = ["Stack"]

_Moves = list[tuple[list[Key], Key, int]]
"""The parts, the stack, and where its new dimension is, after those of the batch and the value before it."""


class Stack(Transform):
    """Entries of one shape and dtype as one, along a new dimension in the order of ``in_keys``: agents that stand side
    by side become one group. (TorchRL's specs are in the order of the env's.)

    >>> import torch
    >>> from tensordict import TensorDict
    >>> td = TensorDict({"key1": torch.zeros(3), "key2": torch.ones(3)})
    >>> Stack(in_keys=["key1", "key2"], out_key="out", dim=-2)(td)["out"]
    tensor([[0., 0., 0.],
            [1., 1., 1.]])

    The keys name observations, rewards, flags, or whole groups: ``Stack(["agent_0", "agent_1"], "agents")`` stacks
    whatever stands in both, and ``dim`` is then one of the groups' own dimensions: -1 makes of ``[4]`` in groups
    ``[*batch]`` the entry ``[*batch, 2, 4]``.

    The inverse takes one action (or state, or group) of the user's apart, for the simulator; the user is asked for the
    stack alone, whatever ``del_keys`` says. (TorchRL asks for what ``in_keys`` name.)

    Args:
        in_keys: what is stacked.
        out_key: the name of the stack.
        in_key_inv: what the user gives.
        out_keys_inv: what the simulator takes, in order.
        dim: where the new dimension is, counted from the end of the result: -1 is the last.
        allow_positive_dim: let ``dim`` count from 0, after the batch dimensions: of the env, or, on a TensorDict
            outside an env, of that.
        del_keys: the user sees the stack alone, and no longer what it was made of.

    Raises:
        ConfigError: ``in_key_inv`` without ``out_keys_inv`` or the other way round; nothing to stack at all.
        TransformError: ``dim`` is not negative where it must be, ``out_key`` is among ``in_keys``; the entries are not
            there, or differ in shape or dtype; the stack would be where another entry is.
    """

    _resets_by_call = True

    def __init__(
        self,
        in_keys: Sequence[NestedKey],
        out_key: NestedKey,
        in_key_inv: NestedKey | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        dim: int = -1,
        allow_positive_dim: bool = False,
        *,
        del_keys: bool = True,
    ) -> None:
        if dim >= 0 and not allow_positive_dim:
            raise TransformError(
                f"dim: expected a negative number, counted from the end, found {dim}. allow_positive_dim=True counts "
                "from the first dimension after the batch"
            )
        if (in_key_inv is None) != (out_keys_inv is None):
            given, missing = ("out_keys_inv", "in_key_inv") if in_key_inv is None else ("in_key_inv", "out_keys_inv")
            raise ConfigError(f"{missing}: required together with {given}, but not given")
        super().__init__(in_keys, [out_key])
        if not self.in_keys and in_key_inv is None:
            raise ConfigError("in_keys: expected entries to stack, found none")
        if as_path(out_key) in map(as_path, self.in_keys):
            raise TransformError(f"Stack: out_key {out_key!r} is one of in_keys {self.in_keys}. Choose another name")
        self._hold_inverse(in_key_inv, out_keys_inv)
        self.dim, self.allow_positive_dim, self.del_keys = dim, allow_positive_dim, del_keys
        self._shown: _Moves = []
        self._taken: _Moves = []

    def _hold_inverse(self, in_key_inv: NestedKey | None, out_keys_inv: Sequence[NestedKey] | None) -> None:
        """TorchRL's names, which go the other way round here: the one key is the user's."""
        self.in_keys_inv = [] if in_key_inv is None else [in_key_inv]
        self.out_keys_inv = as_keys(out_keys_inv)

    def _axis(self, ndim: int, lead: int) -> int:
        """Where the new dimension is, of values with ``ndim`` dimensions, ``lead`` of them the batch's."""
        axis = ndim + 1 + self.dim if self.dim < 0 else lead + self.dim
        if not lead <= axis <= ndim:
            raise TransformError(
                f"Stack: dim {self.dim} is not among the {ndim + 1 - lead} dimensions that the stack has besides the "
                "batch"
            )
        return axis

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Stack what a TensorDict holds, at its root and under ``"next"`` (TorchRL: at its root), in place.

        Raises TransformError where none of it is there, or some.
        """
        following = tensordict.get("next", None)
        places = [tensordict] if following is None else [tensordict, following]
        if all(place.get(key, None) is None for place in places for key in self.in_keys):
            raise TransformError(f"Stack: in_keys {self.in_keys} do not exist, found {list(tensordict.keys())}")
        for place in places:
            self._call(place)
        return tensordict

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        values = {key: next_tensordict.get(key, None) for key in self.in_keys}
        missing = [key for key, value in values.items() if value is None]
        if len(missing) == len(values):  # a reset shows no rewards
            return next_tensordict
        if missing:
            raise TransformError(f"Stack: in_keys {missing} do not exist beside {sorted(map(str, values))}")
        parts = [values[key] for key in self.in_keys]
        try:
            stacked = torch.stack(parts, self._axis(parts[0].ndim, next_tensordict.batch_dims))
        except RuntimeError:
            shapes = {key: list(value.shape) for key, value in values.items()}
            raise TransformError(f"Stack: expected entries of one shape, found {shapes}") from None
        for key in values if self.del_keys else ():
            _drop(next_tensordict, as_path(key))
        return next_tensordict.set(self.out_keys[0], stacked)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        value = tensordict.get(self.in_keys_inv[0], None) if self.in_keys_inv else None
        if value is None:
            return tensordict
        parts = value.unbind(self._axis(value.ndim - 1, tensordict.batch_dims))
        if len(parts) != len(self.out_keys_inv):
            raise TransformError(
                f"Stack: {self.in_keys_inv[0]!r} {list(value.shape)} is {len(parts)} entries along dim {self.dim}, "
                f"expected one for each of {self.out_keys_inv}"
            )
        _drop(tensordict, as_path(self.in_keys_inv[0]))
        for key, part in zip(self.out_keys_inv, parts, strict=True):
            there = tensordict.get(key, None)
            both = isinstance(there, TensorDictBase) and isinstance(part, TensorDictBase)
            tensordict.set(key, there.copy().update(part) if both else part)
        return tensordict

    # -- specs ----------------------------------------------------------------------------------------------------

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        return [], []  # they may be groups: what is missing is said where specs are stacked

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the stack, and without its parts if ``del_keys``."""
        self._shown = []
        output_spec = super().transform_output_spec(output_spec)
        if self.in_keys and not self._shown:
            raise self._missing("in_keys", self.in_keys, output_spec)
        return output_spec

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """See :meth:`transform_output_spec`."""
        return self._with_stack(observation_spec)

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        """See :meth:`transform_output_spec`."""
        return self._with_stack(reward_spec)

    def transform_done_spec(self, done_spec: Composite) -> Composite:
        """See :meth:`transform_output_spec`."""
        return self._with_stack(done_spec)

    def _with_stack(self, spec: Composite) -> Composite:
        self._shown += self._stacked(spec, self.in_keys, self.out_keys[0], self.del_keys)
        return spec

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """What the user gives, and no states that the user no longer sees: they go on unseen."""
        self._taken = []
        for family in ("full_action_spec", "full_state_spec"):
            spec = input_spec[family]
            if self.in_keys_inv:
                before = spec.leaves()
                taken = self._stacked(spec, self.out_keys_inv, self.in_keys_inv[0], True)
                _require_kept(before, spec.leaves(), taken)
                self._taken += taken
            for path in {path for parts, _, _ in self._shown for path in parts} if self.del_keys else ():
                if path in spec.leaves():
                    _drop(spec, path)
            input_spec[family] = spec
        if self.in_keys_inv and not self._taken:
            raise self._missing("out_keys_inv", self.out_keys_inv, input_spec)
        return input_spec

    def _missing(self, name: str, keys: Sequence[NestedKey], found: Composite) -> TransformError:
        have = sorted({".".join(path[1:]) for path in found.leaves()})
        return TransformError(f"Stack: {name} {list(keys)} do not exist. The env has: {', '.join(have)}")

    def _stacked(self, spec: Composite, keys: Sequence[NestedKey], out_key: NestedKey, without: bool) -> _Moves:
        """Put the stack of ``keys`` into ``spec``, whose family may have none of them. Returns what is moved where."""
        parts = [spec.get(key, None) for key in keys]
        groups = [isinstance(part, Composite) for part in parts]
        if not any(part is not None for part in parts):
            return []
        if any(part is None for part in parts) or len(set(groups)) > 1:
            kinds = {key: "missing" if p is None else type(p).__name__ for key, p in zip(keys, parts, strict=True)}
            raise TransformError(
                f"Stack: expected {list(keys)} in one family of entries (observations, rewards, flags, actions, or "
                f"states), all of them entries or all of them groups. Found {kinds}"
            )
        axis = self._axis(parts[0].ndim, spec.ndim)
        for key in keys if without else ():
            if spec.get(key, None) is not None:
                _drop(spec, as_path(key))
        if spec.get(out_key, None) is not None:
            raise TransformError(f"Stack: {out_key!r} already exists. Choose another name")
        if not groups[0]:
            spec[out_key] = self._joined(dict(zip(keys, parts, strict=True)), parts, axis)
            return [([as_path(key) for key in keys], as_path(out_key), axis)]
        return self._stacked_groups(spec, keys, parts, out_key, axis)

    def _stacked_groups(
        self, spec: Composite, keys: Sequence[NestedKey], groups: Sequence[Composite], out_key: NestedKey, axis: int
    ) -> _Moves:
        leaves = [group.leaves() for group in groups]
        if any(each.keys() != leaves[0].keys() for each in leaves):
            entries = {key: sorted(map(".".join, each)) for key, each in zip(keys, leaves, strict=True)}
            raise TransformError(f"Stack: expected groups of the same entries, found {entries}")
        shape = list(groups[0].shape)
        shape.insert(axis, len(groups))
        stack, moves = Composite(shape=torch.Size(shape), device=spec.device), []
        for path in leaves[0]:
            each = [leaf[path] for leaf in leaves]
            stack[as_user_key(path)] = self._joined(
                {(*as_path(key), *path): leaf for key, leaf in zip(keys, each, strict=True)}, each, axis
            )
            moves.append(([(*as_path(key), *path) for key in keys], (*as_path(out_key), *path), axis))
        spec[out_key] = stack
        return moves

    def _joined(self, named: dict[Any, TensorSpec], leaves: Sequence[TensorSpec], axis: int) -> TensorSpec:
        """The spec of the stack of values of ``leaves``."""
        if len({(leaf.shape, leaf.dtype) for leaf in leaves}) > 1:
            found = {key: f"{leaf.dtype} {list(leaf.shape)}" for key, leaf in named.items()}
            raise TransformError(f"Stack: expected entries of one shape and dtype, found {found}")
        try:
            stacked: TensorSpec = torch.stack(list(leaves), axis)  # type: ignore[arg-type,assignment]  # specs, too
            return stacked
        except SpecError:  # they are not equal, or one-hot along what is the last dimension no more
            pass
        first = leaves[0]
        shape = torch.stack([torch.empty(leaf.shape, device="meta") for leaf in leaves], axis).shape
        if all(isinstance(leaf, Bounded) and isinstance(leaf.space, ContinuousBox) for leaf in leaves):
            low, high = (torch.stack([getattr(leaf, end) for leaf in leaves], axis) for end in ("low", "high"))
            return Bounded(low, high, shape, device=first.device, dtype=first.dtype)
        return Unbounded(shape, device=first.device, dtype=first.dtype)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _rewrites(self) -> set[Key]:
        stacks = {stack for _, stack, _ in self._shown}
        taken = {path for parts, stack, _ in self._taken for path in (stack, *parts)}
        return {*stacks, *map(under_next, stacks), *taken}

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._root_pieces = _pieces(inner, outer, self._shown, ())
        self._next_pieces = _pieces(inner, outer, self._shown, ("next",))
        self._inverse_pieces = _pieces(inner, outer, self._taken, ())

    def _row_hooks(self) -> RowHooks:
        hooks = super()._row_hooks()
        return hooks if self._taken else hooks._replace(inverse=None)

    def _step_row(self, t: int) -> None:
        for source, piece in self._next_pieces:
            piece[t] = source[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else where
        for source, piece in self._root_pieces:
            piece[t, ...][mask] = source[t, ...][mask]

    def _inv_row(self, t: int) -> None:
        for target, piece in self._inverse_pieces:
            target[t] = piece[t]

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"in_keys={self.in_keys}, out_key={self.out_keys[0]!r}, dim={self.dim}"


def _require_kept(before: dict[Key, TensorSpec], after: dict[Key, TensorSpec], moves: _Moves) -> None:
    """Raise TransformError where the user could not be told any more what the simulator takes."""
    for parts, stack, _ in moves:
        lost = [
            path for path in parts if isinstance(after[stack], Unbounded) and not isinstance(before[path], Unbounded)
        ]
        if lost:
            raise TransformError(
                f"Stack: {as_user_key(stack)!r} would destroy the encoding of {as_user_key(lost[0])!r}, a "
                f"{type(before[lost[0]]).__name__} {list(before[lost[0]].shape)}. Stack one-hot actions along dim=-2, "
                "and categories with equally many choices"
            )


def _pieces(inner: RolloutBuffer, outer: RolloutBuffer, moves: _Moves, prefix: Key) -> list[tuple[Array, Array]]:
    """Each part's rows, and the piece of the stack's rows that it is."""
    pieces: list[tuple[Array, Array]] = []
    for parts, stack, axis in moves:
        if (*prefix, *stack) in outer:  # rewards are under next alone
            rows = np.moveaxis(outer.array((*prefix, *stack)), 1 + axis, 0)
            pieces += [(inner.array((*prefix, *path)), piece) for path, piece in zip(parts, rows, strict=True)]
    return pieces


def _drop(tree: Any, path: Key) -> None:  # Any: a TensorDict or a Composite
    """Without the entry or group at ``path``, and without groups that are empty then."""
    del tree[as_user_key(path)]
    if len(path) > 1 and not tree.get(path[:-1]).keys():
        _drop(tree, path[:-1])
