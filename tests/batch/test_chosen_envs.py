"""Some envs of a batch: what the batch does with them, and what it leaves alone."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.batch.chosen_envs import ChosenEnvs
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ClosedError, ConfigError, SpecError
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.toys import CountingEnv
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.vec_norm import VecNorm


class TestSome(EnvContract):
    def make_env(self) -> Env:
        return SerialEnv(4, CountingEnv)[1:3]


def pendulum() -> Env:
    return TransformedEnv(GymEnv("Pendulum-v1"), StepCounter())


@pytest.mark.parametrize(
    ("index", "places"),
    [
        (2, [2]),
        (-1, [3]),
        (slice(1, 3), [1, 2]),
        ([3, 0], [3, 0]),
        (np.array([0, 3]), [0, 3]),
        (torch.tensor([1, 3]), [1, 3]),
        (torch.tensor([True, False, True, False]), [0, 2]),
    ],
)
def test_they_are_the_envs_of_the_batch_and_no_others_move(index: Any, places: list[int]) -> None:
    with SerialEnv(4, partial(CountingEnv, limit=9)) as env:
        some = env[index]
        assert isinstance(some, ChosenEnvs)
        assert some.batch_size == torch.Size([len(places)])
        data = some.rollout(3)
        assert data["next", "observation"].flatten().tolist() == [1, 2, 3] * len(places)
        made = [3 if place in places else 0 for place in range(4)]
        assert list(env.steps_made) == made
        assert list(some.steps_made) == [3] * len(places)
        assert env.rand_step()["next", "observation"].flatten().tolist() == [n + 1 for n in made]


@pytest.mark.parametrize("kind", [SerialEnv, partial(ParallelEnv, num_workers=2)])
def test_a_batch_goes_on_from_where_they_are(kind: Any) -> None:
    with kind(3, pendulum) as env, SerialEnv(3, pendulum) as other:
        assert env.set_seed(3) == other.set_seed(3)
        td, expected = env.reset(), other.reset()
        action = torch.ones(3, 1)
        some = env[[2, 0]]
        moved = some.step(td[[2, 0]].set("action", action[:2]))
        expected = other.step(expected.set("action", action))["next"]
        for key in ("observation", "step_count", "reward"):
            assert moved["next", key].equal(expected[key][[2, 0]]), key
        td[[2, 0]] = some.step_mdp(moved).exclude("action")
        after = env.rand_step(td)["next"]
        assert after["step_count"].flatten().tolist() == [2, 1, 2]
        begun = env.reset(TensorDict({"_reset": torch.tensor([[True], [False], [False]])}, [3]))
        assert begun["observation"][1:].equal(after["observation"][1:])


def test_some_of_them_begin_anew() -> None:
    with SerialEnv(3, CountingEnv) as env:
        some = env[1:]
        td = some.step_mdp(some.rand_step(some.reset()))
        td = some.reset(td.set("_reset", torch.tensor([[False], [True]])))
        assert td["observation"].flatten().tolist() == [1, 0]
        assert list(env.steps_made) == [0, 1, 1]


def test_they_are_seeded_by_their_order() -> None:
    with SerialEnv(3, pendulum) as env, SerialEnv(2, pendulum) as two:
        assert env[[2, 0]].set_seed(5) == two.set_seed(5)
        assert env.reset()["observation"][[2, 0]].equal(two.reset()["observation"])


def test_closing_them_leaves_the_batch_open_and_not_the_other_way_round() -> None:
    env = SerialEnv(3, CountingEnv)
    with env[1:] as some:
        some.reset()
    assert some.is_closed
    assert env.rollout(2).shape == (3, 2)
    some = env[:1]
    env.close()
    with pytest.raises(ClosedError, match="the batch of these envs was closed"):
        some.reset()


def test_a_batch_is_a_row_of_them() -> None:
    with SerialEnv(2, CountingEnv) as env:
        assert [some.places for some in env] == [[0], [1]]
        check_env_specs(env[1])
        for wrong in (2, slice(2, 2), [0, 0]):
            with pytest.raises((IndexError, ConfigError)):
                env[wrong]
        assert TransformedEnv(env[1:], StepCounter()).rollout(2)["step_count"].flatten().tolist() == [0, 1]


def pair() -> Env:
    return SerialEnv(2, pendulum)


@pytest.mark.parametrize("kind", [SerialEnv, partial(ParallelEnv, num_workers=2)])
def test_they_take_as_many_seeds_as_they_are(kind: Any) -> None:
    with kind(3, pair) as env:
        following = env.set_seed(10)
        expected = env.reset()["observation"]
        assert env[:].set_seed(10) == following
        assert torch.equal(env.reset()["observation"], expected)
        assert env[1:].set_seed(10) == SerialEnv(2, pair).set_seed(10)
        assert torch.equal(env[1:].reset()["observation"], expected[:2])


@pytest.mark.parametrize("kind", [SerialEnv, partial(ParallelEnv, num_workers=2)])
def test_their_states_and_modes_are_their_own(kind: Any) -> None:
    with kind(3, lambda: TransformedEnv(GymEnv("Pendulum-v1"), VecNorm())) as env:
        env.rollout(5)
        some, whole = env[[2, 0]], deepcopy(env.state_dict())
        count = "_extra_state"
        assert list(some.state_dict()) == ["worker0", "worker1"]
        assert some.state_dict()["worker0"][count]["td"]["observation_sum"].equal(
            whole["worker2"][count]["td"]["observation_sum"]
        )
        assert some.eval().training is False
        assert list(env.transform.training) == [False, True, False]
        some.train()
        assert list(env.transform.training) == [True, True, True]
        env.rollout(5)
        some.load_state_dict({"worker0": whole["worker2"]}, strict=False)
        sums = [state[count]["td"]["observation_sum"] for state in env.state_dict().values()]
        assert [total.equal(whole[f"worker{i}"][count]["td"]["observation_sum"]) for i, total in enumerate(sums)] == [
            False,
            False,
            True,
        ]
        with pytest.raises(SpecError, match="expected the states of 2 envs"):
            some.load_state_dict({"worker0": whole["worker2"]})
