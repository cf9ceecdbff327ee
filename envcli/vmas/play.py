"""An env of VMAS as it is played: what its agents do, and what each group then sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.vmas.chance import Chance
from envcli.vmas.group import VmasGroup
from envcli.zoo.play import ByAgent, Infos

__all__ = ["Values", "VmasPlay"]

Values = dict[Key, Array]
"""Entry -> ``[num_envs, ...]``."""


class VmasPlay:
    """Resets and steps ``env``, whose random numbers are its own: see :class:`~envcli.vmas.chance.Chance`.

    Args:
        env: a ``vmas.simulator.environment.Environment``.
        repeat: how often actions are repeated. An env that is done on the way is stepped along, keeps what it showed at
            its end, and earns nothing more.

    Attributes:
        agents: the names of all agents, in VMAS's order.
        groups: what their values are shown as; none before somebody says so.
    """

    def __init__(self, env: Any, repeat: int) -> None:  # Any: of a library that is there for some only
        self.agents = [agent.name for agent in env.agents]
        self.groups: Sequence[VmasGroup] = ()
        self._env, self._repeat = env, repeat
        self._chance = Chance(None, env.device)
        self._next_seed: int | None = None

    def seed(self, seed: int | None) -> None:
        """Let the next reset of all envs draw from ``seed``; None: go on."""
        self._next_seed = seed

    def reset(self, where: Array | None) -> Values:
        """What is shown, of all envs, after new episodes in those ``where``, ``[num_envs]`` bool; None: in all."""
        if where is None and self._next_seed is not None:
            self._chance.seed(self._next_seed)
            self._next_seed = None
        with self._chance.drawn():
            if where is None:
                self._env.reset(return_observations=False)
            else:
                for i in where.nonzero()[0].tolist():
                    self._env.reset_at(i, return_observations=False)
        return self._of_groups(VmasGroup.begun, *map(self.by_agent, self._look(observations=True)))

    def step(self, acts: Mapping[str, Tensor]) -> tuple[Values, Array, Array]:
        """What the actions ``acts``, ``[num_envs, size]`` of each agent, show and pay; who is terminated and truncated.

        The flags are ``[num_envs]``; where VMAS does not tell the two apart, both are the same.
        """
        actions = [acts[agent] for agent in self.agents]
        values, terminated, truncated = self._once(actions)
        for _ in range(1, self._repeat):
            ended = terminated | truncated
            if ended.all():
                break
            later, *ends = self._once(actions)
            for path, value in later.items():
                _go_on(path, values[path], value, ended)
            terminated, truncated = terminated | (ends[0] & ~ended), truncated | (ends[1] & ~ended)
        return values, terminated, truncated

    def _once(self, actions: list[Tensor]) -> tuple[Values, Array, Array]:
        with self._chance.drawn():
            observations, rewards, *ends, infos = self._env.step(list(actions))
        paid = self.by_agent(rewards)
        values = self._of_groups(VmasGroup.seen, self.by_agent(observations), self.by_agent(infos))
        values.update({(group.name, "reward"): group.paid(paid) for group in self.groups})
        terminated, truncated = (end.numpy(force=True) for end in (ends[0], ends[-1]))
        return values, terminated, truncated

    def infos(self) -> Infos:
        """What the scenario tells now, of each agent."""
        return self.by_agent(self._look()[0])

    def frames(self) -> list[Any]:
        """A frame of each env, ``[height, width, 3]``."""
        with self._chance.drawn():
            return [self._env.render(mode="rgb_array", env_index=i).copy() for i in range(self._env.num_envs)]

    def by_agent(self, values: Any) -> ByAgent:  # Any: a list of all agents', or with dict_spaces a dict
        """``values`` of all agents, by their names."""
        return values if isinstance(values, Mapping) else dict(zip(self.agents, values, strict=True))

    def _look(self, observations: bool = False) -> list[Any]:
        with self._chance.drawn():
            found: list[Any] = self._env.get_from_scenario(
                get_observations=observations, get_rewards=False, get_infos=True, get_dones=False
            )
        return found

    def _of_groups(
        self, look: Callable[[VmasGroup, ByAgent, Infos], Iterable[tuple[Key, Array]]], *by_agent: Any
    ) -> Values:
        return {path: value for group in self.groups for path, value in look(group, *by_agent)}


def _go_on(path: Key, value: Array, later: Array, ended: Array) -> None:
    """``value`` becomes what it is after one more step, in the envs that have not ``ended``."""
    if path[1:] == ("reward",):
        value[~ended] += later[~ended]
    else:
        value[~ended] = later[~ended]
