"""Agents that are stacked, as specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from envcli.errors import ConfigError
from envcli.gym.spaces import space_to_spec
from envcli.rows.done_family import done_family
from envcli.specs import Categorical, Composite, OneHot, TensorSpec, Unbounded
from envcli.zoo.play import ByAgent, Infos

__all__ = ["ACTION_MASK", "AgentGroup", "mask_of"]

ACTION_MASK = "action_mask"
"""The entry of an observation or an info that says which choices an agent has."""

Space = spaces.Space[Any]  # Any: whatever the values of a space are


class AgentGroup:
    """The agents of one group, whose entries are stacked in their order: ``[agents, ...]``.

    Attributes:
        observation_spec: ``observation``, ``action_mask`` ``[agents, n]``, ``mask`` ``[agents]``, ``info``: those that
            there are.
        action_spec, reward_spec, done_spec: ``action``, ``reward`` and the done family ``[agents, 1]``.
        has_action_mask: does an action mask come with the observations or infos?
        masks_choices: is it one of a choice, that restricts the action?

    Args:
        name: of the group.
        agents: of the group, in order.
        observed, acted: the spaces of each.
        infos: as a reset gives them. Numbers and arrays of numbers are shown as float32, as in TorchRL; all else is
            left out.
        shown: show the observations.
        use_mask: show who acts.
        categorical: actions that are choices are numbers and not one-hot vectors.
        device: of the specs.

    Raises:
        ConfigError: their spaces, or what an info holds of each, cannot be stacked; or have no fixed shape.
    """

    def __init__(
        self,
        name: str,
        agents: Sequence[str],
        observed: Mapping[str, Space],
        acted: Mapping[str, Space],
        infos: Infos,
        *,
        shown: bool = True,
        use_mask: bool = False,
        categorical: bool = True,
        device: torch.device | None = None,
    ) -> None:
        self.name, self.agents = name, list(agents)
        self.spaces = {agent: _without_mask(observed[agent]) for agent in agents}
        self.acted = {agent: acted[agent] for agent in agents}
        self._device, self._size = device, torch.Size([len(agents)])
        entries: dict[str, TensorSpec] = {}
        if shown:
            entries["observation"] = self._stacked(self.spaces, "observation", categorical=False)
        action = self._stacked(self.acted, "action", categorical=categorical)
        self.mask_shape = _mask_shape(observed, infos, self.agents)
        self.has_action_mask = self.mask_shape is not None
        self.masks_choices = isinstance(action, Categorical | OneHot) and self.mask_shape == (action.n,)
        if self.mask_shape is not None:
            entries[ACTION_MASK] = self._flags(self.mask_shape)
        if use_mask:
            entries["mask"] = self._flags(())
        self.info_shapes = self._of_infos(infos)
        if self.info_shapes:
            leaves = {key: Unbounded([*self._size, *shape], device=device) for key, shape in self.info_shapes.items()}
            entries["info"] = Composite(leaves, shape=self._size, device=device)
        self.observation_spec = self._composite(entries)
        self.action_spec = self._composite({"action": action})
        self.reward_spec = self._composite({"reward": Unbounded([*self._size, 1], device=device)})
        self.done_spec = done_family(self._size, device)

    def _composite(self, entries: dict[str, TensorSpec]) -> Composite:
        return Composite(entries, shape=self._size, device=self._device)

    def _flags(self, shape: tuple[int, ...]) -> Categorical:
        return Categorical(2, shape=[*self._size, *shape], dtype=torch.bool, device=self._device)

    def _stacked(self, spaces_of: Mapping[str, Space], what: str, *, categorical: bool) -> TensorSpec:
        where = f"{self.name}.{what}"
        first = spaces_of[self.agents[0]]
        for agent in self.agents[1:]:
            if _kind(spaces_of[agent]) != _kind(first):
                raise ConfigError(
                    f"group_map: {where}: {self.agents[0]} has {_short(first)}, {agent} {_short(spaces_of[agent])}, "
                    "but a group is stacked. Put them into different groups: group_map=one_group_per_agent"
                )
        space = _of_all(list(spaces_of.values()))
        if space is not None:
            return space_to_spec(space, categorical=categorical, device=self._device, where=where)
        one = space_to_spec(first, categorical=categorical, device=self._device, where=where)
        return one.expand(*self._size, *one.shape)

    def _of_infos(self, infos: Infos) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for agent in self.agents:
            for key, value in (infos.get(agent) or {}).items():
                shape = _numbers(value)
                if key == ACTION_MASK or shape is None:
                    continue
                if found.setdefault(key, shape) != shape:
                    raise ConfigError(
                        f"group_map: {self.name}.info.{key}: expected shape {found[key]}, as others have, found "
                        f"{shape} of {agent}, but a group is stacked. Put them into different groups"
                    )
        return found


def _without_mask(space: Space) -> Space:
    if isinstance(space, spaces.Dict) and ACTION_MASK in space.spaces:
        return spaces.Dict({key: inner for key, inner in space.spaces.items() if key != ACTION_MASK})
    return space


def _mask_shape(observed: Mapping[str, Space], infos: Infos, agents: list[str]) -> tuple[int, ...] | None:
    """Of the action mask of these agents; None: there is none."""
    for agent in agents:
        space = observed[agent]
        if isinstance(space, spaces.Dict) and ACTION_MASK in space.spaces:
            return tuple(space.spaces[ACTION_MASK].shape or ())
    masks = (info[ACTION_MASK] for agent in agents if ACTION_MASK in (info := infos.get(agent) or {}))
    return next((np.shape(mask) for mask in masks), None)


def mask_of(observations: ByAgent, infos: Infos, agent: str) -> Any:  # Any: an array, as the simulator has it
    """The action mask that ``agent`` was shown; None: there is none."""
    observation = observations.get(agent)
    if isinstance(observation, Mapping) and ACTION_MASK in observation:
        return observation[ACTION_MASK]
    return (infos.get(agent) or {}).get(ACTION_MASK)


def _kind(space: Space) -> object:
    """What must be the same of two spaces that are stacked: all, but for the bounds of a Box."""
    if isinstance(space, spaces.Box):
        return spaces.Box, space.shape, space.dtype
    if isinstance(space, spaces.Dict):
        return {key: _kind(inner) for key, inner in space.spaces.items()}
    return space


def _of_all(several: list[Space]) -> spaces.Box | None:
    """The space of Boxes of different bounds, stacked; None: they are equal, or no Boxes."""
    first = several[0]
    if not isinstance(first, spaces.Box) or all(space == first for space in several):
        return None
    shape = (len(several), *(first.shape or (1,)))
    low, high = ([getattr(space, bound) for space in several] for bound in ("low", "high"))
    return spaces.Box(np.stack(low).reshape(shape), np.stack(high).reshape(shape), dtype=first.dtype.type)


def _numbers(value: Any) -> tuple[int, ...] | None:
    """The shape of numbers; None: it is something else."""
    if isinstance(value, Mapping):
        return None
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):
        return None
    return array.shape if array.dtype.kind in "biuf" else None


def _short(space: Space) -> str:
    text = " ".join(str(space).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
