"""What a dm_env answers, held against what it announces."""

from __future__ import annotations

from typing import Any

import dm_env
import numpy as np

from envcli.dm.specs import announced
from envcli.errors import EnvError, SpecError
from envcli.memory.buffer import Rows
from envcli.rows.announced import CURE, explaining
from envcli.rows.strict_rows import StrictRows, strict_rows

__all__ = ["DMAnswers"]


class DMAnswers:
    """Raises SpecError where an answer is not as the specs say, and EnvError where it is none.

    Args:
        observation, reward: the specs that are announced; whatever nests.
        name: what to call the env in a message.
        checks: ``"first"``: the first answer of each kind after ``bind`` and ``begin_anew``, as a whole; ``"full"``:
            besides, all others once they are in their rows, and their discounts; ``"off"``: none.
    """

    def __init__(self, observation: Any, reward: Any, name: str, checks: str) -> None:
        self._made_of = (observation, reward, name, checks)
        self._any, self.full = checks != "off", checks == "full"
        self._observation, self._reward = announced(observation), announced(reward)
        self._name, self._in_reset, self._in_step = name, f"{name} reset", f"{name} step"
        self._first: list[StrictRows] = []
        self._following: list[StrictRows] = []
        self.begin_anew()

    def bind(self, first: Rows | None, following: Rows | None, rewards: Rows) -> tuple[Rows | None, Rows | None, Rows]:
        """The rows to write observations to, of resets and of steps, and rewards: these, or the same and stricter.

        Args:
            first, following: the rows of observations; None: they are not shown.
            rewards: ``[time, 1]``.
        """
        self._first, self._following = [], []
        self.begin_anew()
        if not self.full:
            return first, following, rewards
        rewards = self._strict(self._following, self._reward, rewards, f"{self._in_step}: reward")
        if first is not None and following is not None:
            first = self._strict(self._first, self._observation, first, f"{self._in_reset}: observation")
            following = self._strict(self._following, self._observation, following, f"{self._in_step}: observation")
        return first, following, rewards

    def _strict(self, looked_at: list[StrictRows], entry: Any, rows: Rows, where: str) -> StrictRows:
        strict = strict_rows(entry, rows, where)
        looked_at.append(strict)
        return strict

    def begin_anew(self) -> None:
        """What comes is the first of a rollout."""
        self.new_reset = self.new_step = self._any

    def __reduce__(self) -> tuple[type[DMAnswers], tuple[Any, ...]]:
        return type(self), self._made_of  # the rows are not ours to copy

    # -- as a whole -----------------------------------------------------------------------------------------------

    def check_reset(self, observation: Any) -> None:
        """Look at the first one of its kind."""
        self._observation.check(observation, f"{self._in_reset}: observation")
        self.new_reset = False

    def check_step(self, step: dm_env.TimeStep) -> None:
        """Look at the first one of its kind."""
        self.check_reward(step.reward)
        self._observation.check(step.observation, f"{self._in_step}: observation")
        self.new_step = False

    def unpaid(self, step: dm_env.TimeStep) -> EnvError | SpecError:
        """What to raise where the reward is None."""
        if step.first():  # the first moment of the next episode: dm_env resets by itself
            return EnvError(f"{self._name}: the episode is over or has not started. Call reset() before step()")
        return SpecError(f"{self._in_step}: reward: expected {self._reward}, found None. Fix the simulator")

    def explain_first(self, observation: Any, error: Exception) -> None:
        """Raise SpecError where it is for the answer of a reset that rows did not take it, whatever the ``checks``."""
        with explaining(error):
            self.check_reset(observation)

    def explain_following(self, step: dm_env.TimeStep, error: Exception) -> None:
        """The same of a step."""
        with explaining(error):
            self.check_step(step)

    def explain_reset(self, error: RuntimeError) -> None:
        """Raise EnvError if the physics came apart."""
        _explain(error, self._in_reset)

    def explain_step(self, error: RuntimeError) -> None:
        """Raise EnvError if the physics came apart."""
        _explain(error, self._in_step)

    # -- piece by piece -------------------------------------------------------------------------------------------

    def is_terminal(self, discount: Any) -> bool:
        """Of the last step of an episode: does nothing of the future count?"""
        if self.full:
            numbers = np.asarray(discount)
            if numbers.dtype.kind not in "biuf" or not np.isfinite(numbers).all():
                raise SpecError(f"{self._in_step}: discount: expected a finite number, found {discount!r}. {CURE}")
        return not np.any(discount)

    def check_reward(self, reward: Any) -> None:
        """Look at a reward before it has a row."""
        self._reward.check(reward, f"{self._in_step}: reward")

    # -- in their rows --------------------------------------------------------------------------------------------

    def look_at_reset(self, t: int) -> None:
        """Look at what a reset wrote into row ``t``."""
        _look(self._first, t)

    def look_at_step(self, t: int) -> None:
        """Look at what a step wrote into row ``t``."""
        _look(self._following, t)


def _look(strict: list[StrictRows], t: int) -> None:
    for rows in strict:
        if rows.whole(t, t + 1) == t:
            rows.check(t)


def _explain(error: RuntimeError, where: str) -> None:
    if type(error).__name__ == "PhysicsError":  # dm_control's; a dm_env from elsewhere comes without it
        raise EnvError(f"{where}: the physics diverged: {error}") from error
