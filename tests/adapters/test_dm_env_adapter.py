"""One env of ours as dm_env's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

dm_env = pytest.importorskip("dm_env")
test_utils = pytest.importorskip("dm_env.test_utils")
absltest = pytest.importorskip("absl.testing.absltest")

import envcli  # noqa: E402
from envcli import ActionError, ConfigError, GymEnv, GymWrapper, SerialEnv  # noqa: E402
from envcli.dm.specs import dm_spec_to_spec, spec_to_dm_spec  # noqa: E402
from envcli.specs import Bounded, Categorical, Composite, MultiOneHot, OneHot, Unbounded  # noqa: E402
from envcli.testing.gym_toys import CountingGym, ExoticGym  # noqa: E402
from tests.adapters.same import assert_same  # noqa: E402


class TestCheetah(test_utils.EnvironmentTestMixin, absltest.TestCase):  # type: ignore[misc]
    """dm_env's own promises, of a simulator of its own."""

    def make_object_under_test(self) -> Any:
        return envcli.as_dm_env("env=cheetah_run", "transforms=[step_counter]", "transforms.step_counter.max_steps=7")


class TestCartPole(test_utils.EnvironmentTestMixin, absltest.TestCase):  # type: ignore[misc]
    """Of one of gymnasium's."""

    def make_object_under_test(self) -> Any:
        return envcli.as_dm_env("env=cartpole", "seed=1")


class TestEverySpace(test_utils.EnvironmentTestMixin, absltest.TestCase):  # type: ignore[misc]
    """Of one with every kind of space."""

    def make_object_under_test(self) -> Any:
        return envcli.as_dm_env(GymWrapper(ExoticGym()))


def test_it_is_the_native_env_bit_for_bit() -> None:
    suite = pytest.importorskip("dm_control.suite")
    native = suite.load("walker", "walk", {"random": 3})
    with envcli.as_dm_env("backend=dm_control", "backend.name=walker-walk", "seed=3") as env:
        assert env.observation_spec() == native.observation_spec()
        assert env.action_spec() == native.action_spec()
        assert env.reward_spec() == native.reward_spec()
        assert env.discount_spec() == native.discount_spec()
        one, other = env.reset(), native.reset()
        generator = np.random.default_rng(0)
        for _ in range(20):
            assert_same(one.observation, dict(other.observation))
            action = generator.uniform(-1, 1, 6)
            one, other = env.step(action), native.step(action)
            assert (one.step_type, one.reward, one.discount) == (other.step_type, other.reward, other.discount)


def test_an_episode_ends_by_itself_or_by_the_clock() -> None:
    for limit, discount in ((2, 0.0), (9, 1.0)):
        with envcli.as_dm_env(GymWrapper(CountingGym(limit, time_limit=4))) as env:
            steps = [env.step(0)]
            while not steps[-1].last():
                steps.append(env.step(0))
            assert steps[0].first()
            assert len(steps) == min(limit, 4) + 1
            assert [step.discount for step in steps[1:]] == [1.0] * (len(steps) - 2) + [discount]
            assert env.step(0).first()


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a single one"):
        envcli.as_dm_env(SerialEnv(2, lambda: GymEnv("CartPole-v1")))
    with envcli.as_dm_env("env=cartpole") as env:
        env.reset()
        with pytest.raises(ActionError, match="from 0 to 1, found 2"):
            env.step(2)


@pytest.mark.parametrize(
    "spec",
    [
        Bounded(-1, 1, shape=[2]),
        Unbounded([2, 3]),
        OneHot(4),
        Composite(a=Composite(b=Unbounded(1)), c=Bounded(0, 5, shape=[1])),
    ],
    ids=lambda spec: type(spec).__name__,
)
def test_a_spec_comes_back_from_dm_envs(spec: Any) -> None:
    there = spec_to_dm_spec(spec)
    back = dm_spec_to_spec(there)
    assert spec_to_dm_spec(back) == there


def test_several_choices_are_bounded_numbers() -> None:
    there = spec_to_dm_spec(MultiOneHot([2, 3]), "pair")
    assert (there.shape, there.minimum.tolist(), there.maximum.tolist()) == ((2,), 0, [1, 2])
    assert spec_to_dm_spec(Categorical(5)).num_values == 5


def test_the_way_in() -> None:
    suite = pytest.importorskip("dm_control.suite")
    with envcli.from_dm_env(suite.load("cartpole", "swingup"), frame_skip=2) as env:
        assert env.rollout(3).shape == (3,)
        assert env.frame_skip == 2


def test_a_copy_goes_its_own_way() -> None:
    with envcli.as_dm_env("env=pendulum") as env:
        env.reset()
        env.step(np.ones(1, np.float32))
        twin = copy.deepcopy(env)
        ahead = [twin.step(np.zeros(1, np.float32)) for _ in range(3)]
        for expected in ahead:
            assert env.step(np.zeros(1, np.float32)).observation.tolist() == expected.observation.tolist()
        assert len({str(moment.observation) for moment in ahead}) == 3
        twin.close()
