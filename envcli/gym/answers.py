"""What a gymnasium env answers, held against what it announces."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit

from envcli.errors import ConfigError, SpecError, described
from envcli.gym.objectives import Objectives
from envcli.gym.spaces import announced
from envcli.memory.buffer import Array, Rows
from envcli.rows.announced import CURE, check_flag, explaining
from envcli.rows.strict_rows import StrictRows, strict_rows

__all__ = ["GymAnswers", "Step"]

Step = tuple[Any, Any, Any, Any, dict[str, Any]]


class GymAnswers:
    """Resets and steps ``env``, and raises SpecError where the answer is not as its spaces say.

    What its first reset or step raises is a ConfigError that names the options it was made with, where there are any.

    Args:
        env: whose ``reset`` and ``step`` are called.
        name: what to call it in a message.
        checks: ``"first"``: the first answer of each kind after ``bind``, as a whole; ``"full"``: besides, the values
            of all others once they are in their rows, and their flags; ``"off"``: none.
        observation: the space of what rows take of its observations; None: its own.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], name: str, checks: str, observation: gymnasium.Space[Any] | None = None
    ) -> None:
        self._env, self._made_of = env, (env, name, checks, observation)
        self._any, self.full = checks != "off", checks == "full"
        self._announced = announced(env.observation_space if observation is None else observation)
        self._pay = Objectives(env)
        self._in_reset, self._in_step = f"{name} reset", f"{name} step"
        self._proven = False  # has it made a step?
        self.bind(None, None, np.zeros(0, np.float32))

    def bind(self, first: Rows | None, following: Rows | None, rewards: Array) -> tuple[Rows | None, Rows | None]:
        """The rows to write observations to, of resets and of steps: these, or the same and stricter.

        Args:
            first, following: the rows of observations; None: they are not shown.
            rewards: ``[time]``, or ``[time, objectives]``.
        """
        self._rewards = rewards
        self._first: StrictRows | None = None
        self._following: StrictRows | None = None
        self.begin_anew()
        if not self.full or first is None or following is None:
            return first, following
        self._first = strict_rows(self._announced, first, f"{self._in_reset}: observation")
        self._following = strict_rows(self._announced, following, f"{self._in_step}: observation")
        return self._first, self._following

    def begin_anew(self) -> None:
        """What comes is the first of a rollout."""
        self.new_reset, self.new_step = self._any, True
        self.step: Callable[[Any], Step] = self._first_step
        self.clock: Any = None  # Any: gymnasium annotates its count as None

    def __reduce__(self) -> tuple[type[GymAnswers], tuple[Any, ...]]:
        return type(self), self._made_of  # the rows are not ours to copy

    # -- as a whole -----------------------------------------------------------------------------------------------

    def reset(self, **options: Any) -> tuple[Any, dict[str, Any]]:
        """Observation and info."""
        try:
            result = self._env.reset(**options)
        except (AssertionError, TypeError, ValueError) as error:
            self._explain(error, self._in_reset)
            raise
        if self.new_reset:
            self._check_reset(result)
            self.new_reset = False
        return result

    def _check_reset(self, result: Any) -> None:
        if not isinstance(result, tuple) or len(result) != 2:
            raise SpecError(_not_a_tuple(self._in_reset, "observation, info", result))
        self._announced.check(result[0], f"{self._in_reset}: observation")
        _check_info(result[1], self._in_reset)

    def _first_step(self, action: Any) -> Step:
        try:
            result: Step = self._env.step(action)
        except (AssertionError, TypeError, ValueError) as error:
            self._explain(error, self._in_step)
            raise
        if self._any:
            self._check_whole(result)
        self._proven = True
        self.new_step = False
        self.step, self.clock = _short(self._env)
        if self.clock is not None:
            self.clock._elapsed_steps -= 1  # who asked for the step counts it, like those to come
        return result

    def left(self) -> int:
        """How many steps may be made, at least 1, before somebody has to ask ``over``."""
        clock = self.clock
        return sys.maxsize if clock is None else max(clock._max_episode_steps - clock._elapsed_steps, 1)

    def over(self, made: int = 1) -> bool:
        """Has the time limit come, now that so many more steps are ``made``? To be said of all that ``step`` made."""
        clock = self.clock
        if clock is None:  # there is none, or it has counted itself
            return False
        clock._elapsed_steps += made
        return bool(clock._elapsed_steps >= clock._max_episode_steps)

    def _check_whole(self, result: Any) -> None:
        if not isinstance(result, tuple) or len(result) != 5:
            raise SpecError(_not_a_tuple(self._in_step, "observation, reward, terminated, truncated, info", result))
        observation, reward, terminated, truncated, info = result
        self._announced.check(observation, f"{self._in_step}: observation")
        self._pay.check(reward, f"{self._in_step}: reward")
        self._check_flags(terminated, truncated)
        _check_info(info, self._in_step)

    def _explain(self, error: Exception, where: str) -> None:
        """Raise SpecError if it is gymnasium that refuses the answer: it unpacks and checks the first ones, too.

        ConfigError if what went wrong may be the options that the env was made with: it has made no step.
        """
        if _is_refusal(error):
            said = " ".join(str(error).split()).rstrip(".")
            raise SpecError(f"{where}: gymnasium rejects what it returned: {said}. Fix the simulator") from error
        if not self._proven and (given := _options(self._env)):
            shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ConfigError(
                f"{where}: raised {described(error)}. It was made with {shown}: does it accept these? "
                "In YAML they belong under backend.options"
            ) from error

    # -- piece by piece -------------------------------------------------------------------------------------------

    def is_end(self, terminated: Any, truncated: Any) -> bool:
        """Is the episode over?"""
        if self.full and not terminated.__class__ is truncated.__class__ is bool:
            self._check_flags(terminated, truncated)
        return bool(terminated or truncated)

    def _check_flags(self, terminated: Any, truncated: Any) -> None:
        check_flag(terminated, f"{self._in_step}: terminated")
        check_flag(truncated, f"{self._in_step}: truncated")

    def explain_step(self, result: Any, error: Exception) -> None:
        """Raise SpecError where it is for the answer of a step that rows did not take it, whatever the ``checks``."""
        with explaining(error):
            if isinstance(result, tuple) and len(result) == 5:
                self._pay.check(result[1], f"{self._in_step}: reward")  # first: an observation may have other faults
            self._check_whole(result)

    def explain_reset(self, result: Any, error: Exception) -> None:
        """The same of a reset."""
        with explaining(error):
            self._check_reset(result)

    # -- in their rows --------------------------------------------------------------------------------------------

    def check_first(self, t: int) -> None:
        """Look at the observation of a reset in row ``t``."""
        if self._first is not None and self._first.whole(t, t + 1) == t:
            self._first.check(t)

    def check(self, start: int, stop: int) -> None:
        """Look at what steps wrote into these rows; at all at once: twenty rows cost what one costs, 2 us."""
        rows = self._following
        if rows is not None and (t := rows.whole(start, stop)) < stop:
            rows.check(t)
        if not self.full or isfinite(sum(self._rewards[start:stop].ravel().tolist())):
            return
        if (t := self.whole(start, stop)) < stop:
            self._pay.check(self._rewards[t], f"{self._in_step}: reward")

    def whole(self, start: int, stop: int) -> int:
        """The first of these rows that is not as announced, or ``stop``."""
        if self._following is not None:
            stop = self._following.whole(start, stop)
        if self.full and not (fine := np.isfinite(self._rewards[start:stop])).all():
            stop = start + int(fine.reshape(len(fine), -1).all(1).argmin())
        return stop


