"""Envs of other libraries, where one of ours is expected."""

from __future__ import annotations

__all__ = ["way_in"]

_WAYS = {"gymnasium.Env": "from_gymnasium", "dm_env.Environment": "from_dm_env", "torchrl.EnvBase": "from_torchrl"}


def way_in(kind: type) -> str | None:
    """The function of ours that takes an object of class ``kind``; None: there is none. No library is imported.

    >>> import gymnasium
    >>> way_in(gymnasium.Wrapper), way_in(dict)
    ('envcli.from_gymnasium', None)
    """
    bases = (f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in kind.__mro__)
    return next((f"envcli.{_WAYS[base]}" for base in bases if base in _WAYS), None)
