"""dm_env's specs: as specs of ours and back, and as the moves between native values and rows of a buffer.

A leaf is one entry of the buffer. Mappings nest by their keys, lists and tuples by ``"0"``, ``"1"``, ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from dm_env import specs

from envcli.errors import ConfigError, SpecError
from envcli.keys import Key, places
from envcli.memory.buffer import RolloutBuffer, Rows
from envcli.rows.announced import Announced, AnnouncedNest
from envcli.rows.pixels import image_spec
from envcli.rows.strict_rows import NestedRows
from envcli.specs import Binary, Bounded, Categorical, Composite, OneHot, TensorSpec, Unbounded
from envcli.specs.counts import choice_counts

__all__ = ["announced", "dm_spec_to_spec", "is_nested", "row_reader", "row_writer", "spec_to_dm_spec"]

# A native spec is a leaf or a mapping or a sequence of them, and so is its value: hence Any throughout this file.


def is_nested(native: Any) -> bool:
    """Whether ``native`` holds several entries, and is not one itself."""
    return isinstance(native, Mapping | list | tuple)


def dm_spec_to_spec(
    native: Any, *, categorical: bool = False, device: torch.device | None = None, where: str = ""
) -> TensorSpec:
    """The spec of ``native``: a leaf, or a Composite of what is nested.

    As in TorchRL, a ``DiscreteArray`` is one-hot int64 ``[n]`` unless ``categorical``, shape ``()`` becomes ``[1]``,
    and the native dtype stays. Beyond TorchRL, images are 0..255 and two infinite bounds are none.

    Raises:
        ConfigError: text, or something that is no spec.
    """
    if is_nested(native):
        leaves = {
            name: dm_spec_to_spec(inner, categorical=categorical, device=device, where=f"{where}.{name}".strip("."))
            for _, name, inner in places(native)
        }
        return Composite(leaves, device=device)
    if not isinstance(native, specs.Array) or native.dtype.kind not in "biufc":
        raise ConfigError(
            f"{where or 'spec'}: {native!r} does not fit in tensors. Wrap the env so that it shows arrays"
        )
    dtype = torch.from_numpy(np.empty((), native.dtype)).dtype
    if isinstance(native, specs.DiscreteArray):
        n = native.num_values
        return (
            Categorical(n, device=device, dtype=dtype) if categorical else OneHot(n, device=device, dtype=torch.int64)
        )
    shape = torch.Size(native.shape) or torch.Size([1])
    if isinstance(native, specs.BoundedArray):
        try:
            return _bounded(native, shape, dtype, device)
        except SpecError as error:  # a bound that is NaN
            raise ConfigError(f"{where or 'spec'}: {native!r} cannot be a spec: {error}") from error
    if dtype == torch.uint8 and len(shape) == 3:
        return image_spec(shape, device)
    return Unbounded(shape, device=device, dtype=dtype)


def _bounded(
    native: specs.BoundedArray, shape: torch.Size, dtype: torch.dtype, device: torch.device | None
) -> TensorSpec:
    low, high = (np.broadcast_to(bound, native.shape).reshape(shape) for bound in (native.minimum, native.maximum))
    if np.isneginf(low).all() and np.isposinf(high).all():
        return Unbounded(shape, device=device, dtype=dtype)
    return Bounded(torch.from_numpy(low.copy()), torch.from_numpy(high.copy()), shape=shape, device=device, dtype=dtype)


def spec_to_dm_spec(spec: TensorSpec, name: str = "") -> Any:
    """dm_env's spec of ``spec``, of a single env: the other way of :func:`dm_spec_to_spec`.

    One choice is a ``DiscreteArray``, whether one-hot or a number; several, and bits, are a ``BoundedArray`` of them;
    shapes, bounds and dtypes stay, that of a one-hot being int64. A Composite is a dict. Masks are left out.

    Raises:
        ConfigError: a dtype that numpy lacks (bfloat16); names the entry.
    """
    if isinstance(spec, Composite):
        return {key: spec_to_dm_spec(leaf, f"{name}.{key}".strip(".")) for key, leaf in spec.items()}
    counts = choice_counts(spec)
    if counts is not None:
        if not counts.ndim:
            dtype = np.dtype(np.int64) if isinstance(spec, OneHot) else torch.empty((), dtype=spec.dtype).numpy().dtype
            return specs.DiscreteArray(int(counts), dtype, name=name)
        return specs.BoundedArray(counts.shape, np.int64, 0, counts - 1, name=name)
    if spec.dtype == torch.bfloat16:
        raise ConfigError(f"{name or 'spec'}: numpy has no {spec.dtype}. Cast it with a DTypeCastTransform")
    dtype = torch.empty((), dtype=spec.dtype).numpy().dtype
    if isinstance(spec, Bounded):
        low, high = (bound.cpu().numpy().copy() for bound in (spec.low, spec.high))
        return specs.BoundedArray(tuple(spec.shape), dtype, low, high, name=name)
    if isinstance(spec, Binary) or dtype == np.bool_:
        return specs.BoundedArray(tuple(spec.shape), dtype, dtype.type(0), dtype.type(1), name=name)
    return specs.Array(tuple(spec.shape), dtype, name=name)


def announced(native: Any) -> Announced | AnnouncedNest:
    """What a value of ``native``, which :func:`dm_spec_to_spec` takes, looks like in the simulator's own form."""
    if is_nested(native):
        entries = [(at, name, announced(inner)) for at, name, inner in places(native)]
        return AnnouncedNest(entries, isinstance(native, Mapping))
    if isinstance(native, specs.BoundedArray):
        return Announced(native.shape, native.dtype, native.minimum, native.maximum)
    return Announced(native.shape, native.dtype)


# -- native value -> row ----------------------------------------------------------------------------------------------


def row_writer(native: Any, path: Key, buffer: RolloutBuffer) -> Rows:
    """``rows[t] = value``: a native value becomes row ``t`` of ``path`` (and of what is nested under it)."""
    if is_nested(native):
        return NestedRows([(at, row_writer(inner, (*path, name), buffer)) for at, name, inner in places(native)])
    rows = buffer.array(path)
    if isinstance(native, specs.DiscreteArray) and rows.ndim > 1:
        return _OneHotRows(native.num_values, rows)
    return rows


class _OneHotRows:
    def __init__(self, n: int, rows: Any) -> None:
        self._unit, self._rows = np.eye(n, dtype=rows.dtype), rows

    def __setitem__(self, t: int, value: Any, /) -> None:
        self._rows[t] = self._unit[int(value)]


# -- row -> native value ----------------------------------------------------------------------------------------------


def row_reader(native: Any, path: Key, buffer: RolloutBuffer) -> Callable[[int], Any]:
    """``read(t)``: row ``t`` of ``path`` as the native action. Arrays are copies: a simulator may keep its action."""
    if is_nested(native):
        inner = [(at, row_reader(child, (*path, name), buffer)) for at, name, child in places(native)]
        if isinstance(native, Mapping):
            return lambda t: {at: read(t) for at, read in inner}
        several = tuple if isinstance(native, tuple) else list
        return lambda t: several(read(t) for _, read in inner)
    rows = buffer.array(path)
    if isinstance(native, specs.DiscreteArray):
        kind = native.dtype.type
        return (lambda t: kind(rows[t].argmax())) if rows.ndim > 1 else lambda t: kind(rows[t])
    if native.shape == ():
        return lambda t: rows[t].reshape(()).copy()
    return lambda t: rows[t].copy()
