"""The same seed gives the same bits, whoever runs the envs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.batch.batched_env import BatchedEnv
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.seeding import seed_chain
from envcli.transforms.compose import Compose
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter

ENVS = 5
STEPS = 60


def cartpole() -> Env:
    return TransformedEnv(GymEnv("CartPole-v1"), Compose(StepCounter(max_steps=30), RewardSum()))


def pendulum() -> Env:
    return GymEnv("Pendulum-v1", frame_skip=2)


def cheetah() -> Env:
    pytest.importorskip("dm_control")
    from envcli.backends.dm_control import DMControlEnv

    return DMControlEnv("cheetah", "run")


def pong() -> Env:
    pytest.importorskip("ale_py")
    from envcli.backends.ale import ALEEnv

    env = ALEEnv.from_name("pong", repeat_action_probability=0.25, obs_type="ram", frame_skip=4)
    return TransformedEnv(env, NoopResetEnv(noops=5))


MAKERS = [cartpole, pendulum, cheetah, pong]
HEAVY = [cheetah, pong]  # each worker imports the simulator
WAYS: list[tuple[str, Callable[[Callable[[], Env]], BatchedEnv]]] = [
    ("1 worker", lambda make: ParallelEnv(ENVS, make, num_workers=1)),
    ("2 workers", lambda make: ParallelEnv(ENVS, make, num_workers=2)),
    ("3 workers", lambda make: ParallelEnv(ENVS, make, num_workers=3)),
    ("5 workers", lambda make: ParallelEnv(ENVS, make, num_workers=5)),
    ("a local worker", lambda make: ParallelEnv(ENVS, make, num_workers=2, local_worker=True)),
    ("spawn", lambda make: ParallelEnv(ENVS, make, num_workers=1, start_method="spawn")),
]


def rollout(env: Env, policy: Callable[[TensorDictBase], TensorDictBase] | None = None) -> TensorDictBase:
    env.set_seed(7)
    torch.manual_seed(1)
    return env.rollout(STEPS, policy, break_when_any_done=False)


def assert_same_bits(one: TensorDictBase, other: TensorDictBase) -> None:
    assert set(one.keys(True, True)) == set(other.keys(True, True))
    for key in one.keys(True, True):
        assert torch.equal(one[key], other[key]), key


@pytest.fixture(
    scope="module",
    params=[pytest.param(make, marks=pytest.mark.xdist_group(make.__name__), id=make.__name__) for make in MAKERS],
)
def known(request: pytest.FixtureRequest) -> Iterator[tuple[Any, TensorDictBase]]:
    """What makes an env, and the rollout of a serial batch of them."""
    with SerialEnv(ENVS, request.param) as env:
        yield request.param, rollout(env)


def test_a_batch_is_its_envs_side_by_side(known: tuple[Any, TensorDictBase]) -> None:
    make, data = known
    for i, seed in enumerate(seed_chain(7, ENVS)[:-1]):
        actions = iter(data["action"][i])
        with make() as alone:
            alone.set_seed(seed)

            def replay(td: TensorDictBase, actions: Any = actions) -> TensorDictBase:
                return td.set("action", next(actions))

            assert_same_bits(alone.rollout(STEPS, replay, break_when_any_done=False), data[i])


@pytest.mark.parametrize(("name", "way"), WAYS, ids=[name for name, _ in WAYS])
def test_any_workers_give_the_same_bits(known: tuple[Any, TensorDictBase], name: str, way: Any) -> None:
    make, data = known
    if (name == "spawn" and make is not cartpole) or (name != "3 workers" and make in HEAVY):
        pytest.skip("what is started, and how many, knows nothing of the env, and each worker takes seconds")
    with way(make) as env:
        assert_same_bits(rollout(env), data)
        assert_same_bits(rollout(env), data)


@pytest.mark.parametrize("local", [False, True], ids=["workers", "a local one"])
def test_a_message_for_each_step_gives_the_same_bits(known: tuple[Any, TensorDictBase], local: bool) -> None:
    make, data = known
    actions = data["action"].unbind(1)
    with ParallelEnv(ENVS, make, num_workers=2, local_worker=local) as env:
        asked = iter(actions)
        assert_same_bits(rollout(env, lambda td: td.set("action", next(asked))), data)
        env.set_seed(7)
        td = env.reset()
        for t, action in enumerate(actions):
            td, following = env.step_and_maybe_reset(td.set("action", action))
            for key in data.keys(True, True):
                assert torch.equal(td[key], data[:, t][key]), (t, key)
            td = following


def test_forked_workers_give_the_same_bits() -> None:
    with SerialEnv(ENVS, cartpole) as env:
        data = rollout(env)
    with ParallelEnv(ENVS, cartpole, num_workers=2, start_method="fork") as env:
        assert_same_bits(rollout(env), data)


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_the_default_dtype_of_torch_is_that_of_the_main_process(method: str) -> None:
    def make() -> Env:
        return TransformedEnv(GymEnv("Pendulum-v1"), RewardSum())

    torch.set_default_dtype(torch.float64)
    try:
        with SerialEnv(2, make) as one, ParallelEnv(2, make, num_workers=1, start_method=method) as other:
            found = []
            for env in (one, other):
                env.set_seed(0)
                found.append(env.rollout(20, actions=torch.ones(20, 2, 1, dtype=torch.float32))["next"])
    finally:
        torch.set_default_dtype(torch.float32)
    assert {data["reward"].dtype for data in found} == {torch.float64}
    assert torch.equal(*(data["episode_reward"] for data in found))
