"""Agents that act one after the other."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from envcli.zoo.play import Acts, Answer, ByAgent, Infos

__all__ = ["Turns"]


class Turns:
    """The play of a ``pettingzoo.AECEnv``: a step takes the action of the agent whose turn it is.

    An agent that has ended must pass when its turn comes, before it is gone; while others are there, that is done
    within the step (TorchRL 0.14 hands it an action, which PettingZoo refuses). When all have ended, nothing moves any
    more, and nobody is paid.

    Args:
        env: whose.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self._turn = ""
        self._end: Answer | None = None

    def reset(self, **options: Any) -> tuple[ByAgent, Infos]:
        """Observations and infos of a new episode."""
        self._env.reset(**options)
        self._turn, self._end = self._env.agent_selection, None
        return self._seen(), self._env.infos

    def step(self, acts: Acts, t: int) -> Answer:
        """What follows the action of row ``t`` of the one whose turn it is."""
        if self._end is not None:
            return self._end
        env = self._env  # each attribute of which is passed on by a wrapper or four, in 1 us each
        env.step(acts[self._turn](t))
        self._turn = env.agent_selection
        answer = self._seen(), env.rewards, env.terminations, env.truncations, env.infos
        return self._passed(answer) if _has_ended(self._turn, answer) else answer

    def acting(self) -> Container[str]:
        """The one whose turn it is."""
        return (self._turn,)

    def _seen(self) -> dict[str, Any]:
        observe = self._env.observe
        return {agent: observe(agent) for agent in self._env.agents}

    def _passed(self, answer: Answer) -> Answer:
        """``answer``, and it is the turn of one who has not ended, if there is one."""
        env, (observations, rewards, terminations, truncations, infos) = self._env, map(dict, answer)
        if all(_has_ended(agent, answer) for agent in env.agents):
            self._end = observations, dict.fromkeys(rewards, 0.0), terminations, truncations, infos
            return answer
        while _has_ended(self._turn, answer):
            env.step(None)
            turn = self._turn = env.agent_selection
            observations[turn], infos[turn] = env.observe(turn), env.infos[turn]  # what depends on whose turn it is
        return observations, rewards, terminations, truncations, infos


def _has_ended(agent: str, answer: Answer) -> bool:
    return bool(answer[2].get(agent) or answer[3].get(agent))
