"""Gymnasium's spaces as specs, and back.

A leaf of a space is one entry. ``Dict`` spaces nest by their keys, ``Tuple`` by ``"0"``, ``"1"``, ...
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from envcli.errors import ConfigError, SpecError
from envcli.gym.texts import TextRoom
from envcli.keys import Key, places
from envcli.memory.buffer import Array
from envcli.rows.announced import Announced, AnnouncedNest
from envcli.rows.texts import AnnouncedText
from envcli.specs import (
    Binary,
    Bounded,
    Categorical,
    Composite,
    MultiCategorical,
    MultiOneHot,
    OneHot,
    TensorSpec,
    Text,
    Unbounded,
)
from envcli.specs.counts import choice_counts

__all__ = [
    "announced",
    "is_image",
    "space_to_spec",
    "spec_to_space",
    "starts_of",
    "unbounded",
]

Space = spaces.Space[Any]

_BARE = ("observation", "pixels", "action")  # what an entry is called whose space is no Dict


def space_to_spec(
    space: Space, *, categorical: bool = False, device: torch.device | None = None, where: str = ""
) -> TensorSpec:
    """The spec of ``space``: a leaf, or a Composite for ``Dict`` and ``Tuple``.

    As in TorchRL, ``Discrete`` is one-hot int64 ``[n]`` unless ``categorical``, a ``Discrete`` that starts elsewhere
    than at 0 is counted from 0, and a ``Box`` of shape ``()`` becomes ``[1]``. Beyond TorchRL, ``Tuple`` and a
    ``MultiBinary`` of several dimensions are taken too. Texts need room: see :func:`~envcli.gym.texts.with_room`.

    Raises:
        ConfigError: ``Text``, ``Graph``, ``Sequence``, ``OneOf`` or another space without a fixed shape; names it.
    """
    match space:
        case spaces.Box():
            return _box_spec(space, device, where)
        case spaces.Discrete():
            n = int(space.n)
            return Categorical(n, device=device) if categorical else OneHot(n, device=device, dtype=torch.int64)
        case spaces.MultiDiscrete():
            return _multi_discrete_spec(space, categorical, device, where)
        case spaces.MultiBinary():
            return Binary(shape=torch.Size(space.shape), device=device, dtype=torch.int8)
        case TextRoom():
            return Text(space.length, device=device)
        case spaces.Dict() | spaces.Tuple():
            leaves = {
                name: space_to_spec(inner, categorical=categorical, device=device, where=f"{where}.{name}".strip("."))
                for _, name, inner in places(space.spaces)
            }
            return Composite(leaves, device=device)
    cure = "Wrap the env so that it shows a Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple"
    if space.dtype is not None and space.dtype.kind == "U":
        cure = "Texts are taken as observations of backend=gymnasium alone. For several envs: parallel=processes"
    raise ConfigError(
        f"{where or 'space'}: {_in_a_line(space)} has no fixed shape, so its values do not fit in tensors. {cure}"
    )


def _box_spec(space: spaces.Box, device: torch.device | None, where: str) -> TensorSpec:
    shape = torch.Size(space.shape) or torch.Size([1])
    dtype = torch.from_numpy(np.empty((), space.dtype)).dtype
    low, high = np.asarray(space.low).reshape(shape), np.asarray(space.high).reshape(shape)
    if np.isneginf(low).all() and np.isposinf(high).all():
        return Unbounded(shape, device=device, dtype=dtype)
    try:
        bounds = torch.from_numpy(low.copy()), torch.from_numpy(high.copy())
        return Bounded(*bounds, shape=shape, device=device, dtype=dtype)
    except SpecError as error:
        raise ConfigError(f"{where or 'space'}: {_in_a_line(space)} cannot be a spec: {error}") from error


def _multi_discrete_spec(
    space: spaces.MultiDiscrete, categorical: bool, device: torch.device | None, where: str
) -> TensorSpec:
    counts = np.asarray(space.nvec)
    if categorical:
        return MultiCategorical(torch.from_numpy(counts.copy()), device=device)
    if counts.ndim > 1:
        raise ConfigError(
            f"{where or 'space'}: a one-hot encoding of {_in_a_line(space)} has rows of different lengths. "
            "Type: backend.categorical_action_encoding=true"
        )
    if (counts == counts[0]).all():
        return OneHot(int(counts[0]), shape=torch.Size([len(counts), int(counts[0])]), device=device, dtype=torch.int64)
    return MultiOneHot(counts.tolist(), device=device, dtype=torch.int64)


def spec_to_space(spec: TensorSpec, where: str = "", start: Array | None = None) -> Space:
    """The space of ``spec``, of a single env: the other way of :func:`space_to_spec`.

    ``start``: the first number of each choice, 0 unless given.

    One choice is ``Discrete``, whether one-hot or a number; several are ``MultiDiscrete``; bits, and choices of bool,
    are ``MultiBinary``, unless there are none; everything else is a ``Box`` of the same shape, dtype and bounds. A
    Composite is a ``Dict``.
    Masks are left out.

    Raises:
        ConfigError: a dtype that numpy or gymnasium lacks (bfloat16, complex numbers); names the entry.
    """
    if isinstance(spec, Composite):
        return spaces.Dict({str(key): spec_to_space(leaf, f"{where}.{key}".strip(".")) for key, leaf in spec.items()})
    counts = choice_counts(spec)
    if counts is not None:
        first = np.zeros_like(counts) if start is None else start
        several = counts.ndim > 0
        return spaces.MultiDiscrete(counts, start=first) if several else spaces.Discrete(int(counts), start=int(first))
    if isinstance(spec, Binary) or spec.dtype == torch.bool:
        if not spec.shape.numel():  # a MultiBinary of none is refused
            return spaces.Box(0, 1, spec.shape, torch.empty((), dtype=spec.dtype).numpy().dtype.type)
        return spaces.MultiBinary(spec.shape[0] if spec.ndim == 1 else list(spec.shape))
    if spec.dtype == torch.bfloat16 or spec.dtype.is_complex:
        raise ConfigError(
            f"{where or 'spec'}: gymnasium has no space of {spec.dtype}. Cast it with a DTypeCastTransform"
        )
    dtype = torch.empty((), dtype=spec.dtype).numpy().dtype
    if isinstance(spec, Bounded):
        return spaces.Box(spec.low.cpu().numpy().copy(), spec.high.cpu().numpy().copy(), dtype=dtype)
    return unbounded(spec.shape, dtype)


def unbounded(shape: Sequence[int], dtype: np.dtype[Any]) -> spaces.Box:
    """Every number of ``dtype``, and of floats infinity, in arrays of ``shape``."""
    ends: Any = np.iinfo(dtype) if dtype.kind in "iu" else None
    low, high = (-np.inf, np.inf) if ends is None else (ends.min, ends.max)
    return spaces.Box(np.full(shape, low, dtype), np.full(shape, high, dtype), dtype=dtype)


def starts_of(space: Space, spec: Composite) -> dict[Key, Array]:
    """Path -> the first number of each choice of ``space`` that does not begin at 0, which a spec cannot say.

    Of what ``spec`` shows unchanged, as many choices under the same name: a transform may have made it something else.
    What is no ``Dict`` has no name of its own: it is what is alone in ``spec``, or called as backends call it.

    >>> starts_of(spaces.Discrete(3, start=5), Composite(action=OneHot(3)))
    {('action',): array(5)}
    """
    if isinstance(space, spaces.Dict):
        return dict(_starts(space, spec, ()))
    names = [name for name in map(str, spec.keys()) if len(spec.keys()) == 1 or name in _BARE]
    return dict(_starts(space, spec[names[0]], (names[0],))) if names else {}


def _starts(space: Space, spec: TensorSpec, path: Key) -> Iterator[tuple[Key, Array]]:
    if isinstance(space, spaces.Dict | spaces.Tuple):
        for _, name, inner in places(space.spaces):
            if isinstance(spec, Composite) and name in spec.keys():  # noqa: SIM118  # a Composite is not its keys
                yield from _starts(inner, spec[name], (*path, name))
    elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        native = np.asarray(space.n if isinstance(space, spaces.Discrete) else space.nvec)
        start, counts = np.asarray(space.start), choice_counts(spec)
        if start.any() and counts is not None and np.array_equal(native, counts):
            yield path, start


def announced(space: Space) -> Announced | AnnouncedNest:
    """What a member of ``space``, which :func:`space_to_spec` takes, looks like in the simulator's own form."""
    match space:
        case spaces.Dict() | spaces.Tuple():
            entries = [(at, name, announced(inner)) for at, name, inner in places(space.spaces)]
            return AnnouncedNest(entries, isinstance(space, spaces.Dict))
        case TextRoom():
            return AnnouncedText(space.length, space.cure)
        case spaces.Discrete():
            return Announced((), np.int64, space.start, space.start + space.n - 1)
        case spaces.MultiDiscrete():
            return Announced(space.nvec.shape, space.dtype, space.start, space.start + space.nvec - 1)
        case spaces.MultiBinary():
            return Announced(space.shape, space.dtype, 0, 1)
        case spaces.Box():
            return Announced(space.shape, space.dtype, space.low, space.high)
    raise ConfigError(f"{space} has no fixed shape")


def is_image(space: Space) -> bool:
    """Whether values of ``space`` are coloured images: uint8 ``[height, width, 3]`` from 0 to 255."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3 or space.shape[-1] != 3:
        return False
    return bool((space.low == 0).all() and (space.high == 255).all())


def _in_a_line(space: Space) -> str:
    return " ".join(str(space).split())
