from __future__ import annotations

from typing import Any

import pytest
import torch

from envcli.errors import ConfigError
from envcli.transforms.action_scaling import ActionScaling
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.reward_scaling import RewardScaling
from envcli.vocabulary import registry

SCALING: list[Any] = [ActionScaling, ObservationNorm, RewardScaling]


@pytest.mark.parametrize("scaling", SCALING)
def test_one_number_without_the_other_is_refused(scaling: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{scaling.__name__}: loc=1.0 and scale=None. Give both, or neither"):
        scaling(loc=1.0, scale=None)
    with pytest.raises(ConfigError, match=rf"^{scaling.__name__}: loc=None and scale=1.0. Give both, or neither"):
        scaling(loc=None, scale=1.0)


@pytest.mark.parametrize("scaling", SCALING)
def test_what_is_no_number_is_refused(scaling: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{scaling.__name__}: scale is 'a', expected numbers"):
        scaling(loc=1.0, scale="a")


@pytest.mark.parametrize("scaling", SCALING)
def test_numbers_are_state_of_its_own(scaling: Any) -> None:
    given = torch.tensor([1.0, 2.0], dtype=torch.float64)
    transform = scaling(loc=given, scale=[3, 4])
    given.zero_()
    assert transform.initialized
    state = transform.state_dict()
    assert (state["loc"].tolist(), state["loc"].dtype) == ([1, 2], torch.float64)
    assert (state["scale"].tolist(), state["scale"].dtype) == ([3, 4], torch.float32)


@pytest.mark.parametrize("kind", ["action_scaling", "observation_norm", "reward_scaling"])
def test_a_node_is_named(kind: str) -> None:
    with pytest.raises(ConfigError, match=rf"^transforms.{kind}: \w+: loc=1.0 and scale=None"):
        registry.construct("transforms", {"type": kind, "loc": 1.0, "scale": None}, f"transforms.{kind}")
