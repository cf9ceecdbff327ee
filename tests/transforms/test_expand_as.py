"""ExpandAs: an entry in the shape of another."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli import make_env
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.specs import Composite, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.expand_as import ExpandAs

REWARD = ("agents", "reward")


class Agents(CountingEnv):
    """Three agents that share what they see and when they end, and are paid each for itself."""

    def _make_specs(self) -> None:
        super()._make_specs()
        self._paid = (*self.batch_size, 3, 1)
        rewards = Composite(reward=Unbounded(self._paid), shape=self._paid[:-1])
        self.full_reward_spec = Composite(agents=rewards, shape=self.batch_size)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        made = super()._step(tensordict)
        paid = made.pop("reward").unsqueeze(-2) * torch.arange(3.0).view(3, 1)
        return made.set("agents", TensorDict({"reward": paid}, batch_size=self._paid[:-1]))


class TestFlags(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Agents([2, 5], [2], time_limit=4), ExpandAs("done", REWARD))


class TestFlagBeside(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(Agents(3), ExpandAs("terminated", REWARD, ("agents", "over")))


class TestReward(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(3, [2]), ExpandAs("reward", "observation", "paid"))


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_flag_of_an_env_is_one_for_each_agent(batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Agents(2, batch), ExpandAs("done", REWARD))
    data = env.rollout(3, break_when_any_done=False)
    for name in ("done", "terminated", "truncated"):
        assert data["next", name].shape == (*batch, 3, 3, 1)
        assert data[name].shape == (*batch, 3, 3, 1)
    plain = Agents(2, batch).rollout(3, break_when_any_done=False)
    wide = plain["next", "done"].unsqueeze(-2).expand(*batch, 3, 3, 1)
    assert torch.equal(data["next", "done"], wide)
    assert data["observation"].flatten().tolist() == plain["observation"].flatten().tolist()


def test_under_another_name_it_is_an_observation() -> None:
    env = TransformedEnv(Agents(2), ExpandAs("done", REWARD, ("agents", "done")))
    assert ("agents", "done") in env.observation_keys
    assert env.reset()["agents", "done"].flatten().tolist() == [False] * 3
    data = env.rollout(9)
    assert data["next", "done"].shape == (2, 1)
    assert data["next", "agents", "done"].squeeze(-1).tolist() == [[False] * 3, [True] * 3]


def test_observations_are_repeated_from_the_reset_on() -> None:
    data = TransformedEnv(Agents(2), ExpandAs("observation", REWARD)).rollout(9)
    assert data["observation"].squeeze(-1).tolist() == [[0] * 3, [1] * 3]
    assert data["next", "observation"].squeeze(-1).tolist() == [[1] * 3, [2] * 3]


def test_a_reward_stays_one() -> None:
    env = TransformedEnv(Agents(9), ExpandAs(REWARD, REWARD, ("agents", "again")))
    data = env.rollout(2)
    assert ("agents", "again") in env.reward_keys
    assert torch.equal(data["next", "agents", "again"], data["next", "agents", "reward"])


def test_on_data_it_is_what_the_env_shows() -> None:
    for args in (("done", REWARD), ("done", REWARD, ("agents", "done")), ("observation", REWARD)):
        wanted = TransformedEnv(Agents([2, 3], [2]), ExpandAs(*args))
        wanted.set_seed(3)
        data = wanted.rollout(4, break_when_any_done=False)
        plain = Agents([2, 3], [2])
        plain.set_seed(3)
        found = ExpandAs(*args)(plain.rollout(4, break_when_any_done=False))
        for key in ("done", "observation", args[-1], ("next", "done"), ("next", "observation"), ("next", "terminated")):
            if key != REWARD:
                assert torch.equal(found[key], data[key]), key
    assert "b" not in ExpandAs("a", "c", "b")(TensorDict({"a": torch.ones(1)}))
    named = TensorDict({"next": {"a": torch.ones(1), "c": torch.zeros(1, 2)}})
    assert ExpandAs(("next", "a"), ("next", "c"))(named)["next", "a"].tolist() == [[1, 1]]


def test_from_yaml() -> None:
    words = ["transforms.expand_as.in_key=reward", "transforms.expand_as.ref_key=observation"]
    with make_env("env=cartpole", "transforms=[expand_as]", *words) as env:
        assert env.rollout(2)["next", "reward"].tolist() == [[1] * 4] * 2


def test_misuse_is_named() -> None:
    with pytest.raises(TransformError, match=r"in_keys \['lives'\] do not exist"):
        TransformedEnv(CountingEnv(), ExpandAs("done", "lives"))
    with pytest.raises(TransformError, match=r"'agents', 'reward'\), \[3, 1\], cannot become \[1\]"):
        TransformedEnv(Agents(), ExpandAs(REWARD, "done"))
    data = TensorDict({"a": torch.ones(2), "b": torch.ones(3, 2)})
    with pytest.raises(TransformError, match=r"'a', \[2\], cannot become \[3, 2\]"):
        ExpandAs("a", "b")(data)
