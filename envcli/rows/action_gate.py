"""The gate every action of a user or a policy passes before it reaches a simulator."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from envcli.errors import ActionError
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer, as_array
from envcli.specs import Binary, Bounded, TensorSpec, Unbounded
from envcli.specs.hot import HotSpec

__all__ = ["ActionGate", "as_member", "masked"]


class ActionGate:
    """Writes actions into the rows of one buffer, and refuses what the action spec does not hold.

    Stricter than TorchRL 0.14, where an int given to a one-hot env silently becomes action 0: the shape must be the
    spec's, the dtype must be the spec's or one that converts to it in kind (float to float, int to float, bool to int),
    and the value must lie in the space, where NaN never does. One-hot vectors and bits may have any dtype:
    ``torch.distributions`` draws them as floats, and ``torch.nn.functional.one_hot`` makes them of int64.

    Args:
        path: the key of the action.
        spec: the leaf spec, ``[*batch, *value]``.
        buffer: whose rows ``path`` is written to.
        mask: the entry of ``buffer`` that says in each row which choices are allowed; None: all that ``spec`` holds.
    """

    def __init__(self, path: Key, spec: TensorSpec, buffer: RolloutBuffer, mask: Key | None = None) -> None:
        self._name = ".".join(path)
        self._spec = spec
        self._shape = spec.shape
        self._dtype = spec.dtype
        self._rows = buffer.array(path)
        self._holds = spec.row_test()
        self._takes_any = _takes_any(spec)
        self._mask = mask
        self._masks = None if mask is None else buffer[mask]
        self._batch = buffer.batch_size
        self.written = -1  # the last row that an action was written to

    def write(self, t: int, value: Any) -> None:  # Any: whatever a policy takes for an action
        """Row ``t`` becomes ``value``, ``[*batch, *value]``. Raises ActionError and leaves the simulator alone."""
        if not isinstance(value, torch.Tensor):
            self._refuse(f"a {type(value).__name__}")
        if value.shape != self._shape:
            self._refuse(f"shape {list(value.shape)}")
        if value.dtype != self._dtype:
            value = _in_kind(self._name, self._spec, value)
        row = self._rows[t, ...]
        row[...] = as_array(value)
        if not self._holds(row) or (self._takes_any and bool(value.isnan().any())):
            self._refuse(self._first_outside(self._spec, row, value))
        if self._masks is not None:
            allowed = masked(self._spec, self._masks[t])
            if not allowed.is_in(torch.from_numpy(row)):
                self._refuse(f"{self._first_outside(allowed, row, value)}, which {'.'.join(self._mask or ())} forbids")
        self.written = t

    def _first_outside(self, spec: TensorSpec, row: Array, value: torch.Tensor) -> str:
        """What to show of ``value``: in a batch, of the first env whose action is not in ``spec``, with its index."""
        rows = torch.from_numpy(row)
        rows = rows.view(torch.bfloat16) if spec.dtype == torch.bfloat16 else rows
        for env in np.ndindex(*self._batch):
            if self._batch and not _holds(spec[env], rows[env]):
                return f"{_abridged(value[env])} for env {', '.join(map(str, env))}"
        return _abridged(value)

    def _refuse(self, found: str) -> None:
        raise _refusal(self._name, self._spec, found)


def masked(spec: TensorSpec, mask: torch.Tensor) -> TensorSpec:
    """``spec`` of choices without those that ``mask``, ``[*batch, n]``, forbids.

    Where a mask forbids everything, as one does of a finished game, it says nothing and all is allowed.
    """
    restricted: Any = copy.copy(spec)  # Any: only the specs of choices have masks
    allowed = mask.to(torch.bool)
    restricted.update_mask(allowed | ~allowed.any(-1, keepdim=True))
    found: TensorSpec = restricted
    return found


def as_member(path: Key, spec: TensorSpec, value: Any) -> torch.Tensor:  # Any: see ActionGate.write
    """``value`` in the dtype of ``spec``, itself where it has that: for actions without rows.

    Raises ActionError for what :class:`ActionGate` refuses.
    """
    name = ".".join(path)
    if not isinstance(value, torch.Tensor):
        raise _refusal(name, spec, f"a {type(value).__name__}")
    if value.shape != spec.shape:
        raise _refusal(name, spec, f"shape {list(value.shape)}")
    member = value if value.dtype == spec.dtype else _in_kind(name, spec, value)
    if not _holds(spec, member):
        raise _refusal(name, spec, _abridged(value))
    return member


def _holds(spec: TensorSpec, action: torch.Tensor) -> bool:
    return spec.is_in(action) and not (_takes_any(spec) and bool(action.isnan().any()))


def _takes_any(spec: TensorSpec) -> bool:
    """Does ``spec`` hold NaN? An env without bounds would be given one, and be lost."""
    return isinstance(spec, Unbounded) and spec.dtype.is_floating_point


def _in_kind(name: str, spec: TensorSpec, value: torch.Tensor) -> torch.Tensor:
    """``value`` in the dtype of ``spec``. Raises ActionError where that is of another kind, or changes an integer."""
    zeros_and_ones = isinstance(spec, HotSpec | Binary)
    if not (zeros_and_ones or torch.can_cast(value.dtype, spec.dtype)):
        raise _refusal(name, spec, f"dtype {value.dtype}")
    cast = value.to(spec.dtype)
    if not spec.dtype.is_floating_point and not torch.equal(cast.to(value.dtype), value):
        raise _refusal(name, spec, _abridged(value))  # a number too large for a smaller integer wraps around
    return cast


def _refusal(name: str, spec: TensorSpec, found: str) -> ActionError:
    cures = (
        "env.rand_action() gives a valid one; env.action_spec.encode(value) turns plain numbers into one; "
        "env.action_spec.project(value) gives the nearest"
    )
    if isinstance(spec, Bounded) and spec.dtype.is_floating_point:
        cures += ", as does ClipTransform(in_keys_inv=[...], low=..., high=...) in the env for every action"
    return ActionError(f"{name}: expected {spec.in_words()}, found {found}. {cures}")


def _abridged(value: torch.Tensor) -> str:
    text = str(value.detach().cpu().tolist())
    return text if len(text) <= 80 else text[:77] + "..."
