"""Envs of other libraries, where one of ours is expected."""

from __future__ import annotations

__all__ = ["way_in"]

_WAYS = {
    "dm_env.Environment": "from_dm_env",
    "gym.Env": "from_gymnasium",
    "gymnasium.Env": "from_gymnasium",
    "pettingzoo.AECEnv": "PettingZooWrapper",
    "pettingzoo.ParallelEnv": "PettingZooWrapper",
    "torchrl.EnvBase": "from_torchrl",
    "vmas.Environment": "VmasWrapper",
}


def way_in(kind: type) -> str | None:
    """What of ours takes an object of class ``kind``: a function or a class; None: nothing. No library is imported.

    >>> import gymnasium
    >>> way_in(gymnasium.Wrapper), way_in(dict)
    ('envcli.from_gymnasium', None)
    """
    bases = (f"{base.__module__.partition('.')[0]}.{base.__name__}" for base in kind.__mro__)
    return next((f"envcli.{_WAYS[base]}" for base in bases if base in _WAYS), None)
