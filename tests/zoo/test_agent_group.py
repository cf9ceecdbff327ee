from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from envcli.errors import ConfigError
from envcli.specs import Bounded, Categorical, OneHot
from envcli.zoo.agent_group import AgentGroup

AGENTS = ["a", "b"]
BOX = spaces.Box(-1, 1, (2, 3), np.float32)


def group(observed: Any = BOX, acted: Any = None, infos: Any = None, **options: Any) -> AgentGroup:
    """The group of both agents, which have one space, or a list of two."""
    both = [
        dict(zip(AGENTS, given if isinstance(given, list) else [given] * 2, strict=True))
        for given in (observed, acted or spaces.Discrete(4))
    ]
    return AgentGroup("team", AGENTS, *both, infos or {}, **options)


def test_what_agents_have_alike_is_stacked() -> None:
    found = group(use_mask=True)
    assert {key: leaf.shape for key, leaf in found.observation_spec.items()} == {"observation": (2, 2, 3), "mask": (2,)}
    assert found.observation_spec.shape == found.reward_spec.shape == found.done_spec.shape == (2,)
    assert found.action_spec["action"] == Categorical(4, shape=[2])
    assert found.reward_spec["reward"].shape == found.done_spec["truncated"].shape == (2, 1)
    assert group(categorical=False).action_spec["action"] == OneHot(4, shape=[2, 4], dtype=torch.int64)
    assert group(shown=False).observation_spec.is_empty()


def test_bounds_may_differ_and_nothing_else() -> None:
    found = group([spaces.Box(0, 1, (3,), np.float32), spaces.Box(-2, 5, (3,), np.float32)])
    shown = found.observation_spec["observation"]
    assert isinstance(shown, Bounded)
    assert shown.low[:, 0].tolist() == [0, -2]
    assert shown.high[:, 0].tolist() == [1, 5]
    scalars = group([spaces.Box(0, 1, (), np.float32), spaces.Box(0, 2, (), np.float32)])
    assert scalars.observation_spec["observation"].shape == (2, 1)
    for other in (spaces.Box(-1, 1, (2, 4), np.float32), spaces.Box(-1, 1, (2, 3), np.float64), spaces.Discrete(2)):
        with pytest.raises(ConfigError, match=r"group_map: team.observation: a has Box.*, b .* into different groups"):
            group([BOX, other])
    with pytest.raises(ConfigError, match=r"group_map: team.action: a has Discrete\(2\), b Discrete\(3\)"):
        group(acted=[spaces.Discrete(2), spaces.Discrete(3)])


def test_an_action_mask_is_taken_out_of_observations() -> None:
    space = spaces.Dict({"action_mask": spaces.Box(0, 1, (4,), np.int8), "board": BOX})
    found = group(space)
    assert found.has_action_mask
    assert found.masks_choices
    assert list(found.observation_spec.keys(True, True)) == [("observation", "board"), "action_mask"]
    assert found.observation_spec["observation"].shape == (2,)
    assert found.observation_spec["action_mask"] == Categorical(2, shape=[2, 4], dtype=torch.bool)
    assert list(found.spaces["a"].spaces) == ["board"]


def test_an_action_mask_may_be_in_infos() -> None:
    found = group(infos={"a": {"action_mask": np.ones(4), "score": 3, "name": "ann"}, "b": {"score": 1.5}})
    assert found.masks_choices
    assert found.observation_spec["action_mask"].shape == (2, 4)
    assert found.info_shapes == {"score": ()}
    assert found.observation_spec["info", "score"].shape == (2,)
    assert found.observation_spec["info", "score"].dtype == torch.float32


def test_a_mask_of_something_else_than_choices_is_only_shown() -> None:
    found = group(acted=spaces.Box(-1, 1, (2,), np.float32), infos={"a": {"action_mask": [1, 0]}})
    assert found.has_action_mask
    assert not found.masks_choices


def test_infos_of_different_shapes_cannot_be_stacked() -> None:
    with pytest.raises(ConfigError, match=r"team.info.x: expected shape \(2,\), as others have, found \(\) of b"):
        group(infos={"a": {"x": [1, 2]}, "b": {"x": 1}})
