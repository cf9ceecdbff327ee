"""CatTensors: several observations in one."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Unbounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.cat_tensors import CatTensors
from envcli.transforms.compose import Compose
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.rename import RenameTransform
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.squeeze import SqueezeTransform
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.tensordict_primer import TensorDictPrimer


class TestJoined(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), CatTensors())


class TestJoinedBeside(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(NestedEnv(4), CatTensors(del_keys=False, sort=False))


class TestWithState(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), Compose(StepCounter(4), RewardSum(), CatTensors()))


@pytest.mark.parametrize("batch", [[], [2]])
def test_side_by_side(batch: list[int]) -> None:
    base = CountingEnv(3, batch)
    base.set_seed(0)
    start = base.reset()["start"]
    env = TransformedEnv(CountingEnv(3, batch), CatTensors(["start", "observation"]))
    env.set_seed(0)
    data = env.rollout(3)
    assert env.observation_keys == ["observation_vector"]
    assert env.observation_spec["observation_vector"] == Bounded(
        torch.tensor([0.0, 0.0]).expand(*batch, 2), torch.tensor([1e6, 1.0]).expand(*batch, 2)
    )
    assert data["observation_vector"][..., 0].reshape(-1, 3).tolist()[0] == [0, 1, 2], "sorted: observation comes first"
    assert data["next", "observation_vector"][..., 0].reshape(-1, 3).tolist()[0] == [1, 2, 3]
    assert torch.equal(data["observation_vector"][..., 1], start.expand(*batch, 3))


def test_the_order_may_be_kept_and_the_parts_too() -> None:
    env = TransformedEnv(CountingEnv(3), CatTensors(["start", "observation"], "both", sort=False, del_keys=False))
    data = env.rollout(2)
    assert torch.equal(data["both"], torch.cat([data["start"], data["observation"]], -1))
    assert env.observation_keys == ["observation", "start", "both"]


def test_keys_are_sorted_by_their_parts() -> None:
    assert CatTensors(["b", ("z", "a"), ("a", "z")]).in_keys == [("a", "z"), "b", ("z", "a")]


def test_a_part_may_give_its_name() -> None:
    env = TransformedEnv(CountingEnv(3), CatTensors(out_key="observation"))
    assert env.observation_keys == ["observation"]
    assert env.rollout(2)["observation"].shape == (2, 2)


def test_what_is_state_goes_on_unseen() -> None:
    env = TransformedEnv(CountingEnv(9), Compose(RewardSum(), CatTensors(sort=False)))
    data = env.rollout(4, lambda td: td.set("action", torch.ones(1)))
    assert data["next", "observation_vector"][:, -1].tolist() == [1, 2, 3, 4]


def test_a_partial_reset() -> None:
    env = TransformedEnv(CountingEnv(99, [2]), CatTensors(["observation"]))
    td = env.step_mdp(env.rand_step(env.reset()))
    td = env.reset(td.set("_reset", torch.tensor([[False], [True]])))
    assert td["observation_vector"].tolist() == [[1], [0]]


def test_single_numbers() -> None:
    squeezed = SqueezeTransform(-1, in_keys=["start"])
    env = TransformedEnv(CountingEnv(3), Compose(squeezed, CatTensors(unsqueeze_if_oor=True)))
    assert env.transform[1].in_keys == ["observation", "start"]
    data = env.rollout(2)
    assert data["observation_vector"].shape == (2, 2)
    assert data["observation_vector"][:, 0].tolist() == [0, 1]
    plain = TransformedEnv(CountingEnv(3), Compose(squeezed.clone(), CatTensors()))
    assert plain.transform[1].in_keys == ["observation"]


def test_on_a_tensordict() -> None:
    td = TensorDict(
        {"a": torch.zeros(2, 1), "b": torch.ones(2, 2), "next": {"a": torch.ones(2, 1), "b": torch.ones(2, 2)}}, [2]
    )
    out = CatTensors(["b", "a"], "c")(td)
    assert out["c"].tolist() == [[0, 1, 1]] * 2
    assert out["next", "c"].tolist() == [[1, 1, 1]] * 2
    assert set(out.keys()) == {"c", "next"}
    flat = TensorDict({"a": torch.zeros(1), "b": torch.ones(1)})
    assert CatTensors(["a", "b"], "c", dim=-2, unsqueeze_if_oor=True)(flat)["c"].tolist() == [[0], [1]]
    assert "c" not in CatTensors(["a", "x"], "c")(TensorDict({"a": torch.zeros(1)}))


def test_mixed_types_become_one() -> None:
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), CatTensors(["observation", "step_count"])))
    assert env.observation_spec["observation_vector"].dtype == torch.float32
    env = TransformedEnv(CountingEnv(), Compose(RewardSum(), CatTensors()))
    assert env.observation_spec["observation_vector"] == Unbounded([3])


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="dim counts from the end, -1 for the last; found 0"):
        CatTensors(["a"], dim=0)
    with pytest.raises(ConfigError, match="in_keys is empty"):
        CatTensors([])
    with pytest.raises(
        TransformError, match=r"in_keys \['x'\] do not exist. The env has {'observation': \[1\], 'start'"
    ):
        TransformedEnv(CountingEnv(), CatTensors(["x", "observation"]))
    with pytest.raises(TransformError, match=r"\['observation'\] have no dimension -2. Add unsqueeze_if_oor=True"):
        TransformedEnv(CountingEnv(), CatTensors(["observation"], dim=-2))
    with pytest.raises(TransformError, match="shapes differ outside dimension -1"):
        CatTensors(["a", "b"])(TensorDict({"a": torch.zeros(2, 3, 1), "b": torch.zeros(2, 4, 1)}, [2]))


def test_bfloat16_is_joined_with_its_like_only() -> None:
    copied = DTypeCastTransform("float32", "bfloat16", ["observation"], ["short"])
    with pytest.raises(TransformError, match="cannot compute with bfloat16"):
        TransformedEnv(CountingEnv(), Compose(copied, CatTensors(["observation", "short"])))
    twice = DTypeCastTransform("float32", "bfloat16", ["observation", "start"])
    env = TransformedEnv(CountingEnv(), Compose(twice, CatTensors(["observation", "start"], del_keys=False)))
    assert env.rollout(3)["observation_vector"][:, 0].tolist() == [0, 1, 2]


def test_the_hidden_state_of_a_policy_is_no_observation() -> None:
    primer = TensorDictPrimer(hidden=Unbounded([3]))
    env = TransformedEnv(
        CountingEnv(), Compose(primer, RenameTransform(["hidden"], ["memory"], ["hidden"], ["memory"]), CatTensors())
    )
    assert env.observation_spec["observation_vector"].shape == (2,)
    assert env.reset()["memory"].shape == (3,)
    data = env.rollout(3, lambda td: td.set("action", torch.ones(1)).set(("next", "memory"), td["memory"] + 1))
    assert data["memory"][:, 0].tolist() == [0, 1, 2]
