"""MO-Gymnasium: envs of gymnasium's that pay for several objectives."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.gym import ids

__all__ = ["MOGymEnv", "MOGymWrapper"]


class MOGymWrapper(GymWrapper):
    """An existing env of MO-Gymnasium: a :class:`~envcli.GymWrapper`, by TorchRL's name.

    The reward is ``[objectives]`` float32, bounded as the env's ``reward_space`` is; with ``frame_skip``, which adds up
    rewards, it is unbounded. :class:`~envcli.LineariseRewards` makes it one number.
    """

    library: ClassVar[str] = "mo-gymnasium"

    @classmethod
    def available_names(cls) -> list[str]:
        """Every id of MO-Gymnasium's."""
        return ids.several_objectives()


class MOGymEnv(GymEnv, MOGymWrapper):
    """An env of MO-Gymnasium by its name: ``MOGymEnv("deep-sea-treasure-v0")``.

    It takes what :class:`~envcli.GymEnv` takes, and pays as :class:`MOGymWrapper` does. Minecart's ores are drawn as
    its seed says: see :class:`~envcli.gym.seeded_mines.SeededMines`.

    Raises:
        MissingDependency: mo-gymnasium is not installed.
    """

    @staticmethod
    def _made(name: str, options: dict[str, Any], **how: Any) -> gymnasium.Env[Any, Any]:
        ids.require_several_objectives()
        return ids.make(name, options, **how)
