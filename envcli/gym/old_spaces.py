"""Spaces of gym's, the library before gymnasium, and of others that look like them, as gymnasium's."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from envcli.errors import ConfigError

__all__ = ["as_gymnasium", "kind_of"]

_KINDS = ("Box", "Dict", "Discrete", "MultiBinary", "MultiDiscrete", "Tuple")


def kind_of(space: object) -> str | None:
    """What ``space`` is called in gym and gymnasium: ``"Box"``, ...; None: it is none, or has no fixed shape.

    A class of another library counts by its name, or that of a base: crafter, where gym is not installed, has a
    ``BoxSpace`` of its own with the same attributes.

    >>> kind_of(spaces.Discrete(2)), kind_of(3)
    ('Discrete', None)
    """
    names = (base.__name__.removesuffix("Space") for base in type(space).__mro__)
    return next((name for name in names if name in _KINDS), None)


def as_gymnasium(space: Any) -> spaces.Space[Any]:  # Any: of a library that is there for some only
    """``space``, one of gym's or one that looks like it (VMAS's, gymnax's), as one of gymnasium's, of the same values.

    Raises:
        ConfigError: it has no fixed shape (``Text``, ``Graph``, ``Sequence``), or is no space.
    """
    if isinstance(space, spaces.Space):
        return space
    match kind_of(space):
        case "Box":
            dtype = np.dtype(space.dtype)
            low, high = (np.broadcast_to(np.asarray(end, dtype), space.shape) for end in (space.low, space.high))
            return spaces.Box(low, high, space.shape, dtype.type)
        case "Discrete":
            return spaces.Discrete(int(space.n), start=int(getattr(space, "start", 0)))
        case "MultiDiscrete":
            return spaces.MultiDiscrete(np.asarray(space.nvec))
        case "MultiBinary":
            return spaces.MultiBinary(space.n)
        case "Dict":
            return spaces.Dict({name: as_gymnasium(inner) for name, inner in space.spaces.items()})
        case "Tuple":
            return spaces.Tuple([as_gymnasium(inner) for inner in space.spaces])
    raise ConfigError(f"{space} is no {', '.join(_KINDS[:-1])} or {_KINDS[-1]}, so it has no fixed shape")
