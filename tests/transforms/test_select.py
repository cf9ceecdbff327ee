"""SelectTransform: the entries that the user sees."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.select import SelectTransform
from envcli.transforms.step_counter import StepCounter


class TestSelected(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 3], [2]), SelectTransform("start"))


class TestNothingSelected(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(NestedEnv(4), SelectTransform())


def test_the_rest_is_gone() -> None:
    env = TransformedEnv(CountingEnv(), SelectTransform("observation", "not there"))
    assert env.observation_keys == ["observation"]
    assert set(env.rollout(2)["next"].keys()) == {"observation", "reward", "done", "terminated", "truncated"}


def test_rewards_and_flags_may_go_unless_they_are_named() -> None:
    env = TransformedEnv(CountingEnv(2), SelectTransform("done", keep_rewards=False, keep_dones=False))
    data = env.rollout(5, break_when_any_done=False)
    assert set(data["next"].keys()) == {"done"}
    assert data["next", "done"].squeeze(-1).int().tolist() == [0, 1, 0, 1, 0]
    assert set(
        TransformedEnv(CountingEnv(), SelectTransform("reward", keep_rewards=False)).rollout(2)["next"].keys()
    ) == {
        "reward",
        "done",
        "terminated",
        "truncated",
    }


def test_what_a_step_reads_stays() -> None:
    assert TransformedEnv(StatelessEnv(), SelectTransform()).observation_keys == ["position"]
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), SelectTransform("observation")))
    assert env.observation_keys == ["observation", "step_count"]


def test_groups() -> None:
    assert TransformedEnv(NestedEnv(), SelectTransform("agent")).observation_keys == [
        ("agent", "observation"),
        ("agent", "start"),
    ]
    assert TransformedEnv(NestedEnv(), SelectTransform(("agent", "start"))).observation_keys == [("agent", "start")]


def test_alone() -> None:
    names = ("a", "b", "reward", "done", "action")
    td = TensorDict({name: torch.ones(1) for name in names} | {"next": {"a": torch.ones(1), "b": torch.ones(1)}})
    assert set(SelectTransform("a")(td).keys(True, True)) == {"a", "reward", "done", ("next", "a")}
    assert set(SelectTransform("a", keep_rewards=False, keep_dones=False)(td).keys()) == {"a", "next"}
    assert set(SelectTransform("a").inv(td).keys()) == {*names, "next"}


def test_replay_is_as_in_the_env() -> None:
    env = TransformedEnv(CountingEnv(3), SelectTransform("start"))
    torch.manual_seed(0)
    env.set_seed(0)
    seen = env.rollout(3)
    torch.manual_seed(0)
    env.base_env.set_seed(0)
    assert (env.transform(env.base_env.rollout(3)) == seen).all()


def test_the_end_must_be_seen() -> None:
    with pytest.raises(TransformError, match=r"without 'done' the end of an episode cannot be detected"):
        TransformedEnv(CountingEnv(), SelectTransform("observation", keep_dones=False))
