"""Adds up the rewards of each episode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envcli.keys import NestedKey, as_path
from envcli.rows.roles import Roles
from envcli.transforms.along_episode import AlongEpisode

__all__ = ["RewardSum"]


class RewardSum(AlongEpisode):
    """``episode_reward``: the sum of the rewards of this episode so far, 0 after a reset.

    It has the shape and dtype of the reward (int64 of whole numbers), stands at the root and under ``"next"``, and is
    state: a step adds to what the root says. On a finished rollout, see :class:`AlongEpisode` (TorchRL needs a parent
    env or a named time there).

    Args:
        in_keys: which rewards; None: all that the env has, ``"reward"`` outside an env.
        out_keys: the names of the sums; None: ``episode_`` before each reward's.
        reset_keys: kept for TorchRL's sake; what is reset is known here.
        reward_spec: announce the sums as rewards, not as observations. They are state all the same.

    Raises:
        TransformError: ``in_keys`` and ``out_keys`` are not equally many.
    """

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        reset_keys: Sequence[NestedKey] | None = None,
        *,
        reward_spec: bool = False,
    ) -> None:
        super().__init__(0.0, in_keys, out_keys)
        self.reward_spec = reward_spec

    def _is_reward(self) -> bool:
        return self.reward_spec

    def _roles(self) -> Roles:
        return Roles(cumulative_rewards=set(map(as_path, self.out_keys)) if self.reward_spec else set())

    def _following(self, before: Any, reward: Any) -> Any:
        return before + reward

    def _name(self, reward: str) -> str:
        return f"episode_{reward}"
