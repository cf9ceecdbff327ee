"""Stated: what TorchRL keeps in buffers is in state_dict under its names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import TransformError
from envcli.testing.toys import CountingEnv
from envcli.transforms.action_discretizer import ActionDiscretizer
from envcli.transforms.action_scaling import ActionScaling
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.clip import ClipTransform
from envcli.transforms.compose import Compose
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.reward_clipping import RewardClipping
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.time_max_pool import TimeMaxPool
from envcli.transforms.transform import Transform


def numbers(transform: Transform) -> dict[str, object]:
    return {name: value.tolist() for name, value in transform.state_dict().items()}


def test_the_names_are_those_of_torchrl() -> None:
    scaling = {"loc": 1, "scale": 2, "standard_normal": False}
    assert numbers(RewardScaling(1.0, 2.0)) == scaling
    assert numbers(ObservationNorm(1.0, 2.0, standard_normal=True)) == scaling | {"standard_normal": True}
    assert numbers(RewardClipping(-1, 0.5)) == {"clamp_min": -1, "clamp_max": 0.5}
    assert numbers(ClipTransform(["observation"], low=-1.0)) == {"low": -1}
    assert numbers(ActionScaling(loc=1.0, scale=2.0)) == {"loc": 1, "scale": 2}
    assert numbers(ActionDiscretizer(4)) == {}
    env = TransformedEnv(CountingEnv(), ActionDiscretizer(4))
    assert numbers(env.transform) == {"nvec": [4], "intervals": [[-0.75, -0.25, 0.25, 0.75]]}


def test_a_chain_takes_the_numbers_of_another() -> None:
    env = TransformedEnv(CountingEnv(), Compose(RewardScaling(0.0, 1.0), RewardClipping(-1, 1)))
    other = Compose(RewardScaling(1, 2, standard_normal=True), RewardClipping(-0.75, -0.25))
    env.load_state_dict(other.state_dict())
    assert env.reward_spec.space.low == -0.75
    data = env.rollout(5)
    assert torch.allclose(data["next", "reward"], ((data["action"] - 1) / 2).clamp(-0.75, -0.25))


def test_limits_are_kept_exactly() -> None:
    clip = RewardClipping(-1, 1)
    clip.load_state_dict(RewardClipping(-0.1, 0.3).state_dict())
    assert (clip.low, clip.high) == (-0.1, 0.3)


def test_whole_numbers_become_floats() -> None:
    scaling = RewardScaling(0.0, 1.0)
    scaling.load_state_dict({"loc": torch.tensor(1), "scale": torch.tensor(2), "standard_normal": torch.tensor(False)})
    assert scaling.loc is not None
    assert scaling.loc.dtype == torch.float32


def test_what_does_not_fit_is_said() -> None:
    clip = RewardClipping(-1, 1)
    with pytest.raises(RuntimeError, match=r"clamp_min must not exceed clamp_max, found 3\.0 and 1"):
        clip.load_state_dict({"clamp_min": torch.tensor(3.0)})
    assert (clip.low, clip.high) == (-1, 1)
    with pytest.raises(RuntimeError, match=r'Unexpected key.*"lowest"'):
        clip.load_state_dict({"lowest": torch.tensor(3.0)})
    env = TransformedEnv(CountingEnv(), ActionDiscretizer(4))
    other = TransformedEnv(CountingEnv(), ActionDiscretizer(3))
    with pytest.raises(RuntimeError, match=r"nvec is \[4\] here, but \[3\] in the loaded state"):
        env.load_state_dict(other.state_dict())


def test_an_action_scaling_keeps_what_was_loaded() -> None:
    scaling = ActionScaling()
    scaling.load_state_dict({"loc": torch.tensor([0.5]), "scale": torch.tensor([0.25])})
    env = TransformedEnv(GymEnv("Pendulum-v1"), scaling)
    assert numbers(env.transform) == {"loc": [0.5], "scale": [0.25]}
    assert env.action_spec.space.high == 1, "as in TorchRL"


def test_frames_of_an_episode_that_is_over_are_left() -> None:
    for transform, name in (
        (CatFrames(2, -1, ["observation"]), "_cat_buffers_observation"),
        (TimeMaxPool(["observation"], T=2), "_maxpool_buffer_observation"),
    ):
        transform.load_state_dict({name: torch.full((2,), 9.0)})
        assert 9.0 not in TransformedEnv(CountingEnv(), transform).rollout(2)["observation"]


@pytest.mark.parametrize("make", [lambda: ObservationNorm(0.0, 2.0), lambda: RewardScaling(0.0, 2.0)])
def test_numbers_that_do_not_fit_the_env_change_nothing(make: Callable[[], Transform]) -> None:
    env = TransformedEnv(CountingEnv(batch_size=[2]), Compose(StepCounter(), make()))
    before = env.transform[1].state_dict()  # type: ignore[index]  # a Compose
    lost = {"transforms.1.loc": torch.zeros(3, 1), "transforms.1.scale": torch.ones(3, 1)}
    with pytest.raises(TransformError, match="does not fit an env"):
        env.load_state_dict({**lost, "transforms.1.standard_normal": torch.tensor(True)})
    after = env.transform[1].state_dict()  # type: ignore[index]
    assert {name: after[name] for name in before} == before
    assert env.rollout(2).shape == (2, 2)


def test_limits_that_do_not_fit_the_env_change_nothing() -> None:
    env = TransformedEnv(CountingEnv(), ClipTransform(in_keys=[], in_keys_inv=["action"], low=-1.0, high=1.0))
    with pytest.raises(RuntimeError, match=r"high=2\.0 is outside the simulator's range"):
        env.load_state_dict({"low": torch.tensor(-1.0), "high": torch.tensor(2.0)})
    assert env.transform.state_dict() == {"low": -1, "high": 1}
    assert env.rollout(2).shape == (2,)
