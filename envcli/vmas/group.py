"""The agents of a group of VMAS's, as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from gymnasium import spaces
from torch import Tensor

from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.specs import MultiOneHot
from envcli.specs.hot import HotSpec
from envcli.zoo.agent_group import ACTION_MASK, AgentGroup, mask_of
from envcli.zoo.play import ByAgent, Infos

__all__ = ["VmasGroup"]


class VmasGroup(AgentGroup):
    """A group whose values are batches: of each agent ``[envs, ...]``, and here ``[envs, agents, ...]``.

    Args:
        name, agents, observed, acted, shown, categorical, device: see :class:`~envcli.zoo.agent_group.AgentGroup`.
        infos: as VMAS gives them when the world is new, ``[envs]`` or ``[envs, ...]`` each; ``[envs]`` becomes ``[envs,
            1]``, as in TorchRL. What is all 0 there is told of a step, and not of a moment.
        num_envs: how many there are.
        computed: where VMAS has them.
    """

    def __init__(
        self,
        name: str,
        agents: Sequence[str],
        observed: Mapping[str, spaces.Space[Any]],
        acted: Mapping[str, spaces.Space[Any]],
        infos: Infos,
        *,
        shown: bool,
        categorical: bool,
        device: torch.device | None,
        num_envs: int,
        computed: torch.device,
    ) -> None:
        self._envs, self._blank = num_envs, torch.zeros((), device=computed)
        ones = {agent: {key: _of_one(value) for key, value in info.items()} for agent, info in infos.items()}
        super().__init__(name, agents, observed, acted, ones, shown=shown, categorical=categorical, device=device)
        first = self.acted[self.agents[0]]
        if isinstance(first, spaces.MultiDiscrete) and not categorical:  # one beside the other, as in TorchRL
            beside = MultiOneHot(first.nvec.tolist(), device=device, dtype=torch.int64)
            self.action_spec = self._composite({"action": beside.expand(*self._size, *beside.shape)})
        self._leaves = self.observation_spec.leaves()
        told = {key: [infos[agent][key] for agent in self.agents if key in infos[agent]] for key in self.info_shapes}
        self._of_steps = {key for key, values in told.items() if not any(bool(value.any()) for value in values)}

    def seen(self, observations: ByAgent, infos: Infos) -> Iterator[tuple[Key, Array]]:
        """What they are shown: path -> ``[envs, agents, ...]``. What an info lacks is 0."""
        for path, leaf in self._leaves.items():
            values = (_found(path, agent, observations, infos) for agent in self.agents)
            shape = (self._envs, *leaf.shape[1:])
            there = [
                self._blank.expand(shape) if v is None else v if v.shape == shape else v.reshape(shape) for v in values
            ]
            yield (self.name, *path), torch.stack(there, 1).numpy(force=True)

    def begun(self, observations: ByAgent, infos: Infos) -> Iterator[tuple[Key, Array]]:
        """The same after a reset, where scenarios still tell of the last step what they tell of a step."""
        kept = {agent: {k: v for k, v in infos[agent].items() if k not in self._of_steps} for agent in self.agents}
        return self.seen(observations, kept)

    def paid(self, rewards: ByAgent) -> Array:
        """What they earn, ``[envs, agents, 1]``."""
        earned = torch.stack([rewards[agent] for agent in self.agents], 1).numpy(force=True)
        return earned.reshape(self._envs, -1, 1)

    def acts(self, taken: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Agent -> its action, ``[envs, size]``, of theirs, ``[envs, agents, ...]``."""
        spec = self.action_spec["action"]
        numbers = spec.to_categorical(taken, safe=False) if isinstance(spec, HotSpec) else taken
        numbers = numbers if numbers.ndim > 2 else numbers.unsqueeze(-1)
        return zip(self.agents, numbers.unbind(1), strict=True)


def _of_one(value: Any) -> Any:  # Any: whatever a scenario tells
    """That of a single env."""
    if not isinstance(value, Tensor):
        return value
    return value[0].reshape(value.shape[1:] or (1,)).numpy(force=True)


def _found(path: Key, agent: str, observations: ByAgent, infos: Infos) -> Tensor | None:
    if path == (ACTION_MASK,):
        mask: Tensor | None = mask_of(observations, infos, agent)
        return mask
    value: Any = (infos if path[0] == "info" else observations).get(agent)
    for name in path[1:]:
        value = (value or {}).get(name)
    found: Tensor | None = value
    return found
