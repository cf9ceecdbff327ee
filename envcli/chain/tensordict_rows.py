"""Rows for transforms that are written on TensorDicts, as for TorchRL."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import Key, as_path, as_user_key
from envcli.mdp import leaves
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.row_views import RowViews
from envcli.transforms.transform import Transform

__all__ = ["TensorDictRows"]


class _Shown(NamedTuple):
    """A TensorDict that a transform is given, and what its values were: another object, or version, is a change."""

    tensordict: TensorDictBase
    values: dict[Key, tuple[torch.Tensor, Any]]

    @classmethod
    def of(cls, tensordict: TensorDictBase) -> _Shown:
        return cls(tensordict, {path: (value, _version(value)) for path, value in leaves(tensordict)})


class TensorDictRows:
    """The row hooks of one such transform: rows become TensorDicts, and what comes back is written into rows.

    Neighbours hand the TensorDict of a step on to each other: a row of a dozen entries costs 30 us to make and as much
    to compare, and a transform changes one or two of them.

    Args:
        actions: those of the env before it.
        before: those of the transform right before it, if it is on TensorDicts too.
    """

    def __init__(
        self,
        transform: Transform,
        inner: RolloutBuffer,
        outer: RolloutBuffer,
        device: torch.device | None,
        actions: Collection[Key] = (),
        before: TensorDictRows | None = None,
    ) -> None:
        self._transform = transform
        taken = {*actions, *map(as_path, transform.in_keys_inv)}
        inner_root, inner_next = _split(inner)
        outer_root, _ = _split(outer)
        # A transform may keep what it was shown, such as the observation before.
        self._inner_root = RowViews(inner, inner_root, device, lasting=True)
        self._inner_next = RowViews(inner, inner_next, device, prefix=("next",), lasting=True)
        self._outer_root = RowViews(outer, outer_root, device, lasting=True)
        self._asked = RowViews(outer, outer_root, device, copied=taken)
        self._begun = _Way(inner, outer, (), lambda path: path in taken)  # the user's own action is known better
        self._followed = _Way(inner, outer, ("next",), lambda path: path in taken)
        self._inwards = _Way(outer, inner, (), lambda path: path not in taken)
        self._speaks = speaks = transform._hook_plan.on_tensordicts
        if before is not None and (device is None or device.type == "cpu"):
            if "step" in speaks & before._speaks:
                self._followed.follow(before._followed)
            if "reset" in speaks & before._speaks:
                self._begun.follow(before._begun)

    def step_row(self, t: int) -> None:
        """See ``Transform._step_row``."""
        transform = self._transform
        shown = self._followed.handed_over() or _Shown.of(self._inner_next(t))
        if getattr(transform._step, "__func__", None) is Transform._step:  # it looks at what follows, and at no root
            result = transform._call(shown.tensordict)
        else:
            result = transform._step(self._outer_root(t), shown.tensordict)
        self._store(self._followed, t, shown, result, ...)

    def reset_row(self, t: int, where: Array | None) -> None:
        """See ``Transform._reset_row``."""
        mask: Any = ... if where is None else torch.from_numpy(where)
        shown = self._begun.handed_over() or _Shown.of(self._inner_root(t))
        given = self._outer_root(t)
        if where is not None:
            given.set("_reset", torch.from_numpy(where).unsqueeze(-1))
        self._store(self._begun, t, shown, self._transform._reset(given, shown.tensordict), mask)

    def inv_row(self, t: int) -> None:
        """See ``Transform._inv_row``."""
        shown = _Shown.of(self._asked(t))
        self._store(self._inwards, t, shown, self._transform._inv_call(shown.tensordict), ...)

    def _store(self, way: _Way, t: int, shown: _Shown, result: TensorDictBase, mask: Any) -> None:
        """Write what ``result`` changes of ``shown`` into rows, and hand it on, if the way leads on."""
        before, after, hands_on = shown.values, {}, way.leads_on and mask is ... and not result.is_locked
        for path, value in leaves(result):
            place = way.places.get(path)
            if place is None:
                self._require_passing(path, way)
                hands_on = False
                continue
            rows, is_there, passes = place
            known = before.get(path)
            if known is not None and is_there and known[0] is value and known[1] == _version(value):
                after[path] = known
                continue
            if value.dtype != rows.dtype or value.shape != rows.shape[1:]:
                value = self._fitted(value, path, rows)
            rows[t][mask] = value[mask].detach().to(rows.device)
            if hands_on:
                value = rows[t].clone() if passes else rows[t]
                after[path] = value, _version(value)
                result.set(path[0], value)
        is_whole = hands_on and len(after) == len(way.places) and result.batch_size == way.batch_size
        way.hand_over(_Shown(result, after) if is_whole else None)

    def _require_passing(self, path: Key, way: _Way) -> None:
        """Raise SpecError unless ``path`` is an entry of the other side that passed through."""
        if path not in way.known:
            raise SpecError(
                f"{type(self._transform).__name__} wrote {as_user_key(path)!r}, which its specs do not declare. "
                "Name it in out_keys, or add it in transform_observation_spec"
            )

    def _fitted(self, value: torch.Tensor, path: Key, rows: torch.Tensor) -> torch.Tensor:
        """``value`` in the shape of a row of ``path``. Raises SpecError where a row would hold something else."""
        shape = rows.shape[1:]
        if _without_ones(value.shape) == _without_ones(shape) and torch.can_cast(value.dtype, rows.dtype):
            return value.reshape(shape)
        raise SpecError(
            f"{self._transform!r} gives {as_user_key(path)!r} as {value.dtype} {list(value.shape)}, expected "
            f"{rows.dtype} {list(shape)} by the specs. Let a Transform declare what it gives in "
            "transform_observation_spec (or that of the reward or action), and give the same in _step and _reset"
        )


class _Way:
    """Where the values of a TensorDict go that a hook returns: from the rows of ``source`` to those of ``target``.

    Args:
        prefix: ``("next",)`` or ``()``.
        is_known_better: need an entry of both, which the hook left as it was, not be written?

    Attributes:
        places: path -> rows, is there in them already what the hook left as it was, and is a row written again?
        known: what ``source`` has.
        leads_on: does the hook of a neighbour come right after, which can be shown the same TensorDict?
    """

    leads_on = False
    _start: _Way | None = None  # the one that leads on to this
    _arrived: _Shown | None = None

    def __init__(
        self, source: RolloutBuffer, target: RolloutBuffer, prefix: Key, is_known_better: Callable[[Key], bool]
    ) -> None:
        self.batch_size = target.batch_size
        self.known = _under(prefix, source)
        self.places: dict[Key, tuple[torch.Tensor, bool, bool]] = {}
        for path, full in _under(prefix, target).items():
            rows, known = target[full], source.tensors.get(full)
            is_there = known is rows or (known is not None and is_known_better(full))
            self.places[path] = rows, is_there, target.is_passing(full)

    def follow(self, start: _Way) -> None:
        """Begin with what ``start`` ends with; groups are made anew, for they may count other things than the batch."""
        if all(len(path) == 1 for path in start.places):
            self._start, start.leads_on = start, True

    def hand_over(self, shown: _Shown | None) -> None:
        """Keep ``shown`` for the way that follows this."""
        self._arrived = shown

    def handed_over(self) -> _Shown | None:
        """What the way before this ended with, once; None: look at the rows."""
        if self._start is None:
            return None
        shown, self._start._arrived = self._start._arrived, None
        return shown


def _under(prefix: Key, buffer: RolloutBuffer) -> dict[Key, Key]:
    root, following = _split(buffer)
    return {path[1:]: path for path in following} if prefix else {path: path for path in root}


def _version(value: torch.Tensor) -> Any:
    """What is another one after each change in place: a number, or where torch counts none, an object."""
    return object() if value.is_inference() else value._version


def _without_ones(shape: torch.Size) -> list[int]:
    return [size for size in shape if size != 1]


def _split(buffer: RolloutBuffer) -> tuple[list[Key], list[Key]]:
    return [path for path in buffer if path[0] != "next"], [path for path in buffer if path[0] == "next"]
