"""Agents that act all at once."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from envcli.zoo.play import Acts, Answer, ByAgent, Infos

__all__ = ["Rounds"]


class Rounds:
    """The play of a ``pettingzoo.ParallelEnv``: a step takes the actions of all agents that are there.

    Args:
        env: whose.
        repeat: how often each action is repeated. Rewards are summed; an agent that ends on the way shows what it was
            shown last, and an end of the episode ends the repetition.
        until_any: any agent's end is that of the episode, and not only that of all.
    """

    def __init__(self, env: Any, repeat: int, until_any: bool) -> None:
        self._env, self._repeat, self._until_any = env, repeat, until_any

    def reset(self, **options: Any) -> tuple[ByAgent, Infos]:
        """Observations and infos of a new episode."""
        answer: tuple[ByAgent, Infos] = self._env.reset(**options)
        return answer

    def step(self, acts: Acts, t: int) -> Answer:
        """What follows the actions of row ``t`` of all that are there."""
        env = self._env
        actions = {agent: acts[agent](t) for agent in env.agents}
        answer: Answer = env.step(actions)
        for _ in range(1, self._repeat):
            if self._is_over(answer):
                break
            answer = _after(answer, env.step({agent: actions[agent] for agent in env.agents}))
        return answer

    def acting(self) -> Container[str]:
        """All that are there."""
        agents: Container[str] = self._env.agents
        return agents

    def _is_over(self, answer: Answer) -> bool:
        over = any(answer[2].values()) or any(answer[3].values())
        return not self._env.agents or (self._until_any and over)


def _after(before: Answer, answer: Answer) -> Answer:
    """Two steps as one: what the later says, and of those that are gone by then the earlier."""
    rewards = {**before[1], **{agent: before[1].get(agent, 0) + reward for agent, reward in answer[1].items()}}
    observations, terminations, truncations, infos = ({**before[i], **answer[i]} for i in (0, 2, 3, 4))
    return observations, rewards, terminations, truncations, infos
