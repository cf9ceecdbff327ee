"""Random envs, chains and pieces: a rollout of any kind of batch is what its steps by hand are."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.keys import as_user_key
from envcli.mdp import leaf_paths
from envcli.testing.toys import CountingEnv
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.frame_skip import FrameSkipTransform
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.reward_clipping import RewardClipping
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.target_return import TargetReturn
from envcli.transforms.time_max_pool import TimeMaxPool
from envcli.transforms.transform import Transform
from envcli.transforms.vec_norm import VecNorm

ENVS: dict[str, Callable[[], Env]] = {
    "cartpole": lambda: GymEnv("CartPole-v1"),
    "pendulum": lambda: GymEnv("Pendulum-v1"),
    "counting": lambda: CountingEnv(limit=4),
}
TRANSFORMS: list[Callable[[], Transform]] = [
    RewardSum,
    InitTracker,
    lambda: StepCounter(max_steps=5),
    lambda: CatFrames(3, dim=-1, in_keys=["observation"], out_keys=["frames"]),
    lambda: TimeMaxPool(["observation"], ["largest"], T=2),
    lambda: FrameSkipTransform(2),
    lambda: ObservationNorm(loc=0.5, scale=2.0, in_keys=["observation"]),
    lambda: RewardScaling(loc=1.0, scale=0.5),
    lambda: RewardClipping(-0.5, 0.5),
    lambda: TargetReturn(3.0),
    lambda: VecNorm(in_keys=["observation"], out_keys=["normal"]),
]


def steps_by_hand(env: Env, td: TensorDictBase, actions: torch.Tensor) -> TensorDictBase:
    """``[*batch, time]``, from where ``td`` stands, and what is done there from a reset on."""
    rows = []
    for action in actions:
        td = env.step(env.maybe_reset(td).set("action", action))
        rows.append(td)
        td = env.step_mdp(td)
    return torch.stack(rows, len(env.batch_size))


def acting(actions: torch.Tensor) -> Callable[[TensorDictBase], TensorDictBase]:
    left = iter(actions)
    return lambda td: td.set("action", next(left))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["alone", "serial", "one worker", "two workers"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("fork_server")
def test_pieces_of_a_rollout_are_the_steps_by_hand(seed: int, kind: str) -> None:
    draw = random.Random(f"{seed} {kind}")
    name, chain = draw.choice(list(ENVS)), draw.sample(range(len(TRANSFORMS)), draw.randrange(4))

    def one() -> Env:
        env = ENVS[name]()
        for i in chain:
            env = TransformedEnv(env, TRANSFORMS[i]())
        return env

    count = draw.randrange(2, 5)
    make = {
        "alone": one,
        "serial": lambda: SerialEnv(count, one),
        "one worker": lambda: ParallelEnv(count, one, num_workers=1),
        "two workers": lambda: ParallelEnv(count, one, num_workers=2),
    }[kind]
    with make() as env, one() if kind == "alone" else SerialEnv(count, one) as other:
        for each in (env, other):
            each.set_seed(seed)
        td, expected_td = env.reset(), other.reset()
        for _ in range(8):
            torch.manual_seed(draw.randrange(1000))
            length = draw.choice([1, 2, 5, 5, 12])
            actions = (
                env.full_action_spec["action"].rand((length,))
                if not env.batch_size
                else torch.stack([env.full_action_spec["action"].rand() for _ in range(length)])
            )
            how = draw.choice(["rollout", "rollout", "policy", "steps", "reset some"])
            if how == "reset some" and env.batch_size:
                where = torch.tensor([[draw.random() < 0.5] for _ in range(count)])
                td, expected_td = (e.reset(t.set("_reset", where)) for e, t in ((env, td), (other, expected_td)))
                continue
            expected = steps_by_hand(other, expected_td, actions)
            if how == "steps":
                data = steps_by_hand(env, td, actions)
            elif how == "policy":
                act = acting(actions)
                data = env.rollout(length, act, auto_reset=False, tensordict=td, break_when_any_done=False)
            else:
                data = env.rollout(length, actions=actions, auto_reset=False, tensordict=td, break_when_any_done=False)
            for path in leaf_paths(data):
                key = as_user_key(path)
                assert torch.equal(data[key], expected[key]), f"{name}, {chain}, {how}: {key}"
            td, expected_td = env.step_mdp(data[..., -1]), other.step_mdp(expected[..., -1])