def _short(env: gymnasium.Env[Any, Any]) -> tuple[Callable[[Any], Step], Any]:
    """``env.step``, once it has been called, past the layers that ``gymnasium.make`` puts around every env; the clock.

    The checker and the guard of the order look at the first steps and then pass on what they are given; the clock is
    kept by who steps. MountainCar's step takes a tenth less without them. Layers of any other class stay, and those
    whose ``step`` somebody has replaced.
    """
    clock: Any = env if _is_as_made(env, TimeLimit) else None
    inner: Any = env if clock is None else clock.env
    while _is_as_made(inner, OrderEnforcing, PassiveEnvChecker):
        inner = inner.env
    return inner.step, clock


def _options(env: gymnasium.Env[Any, Any]) -> dict[str, Any]:
    """What was given to the constructor besides what the id is registered with."""
    made = env.spec
    usual = gymnasium.registry.get(made.id) if made is not None else None
    if made is None or usual is None:
        return {}
    plain = {"render_mode": made.kwargs.get("render_mode"), **usual.kwargs}
    return {k: v for k, v in made.kwargs.items() if k not in plain or repr(v) != repr(plain[k])}


def _is_as_made(layer: object, *classes: type[Any]) -> bool:
    return type(layer) in classes and "step" not in vars(layer)


def _is_refusal(error: Exception) -> bool:
    """Does it come from a layer of gymnasium's, and not from what that is put around, or from how that is called?"""
    if isinstance(error, TypeError) and "argument" in str(error):
        return False
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    module = "" if place is None else str(place.tb_frame.f_globals.get("__name__"))
    return module.startswith(("gymnasium.wrappers.", "gymnasium.utils.passive_env_checker"))


def _not_a_tuple(where: str, expected: str, found: Any) -> str:
    shown = f"a tuple of {len(found)}" if isinstance(found, tuple) else f"a {type(found).__name__}"
    return f"{where}: expected ({expected}), found {shown}. Fix the simulator"


def _check_info(info: Any, where: str) -> None:
    if not isinstance(info, Mapping):
        raise SpecError(f"{where}: info: expected a dict, found a {type(info).__name__}. {CURE}")
