"""Rows that an env stays bound to from one rollout to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs import kept_rows
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing.toys import CountingEnv
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.transform import Transform


class LastAction(EnvBase):
    """Shows the action before, of which it keeps what it is given, not a copy."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Unbounded(1))
        self.action_spec = Bounded(-1, 1, shape=(1,), dtype=torch.float32)
        self.reward_spec = Unbounded(1)
        self.last = torch.zeros(1)

    def _reset(self, tensordict: TensorDictBase | None, **_: Any) -> TensorDictBase:
        return TensorDict({"observation": self.last.clone()})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        done = torch.zeros(1, dtype=torch.bool)
        shown = TensorDict({"observation": self.last.clone(), "reward": torch.zeros(1), "done": done})
        self.last = tensordict["action"]
        return shown

    def _set_seed(self, seed: int | None) -> None:
        pass


class Difference(Transform):
    """Of two observations, of which it keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(in_keys=["observation"], out_keys=["difference"])
        self.before: torch.Tensor | None = None

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        difference = obs if self.before is None else obs - self.before
        self.before = obs
        return difference


def summed() -> Env:
    return TransformedEnv(CountingEnv(), RewardSum())


@pytest.fixture
def binds(monkeypatch: pytest.MonkeyPatch) -> list[RolloutBuffer]:
    """The buffers that a CountingEnv has been bound to since."""
    found: list[RolloutBuffer] = []
    bind = CountingEnv._bind
    monkeypatch.setattr(CountingEnv, "_bind", lambda env, buffer: (found.append(buffer), bind(env, buffer)))
    return found


@pytest.mark.parametrize("make", [CountingEnv, summed, lambda: SerialEnv(2, summed)], ids=["alone", "chain", "batch"])
@pytest.mark.parametrize("acts", [False, True])
def test_rollouts_of_one_length_bind_once(make: Callable[[], Env], acts: bool, binds: list[RolloutBuffer]) -> None:
    env = make()
    policy = (lambda td: env.rand_action(td).set("mine", torch.ones(env.batch_size))) if acts else None
    env.rollout(5, policy, break_when_any_done=False)
    env.rollout(5, policy, break_when_any_done=False)
    binds.clear()
    for _ in range(4):
        env.rollout(5, policy, break_when_any_done=False)
    assert not binds
    env.rollout(6, policy)
    assert binds


@pytest.mark.parametrize("make", [CountingEnv, summed, lambda: SerialEnv(2, summed)], ids=["alone", "chain", "batch"])
def test_they_are_as_if_each_had_rows_of_its_own(make: Callable[[], Env], monkeypatch: pytest.MonkeyPatch) -> None:
    made = {}
    for cheap in (2**20, 0):
        monkeypatch.setattr(kept_rows, "_CHEAP", cheap)
        env = make()
        env.set_seed(0)
        torch.manual_seed(0)
        some = env.rollout(7, break_when_any_done=False)
        found = [some, env.rollout(7), env.rollout(7, break_when_any_done=False), env.rand_step(env.reset())]
        td = env.step_mdp(some[..., -1])
        marked = env.rollout(7, lambda td, env=env: env.rand_action(td).set("mine", torch.ones(env.batch_size)))
        found += [env.rollout(7, auto_reset=False, tensordict=env.step_mdp(marked[..., -1])), marked, td]
        made[cheap] = [data.clone() for data in found], found
    for data, expected in zip(made[2**20][0], made[0][0], strict=True):
        assert set(data.keys(True, True)) == set(expected.keys(True, True))
        assert (data == expected).all()
    for data, earlier in zip(made[2**20][1], made[2**20][0], strict=True):
        assert (data == earlier).all(), "what was handed out is not written again"


@pytest.mark.parametrize(
    "keep",
    [
        lambda td: td,
        lambda td: td["observation"],
        lambda td: td["observation"][..., :1],
        lambda td: td["observation"].numpy(),
        lambda td: (td["observation"] * torch.ones(1, requires_grad=True)).exp(),
    ],
    ids=["tensordict", "tensor", "view", "array", "graph"],
)
@pytest.mark.parametrize("by", ["policy", "callback"])
def test_what_somebody_keeps_of_a_row_stays_as_it_was(keep: Callable[[TensorDictBase], Any], by: str) -> None:
    env = SerialEnv(2, CountingEnv)
    for _ in range(3):  # only then nothing is made at first use
        env.rollout(4, env.rand_action, break_when_any_done=False)
    kept, expected = [], []

    def policy(td: TensorDictBase) -> TensorDictBase:
        if by == "policy":
            kept.append(keep(td))
            expected.append(td["observation"].clone())
        return env.rand_action(td)

    def callback(_: Env, td: TensorDictBase) -> None:
        if by == "callback":
            kept.append(keep(td))
            expected.append(td["observation"].clone())

    env.rollout(4, policy, callback, break_when_any_done=False)
    torch.manual_seed(1)
    env.rollout(4, lambda td: td.update(env.full_action_spec.one()), break_when_any_done=False)
    assert kept
    for value, observation in zip(kept, expected, strict=True):
        if isinstance(value, TensorDictBase):
            value = value["observation"]
        if torch.is_tensor(value) and value.requires_grad:
            value.sum().backward()  # its graph holds the observation
            value = value.detach().log()
        assert torch.allclose(torch.as_tensor(value).expand_as(observation), observation)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_policy_kept_that_failed_stays_as_it_was(error: type[BaseException]) -> None:
    env, kept = CountingEnv(), []
    env.rollout(4, env.rand_action, break_when_any_done=False)

    def failing(td: TensorDictBase) -> TensorDictBase:
        kept.append((td["start"], td["start"].clone()))
        if len(kept) == 3:
            raise error
        return env.rand_action(td)

    with pytest.raises(error):
        env.rollout(4, failing, break_when_any_done=False)
    env.set_seed(1)
    env.rollout(4, env.rand_action, break_when_any_done=False)
    assert all(torch.equal(value, before) for value, before in kept)


@pytest.mark.parametrize("steps", [[3, 3], [1] * 6, [2, 2, 2], [2, 1, 1, 2]])
@pytest.mark.parametrize("make", [None, SerialEnv, ParallelEnv])
def test_an_env_and_a_transform_may_keep_what_they_are_given(make: Any, steps: list[int]) -> None:
    def one() -> Env:
        return TransformedEnv(LastAction(), Difference())

    def data(lengths: list[int]) -> TensorDictBase:
        env = one() if make is None else make(2, one)
        torch.manual_seed(0)
        td = env.reset()
        drawn = torch.rand(6, *env.full_action_spec["action"].shape)
        found = []
        for length in lengths:
            actions, drawn = drawn[:length], drawn[length:]
            made = env.rollout(length, actions=actions, auto_reset=False, tensordict=td, break_when_any_done=False)
            td = env.step_mdp(made[..., -1])
            found.append(made)
        env.close()
        return torch.cat(found, -1)

    whole = data([6])
    assert (whole["next", "observation"][..., 1:, :] == whole["action"][..., :-1, :]).all()
    assert (data(steps) == whole).all()
