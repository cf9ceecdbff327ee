"""gSDENoise: noise that lasts for an episode."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.gsde_noise import gSDENoise
from envcli.transforms.step_counter import StepCounter

NOISE = "_eps_gSDE"


class TestNoisy(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 3], [2]), gSDENoise(state_dim=3, action_dim=1))


def noisy(batch: list[int], **options: object) -> TransformedEnv:
    limit = [2, 3] if batch else 2
    return TransformedEnv(CountingEnv(limit, batch), gSDENoise(3, 1, **options))  # type: ignore[arg-type]


def test_it_is_drawn_at_a_reset_and_stays_for_the_episode() -> None:
    env = noisy([2])
    env.set_seed(0)
    made = env.rollout(4, break_when_any_done=False)
    first, second = made[NOISE]  # two and three steps an episode
    assert first.shape == (4, 1, 3)
    assert torch.equal(first[0], first[1])
    assert torch.equal(first[2], first[3])
    assert not torch.equal(first[1], first[2])
    assert torch.equal(second[0], second[2])
    assert not torch.equal(second[2], second[3])
    assert not torch.equal(first[0], second[0])
    assert torch.equal(made["next", NOISE], made[NOISE])


def test_it_follows_from_the_seed_of_the_env() -> None:
    drawn = []
    for _ in range(2):
        env = noisy([])
        env.set_seed(7)
        drawn.append(env.rollout(6, break_when_any_done=False)[NOISE])
    assert torch.equal(*drawn)
    assert len(drawn[0].unique()) == 9  # three episodes of three values


def test_before_that_from_the_global_generator() -> None:
    """The values are those of ``torch.randn``, as TorchRL's are."""
    env = noisy([])
    torch.manual_seed(0)
    shown = env.reset()[NOISE]
    torch.manual_seed(0)
    assert torch.equal(shown, torch.randn(1, 3))


def test_a_policy_acts_by_it() -> None:
    env = noisy([])

    def policy(td: TensorDictBase) -> TensorDictBase:
        return td.set("action", (td[NOISE] @ torch.ones(3)).clamp(-1, 1))

    made = env.rollout(2, policy)
    assert torch.equal(made["action"], made[NOISE].sum(-1).clamp(-1, 1))


@pytest.mark.parametrize("shape", [None, [2]])
def test_the_batch_stands_before_it(shape: list[int] | None) -> None:
    env = noisy([2], shape=shape)
    assert env.observation_spec[NOISE].shape == env.state_spec[NOISE].shape == (2, 1, 3)


def test_inside_a_batch_and_between_other_transforms() -> None:
    def make() -> Env:
        return TransformedEnv(CountingEnv(5), Compose(StepCounter(3), gSDENoise(3, 1), StepCounter(2, "cut", "count")))

    with SerialEnv(2, make) as env:
        env.set_seed(0)
        made = env.rollout(4, break_when_any_done=False)
    assert made[NOISE].shape == (2, 4, 1, 3)
    assert torch.equal(made[NOISE][:, 0], made[NOISE][:, 1])
    assert not torch.equal(made[NOISE][:, 1], made[NOISE][:, 2])


def test_without_a_size_it_is_one_value() -> None:
    env = TransformedEnv(CountingEnv(2), gSDENoise(default_value=2.0))
    assert env.reset()[NOISE].tolist() == [2.0]
    assert TransformedEnv(CountingEnv(2), gSDENoise(state_dim=3)).reset()[NOISE].tolist() == [0.0]


def test_what_it_was_made_with_can_be_read() -> None:
    noise = gSDENoise(3, 1)
    assert (noise.state_dim, noise.action_dim, noise.random) == (3, 1, True)
    copy = noise.clone()
    assert (copy.state_dim, copy.action_dim, copy.primers[NOISE].shape) == (3, 1, (1, 3))


def test_a_default_of_what_is_drawn_is_refused() -> None:
    with pytest.raises(ConfigError, match="default_value"):
        gSDENoise(3, 1, default_value=1.0)


def test_another_batch_than_the_envs_is_refused() -> None:
    with pytest.raises(TransformError, match="does not begin with the env's batch"):
        noisy([2], shape=[3], expand_specs=False)
