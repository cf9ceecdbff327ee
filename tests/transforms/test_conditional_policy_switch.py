"""ConditionalPolicySwitch: an opponent that moves in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule

from envcli import make_env
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, EnvError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.conditional_policy_switch import ConditionalPolicySwitch
from envcli.transforms.rename import RenameTransform
from envcli.transforms.step_counter import StepCounter
from tests.envs.by_hand import by_hand


def backwards(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", torch.full((1,), -1.0))


def forwards(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", torch.full((1,), 1.0))


def odd(td: TensorDictBase) -> torch.Tensor:
    return td["observation"] % 2 == 1


class TestIt(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(7), Compose(ConditionalPolicySwitch(backwards, odd), StepCounter()))


def counted(limit: int) -> Env:
    switch = ConditionalPolicySwitch(backwards, odd)
    return TransformedEnv(
        CountingEnv(limit), Compose(StepCounter(step_count_key="all"), switch, StepCounter(step_count_key="own"))
    )


def test_the_other_one_moves_in_between() -> None:
    data = counted(99).rollout(4, forwards)
    assert data["observation"].flatten().tolist() == [0, 2, 4, 6]
    assert data["next", "observation"].flatten().tolist() == [2, 4, 6, 8]
    assert data["action"].flatten().tolist() == [1] * 4
    assert data["next", "reward"].flatten().tolist() == [-1] * 4
    assert data["all"].flatten().tolist() == [0, 2, 4, 6]
    assert data["own"].flatten().tolist() == [0, 1, 2, 3]


def test_nobody_moves_after_the_end() -> None:
    data = counted(5).rollout(9, forwards)
    assert data["next", "observation"].flatten().tolist() == [2, 4, 5]
    assert data["next", "reward"].flatten().tolist() == [-1, -1, 1]
    assert data["next", "done"].flatten().tolist() == [False, False, True]
    assert counted(4).rollout(9, forwards)["next", "done"].flatten().tolist() == [False, True]


def test_by_hand_it_is_the_same() -> None:
    env = counted(5)
    env.set_seed(0)
    data = env.rollout(5, forwards, break_when_any_done=False)
    env.set_seed(0)
    together = by_hand(env, forwards, 5)
    for key in data.keys(True, True):
        assert torch.equal(data[key], together[key]), key


def test_it_may_have_the_first_move() -> None:
    env = TransformedEnv(CountingEnv(9), ConditionalPolicySwitch(backwards, lambda td: not odd(td)))
    assert env.reset()["observation"].item() == 1
    data = env.rollout(3, forwards)
    assert data["observation"].flatten().tolist() == [1, 3, 5]
    assert not data["done"].any()


def test_an_episode_that_ends_before_the_user_begins_is_begun_again() -> None:
    class FirstOver(CountingEnv):
        resets = 0

        def _reset(self, tensordict: TensorDictBase | None, **options: object) -> TensorDictBase:
            self.resets += 1
            self.limit = torch.tensor([1 if self.resets % 3 else 9])
            return super()._reset(tensordict, **options)

    env = TransformedEnv(base := FirstOver(), ConditionalPolicySwitch(backwards, lambda td: td["observation"] == 0))
    td = env.reset()
    assert (td["observation"].item(), td["done"].item(), base.resets) == (1, False, 3)
    hopeless = TransformedEnv(CountingEnv(1), ConditionalPolicySwitch(backwards, lambda td: True))
    with pytest.raises(EnvError, match="has ended 100 episodes before their first step"):
        hopeless.reset()


def test_a_module_with_the_names_that_the_env_shows() -> None:
    module = TensorDictModule(lambda x: -x / 8, in_keys=["seen"], out_keys=["move"])
    names = RenameTransform(["observation"], ["seen"], ["action"], ["move"])
    env = TransformedEnv(
        CountingEnv(9), Compose(names, ConditionalPolicySwitch(module, lambda td: td["seen"] % 2 == 1))
    )
    data = env.rollout(3)
    assert data["seen"].flatten().tolist() == [0, 2, 4]
    assert data["next", "reward"].flatten().tolist() == [-1 / 8, -3 / 8, -5 / 8]


def test_the_envs_of_a_batch_have_one_each() -> None:
    def make() -> Env:
        return TransformedEnv(CountingEnv(9), ConditionalPolicySwitch(backwards, odd))

    with SerialEnv(2, make) as env:
        assert env.rollout(3)["observation"].squeeze(-1).tolist() == [[0, 2, 4]] * 2
    with pytest.raises(TransformError, match=r"steps a single env, found a batch \[2\]. Put it into each env"):
        TransformedEnv(CountingEnv(batch_size=[2]), ConditionalPolicySwitch(backwards, odd))


def test_a_name_from_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "opponents.py").write_text(
        "import torch\n\ndef idle(td):\n    td['action'] = torch.zeros(1)\n\ndef always(td):\n    return True\n"
    )
    monkeypatch.chdir(tmp_path)
    words = ["env=pendulum", "transforms=[step_counter,conditional_policy_switch,traj_counter]"]
    where = "transforms.conditional_policy_switch"
    words += [f"{where}.policy=opponents:idle", f"{where}.condition=opponents:always", "allow_imports=true"]
    with make_env(*words) as env:
        assert env.rollout(3)["step_count"].flatten().tolist() == [1, 3, 5]


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match="condition: expected a function that takes a TensorDict, found 3"):
        ConditionalPolicySwitch(backwards, 3)  # type: ignore[arg-type]
    with pytest.raises(TransformError, match="makes steps of an env: add it to one"):
        ConditionalPolicySwitch(backwards, odd)(TensorDict({}))
    silent = TransformedEnv(CountingEnv(), ConditionalPolicySwitch(lambda td: td, odd))
    with pytest.raises(TransformError, match="the policy wrote no 'action'"):
        silent.rollout(3)
    wild = ConditionalPolicySwitch(lambda td: td.set("action", torch.full((1,), torch.nan)), odd)
    with pytest.raises(ActionError):
        TransformedEnv(CountingEnv(), wild).rollout(3)
    assert repr(ConditionalPolicySwitch(backwards, odd)) == "ConditionalPolicySwitch(policy=backwards, condition=odd)"
