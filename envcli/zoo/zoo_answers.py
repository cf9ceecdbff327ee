"""What an env of PettingZoo answers, held against what it announces."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from gymnasium import spaces

from envcli.errors import SpecError
from envcli.gym.spaces import announced
from envcli.rows.announced import CURE, Announced, check_flag
from envcli.zoo.play import ByAgent

__all__ = ["ZooAnswers"]

_REWARD = Announced((), "float32")
_PARTS = ("observations", "rewards", "terminations", "truncations", "infos")


class ZooAnswers:
    """Raises SpecError where an answer is not as the spaces of the agents say.

    Attributes:
        new_reset, new_step: is the next answer of that kind to be looked at?

    Args:
        name: of the env, for messages.
        observed: the space of each agent's observations.
        checks: ``"first"``: the first answer of each kind after ``begin_anew``; ``"full"``: all; ``"off"``: none.
    """

    def __init__(self, name: str, observed: Mapping[str, spaces.Space[Any]], checks: str) -> None:
        self._name, self._full, self._any = name, checks == "full", checks != "off"
        self._announced = {agent: announced(space) for agent, space in observed.items()}
        self.begin_anew()

    def begin_anew(self) -> None:
        """What comes is the first of a rollout."""
        self.new_reset = self.new_step = self._any

    def check_reset(self, answer: Any) -> None:
        """Look at observations and infos of a reset."""
        where = f"{self._name} reset"
        self._check_parts(answer, (_PARTS[0], _PARTS[4]), where)
        self._check_observations(answer[0], where)
        self.new_reset = self._full

    def check_step(self, answer: Any, acting: Container[str]) -> None:
        """Look at what a step led to; ``acting`` are those who act next."""
        where = f"{self._name} step"
        self._check_parts(answer, _PARTS, where)
        observations, rewards, *ends, _ = answer
        self._check_observations(observations, where)
        for agent, reward in rewards.items():
            _REWARD.check(reward, f"{where}: {agent}: reward")
        for kind, flags in zip(_PARTS[2:4], ends, strict=True):
            for agent, flag in flags.items():
                check_flag(flag, f"{where}: {agent}: {kind}")
            if missing := [agent for agent in observations if agent in acting and agent not in flags]:
                raise SpecError(f"{where}: {kind}: found nothing for {missing[0]}, which acts. {CURE}")
        self.new_step = self._full

    def _check_parts(self, answer: Any, parts: tuple[str, ...], where: str) -> None:
        if not isinstance(answer, tuple) or len(answer) != len(parts):
            raise SpecError(f"{where}: expected ({', '.join(parts)}), found a {type(answer).__name__}. {CURE}")
        for part, value in zip(parts, answer, strict=True):
            if not isinstance(value, Mapping):
                raise SpecError(f"{where}: {part}: expected one for each agent, found a {type(value).__name__}. {CURE}")
            if strange := [agent for agent in value if agent not in self._announced]:
                raise SpecError(f"{where}: {part}: {strange[0]!r} is not among possible_agents. {CURE}")

    def _check_observations(self, observations: ByAgent, where: str) -> None:
        for agent, observation in observations.items():
            self._announced[agent].check(observation, f"{where}: {agent}: observation")
