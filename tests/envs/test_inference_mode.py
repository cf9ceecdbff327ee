"""An env that was used in ``torch.inference_mode`` is used outside of it, and the other way round."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from envcli.backends.gym import GymEnv
from envcli.backends.torch import TorchEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.dynamics.pendulum import Pendulum
from envcli.envs.env import Env
from envcli.testing.toys import CountingEnv
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.compose import Compose
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.vec_norm import VecNorm


def chain() -> Env:
    keys = ["observation"]
    own = Compose(StepCounter(), RewardSum(), VecNorm(in_keys=keys), CatFrames(3, -1, in_keys=keys))
    return TransformedEnv(GymEnv("Pendulum-v1"), own)


@pytest.mark.parametrize(
    "make",
    [
        CountingEnv,
        chain,
        lambda: TorchEnv(Pendulum(), batch_size=[2]),
        lambda: SerialEnv(2, chain),
        lambda: ParallelEnv(2, CountingEnv, num_workers=1),
    ],
)
@pytest.mark.parametrize("is_used_before", [False, True])
def test_both_take_turns(make: Callable[[], Env], is_used_before: bool) -> None:
    def used() -> None:
        torch.manual_seed(0)
        for steps in (3, 5, 3):
            assert env.rollout(steps, break_when_any_done=False)["next", "reward"].is_inference() is False
        td = env.reset()
        for _ in range(3):
            td = env.step_mdp(env.rand_step(td))
            assert not td["done"].is_inference()

    with make() as env:
        if is_used_before:
            used()
        with torch.inference_mode():
            assert env.rollout(5, break_when_any_done=False).shape[-1] == 5
            env.rand_step(env.reset())
        used()
        with torch.inference_mode():
            env.rollout(3)
        used()


def test_the_data_is_the_same() -> None:
    def made() -> torch.Tensor:
        env = chain()
        env.set_seed(3)
        torch.manual_seed(3)
        return env.rollout(50, break_when_any_done=False)["next", "observation"]

    expected = made()
    with torch.inference_mode():
        assert torch.equal(made(), expected)
