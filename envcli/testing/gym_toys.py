"""Gymnasium envs that count or talk, and one with every kind of space."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

__all__ = ["CountingGym", "ExoticGym", "TalkingGym", "Words", "every_space"]

Space = spaces.Space[Any]  # Any: whatever the values of a space are


class CountingGym(gymnasium.Env[Any, Any]):
    """Observation and reward are the number of steps of the episode; ``info`` holds it too, as ``"steps"``.

    Args:
        limit: steps after which the episode is terminated.
        time_limit: steps after which it is truncated; None: never.
    """

    def __init__(self, limit: int = 5, time_limit: int | None = None) -> None:
        self.observation_space = spaces.Box(0, np.inf, (1,), np.float32)
        self.action_space = spaces.Discrete(3)
        self.limit, self.time_limit = limit, time_limit
        self.count = 0
        self.actions: list[Any] = []  # every action that arrived, since it was built
        self.resets: list[tuple[int | None, dict[str, Any] | None]] = []
        self.closed = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin at zero; ``info`` is empty, as with many simulators."""
        super().reset(seed=seed)
        self.resets.append((seed, options))
        self.count = 0
        return np.zeros(1, np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Count."""
        self.actions.append(action)
        self.count += 1
        truncated = self.time_limit is not None and self.count >= self.time_limit
        shown = np.full(1, self.count, np.float32)
        return shown, float(self.count), self.count >= self.limit, truncated, {"steps": self.count}

    def close(self) -> None:
        """Count that too."""
        self.closed += 1


class Words(spaces.Space[str]):
    """Texts of no known length, as MiniGrid's missions are."""

    def __init__(self) -> None:
        super().__init__(dtype=str)


class TalkingGym(CountingGym):
    """Shows the count beside a ``"mission"``: what is ``said``, and in steps the count.

    Args:
        said: the mission.
        limit, time_limit: as :class:`CountingGym` takes them.
    """

    def __init__(self, said: str = "go to the green goal", **limits: Any) -> None:
        super().__init__(**limits)
        self.said = said
        self.observation_space = spaces.Dict(count=self.observation_space, mission=Words())

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Begin at zero."""
        observation, info = super().reset(**options)
        return {"count": observation, "mission": self.said}, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Count."""
        count, reward, terminated, truncated, info = super().step(action)
        return {"count": count, "mission": f"{self.said} {self.count}"}, reward, terminated, truncated, info


def every_space() -> spaces.Dict:
    """A space of every kind that has a fixed shape, nested in each other."""
    return spaces.Dict(
        {
            "image": spaces.Box(0, 255, (2, 3, 3), np.uint8),
            "scalar": spaces.Box(-1, 1, (), np.float32),
            "precise": spaces.Box(-2, 2, (2,), np.float64),
            "choice": spaces.Discrete(3, start=-1),
            "choices": spaces.MultiDiscrete([2, 3]),
            "bits": spaces.MultiBinary(4),
            "board": spaces.MultiBinary([2, 2]),
            "pair": spaces.Tuple((spaces.Box(0, 1, (2,), np.float32), spaces.Discrete(2))),
            "inner": spaces.Dict({"deep": spaces.Box(-np.inf, np.inf, (1,), np.float32)}),
        }
    )


class ExoticGym(gymnasium.Env[Any, Any]):
    """Shows members of its observation space drawn from the seed, and keeps what it showed and what it was told.

    Args:
        observation_space: None: :func:`every_space`.
        action_space: None: a ``Discrete`` that starts at 2.
        limit: steps after which an episode is truncated.
    """

    def __init__(
        self, observation_space: Space | None = None, action_space: Space | None = None, limit: int = 7
    ) -> None:
        self.observation_space = every_space() if observation_space is None else observation_space
        self.action_space = spaces.Discrete(3, start=2) if action_space is None else action_space
        self.limit = limit
        self.count = 0
        self.shown: list[Any] = []
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw; a seed seeds the space."""
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.count = 0
        return self._draw(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Draw again; the reward is 1."""
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.actions.append(action)
        self.count += 1
        return self._draw(), 1.0, False, self.count >= self.limit, {}

    def _draw(self) -> Any:
        self.shown.append(self.observation_space.sample())
        return self.shown[-1]
