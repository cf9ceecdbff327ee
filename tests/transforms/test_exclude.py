"""ExcludeTransform: entries that the user does not see."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.backends.gym import GymEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.step_counter import StepCounter


class TestWithoutAnObservationThatTheEnvReads(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(2.5, [3]), ExcludeTransform("position"))


class TestWithoutACounter(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([3, 9], [2]), Compose(StepCounter(4), ExcludeTransform("step_count")))


def test_it_is_gone_everywhere() -> None:
    env = TransformedEnv(CountingEnv(3), ExcludeTransform("observation", "reward"))
    assert (env.observation_keys, env.reward_keys) == (["start"], [])
    for td in (env.rollout(2), env.rand_step(env.reset())):
        assert set(td.keys()) == {"start", "done", "terminated", "truncated", "action", "next"}
        assert set(td["next"].keys()) == {"start", "done", "terminated", "truncated"}


def test_it_costs_nothing_per_step() -> None:
    env = TransformedEnv(GymEnv("CartPole-v1"), ExcludeTransform("observation"))
    env.rollout(2)
    assert env._bound_chain.is_idle


def test_a_state_is_kept_inside() -> None:
    env = TransformedEnv(StatelessEnv(2.5), ExcludeTransform("position"))
    assert env.state_keys == ["goal"]
    data = env.rollout(9, lambda td: td.set("action", torch.ones(1)), break_when_any_done=False)
    assert data["next", "terminated"].squeeze(-1).tolist() == [False, False, True] * 3
    td = env.reset()
    for expected in (False, False, True):
        td = env.step(td.set("action", torch.ones(1)))
        assert td["next", "terminated"] == expected
        td = env.step_mdp(td)


def test_a_rollout_goes_on_from_where_the_hidden_state_is() -> None:
    env = TransformedEnv(CountingEnv(9), Compose(StepCounter(4), ExcludeTransform("step_count")))
    td = env.step_mdp(env.rand_step(env.reset()))
    data = env.rollout(9, auto_reset=False, tensordict=td)
    assert data.shape[-1] == 3, "one of four steps was made before"


def test_a_hidden_counter_still_truncates_each_env() -> None:
    env = TransformedEnv(CountingEnv([2, 9], [2]), Compose(StepCounter(3), ExcludeTransform("step_count")))
    data = env.rollout(7, break_when_any_done=False)["next"]
    assert data["truncated"].squeeze(-1).int().tolist() == [[0] * 7, [0, 0, 1, 0, 0, 1, 0]]
    assert data["done"].squeeze(-1).int().tolist() == [[0, 1, 0, 1, 0, 1, 0], [0, 0, 1, 0, 0, 1, 0]]


class TestFlags:
    def test_a_hidden_flag_does_not_stay_up(self) -> None:
        """Flags are written only where they are true, so a hidden one must be cleared before each step."""
        env = TransformedEnv(CountingEnv(2), Compose(ExcludeTransform("terminated"), StepCounter()))
        data = env.rollout(6, break_when_any_done=False)
        assert data["next", "done"].squeeze(-1).int().tolist() == [0, 1, 0, 1, 0, 1]
        assert not data["done"].any()

    def test_done_may_go_where_its_parts_stay(self) -> None:
        env = TransformedEnv(CountingEnv(2), ExcludeTransform("done"))
        data = env.rollout(6, break_when_any_done=False)
        assert "done" not in data
        assert data["observation"].squeeze(-1).tolist() == [0, 1, 0, 1, 0, 1]
        gym = TransformedEnv(GymEnv("CartPole-v1"), ExcludeTransform("done"))
        assert gym.rollout(200)["next", "terminated"].sum() == 1

    @pytest.mark.parametrize("keys", [("done", "truncated"), ("done", "terminated", "truncated")])
    def test_but_not_where_they_go_too(self, keys: tuple[str, ...]) -> None:
        with pytest.raises(
            TransformError, match=r"without 'done' the end of an episode cannot be detected. Keep it, or keep all"
        ):
            TransformedEnv(CountingEnv(), ExcludeTransform(*keys))


def test_nested_entries_and_whole_groups() -> None:
    one = TransformedEnv(NestedEnv(), ExcludeTransform(("agent", "observation")))
    assert one.observation_keys == [("agent", "start")]
    check_env_specs(one)
    group = TransformedEnv(NestedEnv(), ExcludeTransform("agent"))
    assert group.observation_keys == []
    assert set(group.rollout(2)["next"].keys()) == {"done", "terminated", "truncated"}


def test_alone() -> None:
    td = TensorDict({"a": torch.ones(2), "n": {"b": torch.ones(2), "c": torch.ones(2)}}, batch_size=[2])
    assert set(ExcludeTransform("a", ("n", "b"), "lost")(td).keys(True, True)) == {("n", "c")}
    rollout = CountingEnv().rollout(3)
    assert set(ExcludeTransform("reward", "start")(rollout)["next"].keys()) == {
        "observation",
        "done",
        "terminated",
        "truncated",
    }
    inverse = ExcludeTransform("a", inverse=True)
    assert set(inverse(td).keys()) == {"a", "n"}
    assert set(inverse.inv(td).keys()) == {"n"}
    assert set(td.keys()) == {"a", "n"}


def test_what_does_not_fit() -> None:
    with pytest.raises(TransformError, match=r"no entry 'pixels'. The env shows: done, observation, reward, start"):
        TransformedEnv(CountingEnv(), ExcludeTransform("pixels"))
    with pytest.raises(TransformError, match=r"the simulator needs 'action'"):
        TransformedEnv(CountingEnv(), ExcludeTransform("action", inverse=True))


def test_gymnasium_is_none_the_wiser() -> None:
    from envcli.backends.gym import GymWrapper

    env = TransformedEnv(GymWrapper(CountingGym(limit=3)), ExcludeTransform("terminated"))
    assert env.rollout(7, break_when_any_done=False)["next", "done"].squeeze(-1).int().tolist() == [0, 0, 1, 0, 0, 1, 0]
