"""CallableTransform: a function as a transform."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import SpecError, TransformError
from envcli.specs import Unbounded
from envcli.testing import check_env_specs
from envcli.testing.toys import CountingEnv
from envcli.transforms.callable_transform import CallableTransform
from envcli.transforms.compose import Compose
from envcli.transforms.step_counter import StepCounter


def more(td: TensorDictBase) -> TensorDictBase:
    if td.get("reward", None) is not None:
        td["reward"] = td["reward"] + 10
    return td.set("observation", td["observation"] + 1)


@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_function_is_called_at_resets_and_steps(batch: tuple[int, ...]) -> None:
    env = TransformedEnv(CountingEnv(2, batch), more)
    data = env.rollout(3, break_when_any_done=False)
    assert data["observation"].reshape(-1, 3)[0].tolist() == [1, 2, 1]
    assert data["next", "observation"].reshape(-1, 3)[0].tolist() == [2, 3, 2]
    assert torch.equal(data["next", "reward"], data["action"] + 10)


def test_a_tensordict_module_may_write_what_it_announces() -> None:
    twice = TensorDictModule(lambda x: 2 * x, in_keys=["observation"], out_keys=["twice"])
    env = TransformedEnv(CountingEnv(), Compose(twice, StepCounter()))
    assert env.observation_spec["twice"].shape == env.observation_spec["observation"].shape
    data = env.rollout(3)
    assert torch.equal(data["twice"], 2 * data["observation"])
    assert torch.equal(data["next", "twice"], 2 * data["next", "observation"])


def test_wherever_a_transform_can_stand() -> None:
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), more))
    env.append_transform(more).insert_transform(0, more)
    env.transform.append(more)  # type: ignore[operator]  # a Compose
    assert env.rollout(2)["observation"].flatten().tolist() == [4, 5]
    env.transform = more  # type: ignore[assignment]  # a setter takes more than a getter gives
    assert env.rollout(2)["observation"].flatten().tolist() == [1, 2]
    assert repr(env.transform) == "CallableTransform(more)"


def test_alone() -> None:
    td = TensorDict({"observation": torch.zeros(1)})
    assert CallableTransform(more)(td)["observation"] == 1
    assert CallableTransform(more).inv(td)["observation"] == 1, "the same on the way back: nothing"


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TransformError, match=r"expected a transform, found the class. Write StepCounter\(...\)"):
        Compose(StepCounter)
    with pytest.raises(TransformError, match="expected a transform, found a str"):
        TransformedEnv(CountingEnv(), "more")  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("key", ["twice", ("group", "twice")])
def test_a_function_may_add_an_entry(batch: tuple[int, ...], key: Any) -> None:
    env = TransformedEnv(CountingEnv(2, batch), Compose(lambda td: td.set(key, 2 * td["observation"]), StepCounter()))
    assert env.observation_spec[key] == Unbounded((*batch, 1))
    data = env.rollout(3, break_when_any_done=False)
    assert torch.equal(data[key], 2 * data["observation"])
    assert torch.equal(data["next", key], 2 * data["next", "observation"])
    check_env_specs(env)


def test_a_function_may_change_shapes_and_dtypes() -> None:
    def widened(td: TensorDictBase) -> TensorDictBase:
        if "reward" in td.keys():  # noqa: SIM118  # a TensorDict
            td["reward"] = td["reward"].double()
        return td.set("observation", td["observation"].expand(*td.batch_size, 3).half())

    env = TransformedEnv(CountingEnv(), widened)
    assert env.reward_spec == Unbounded(1, dtype=torch.float64)
    assert env.observation_spec["observation"] == Unbounded(3, dtype=torch.float16)
    data = env.rollout(3)
    assert (data["observation"].shape, data["observation"].dtype) == ((3, 3), torch.float16)
    assert data["next", "reward"].dtype == torch.float64
    check_env_specs(env)


def test_building_an_env_with_a_function_draws_nothing() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    TransformedEnv(CountingEnv(), lambda td: td.set("noise", torch.rand(1)))
    assert torch.equal(torch.rand(1), expected)


def test_an_entry_that_the_trial_did_not_show_is_refused() -> None:
    def late(td: TensorDictBase) -> TensorDictBase:
        return td.set("twice", 2 * td["observation"]) if td["observation"] > 0 else td

    def unfit(td: TensorDictBase) -> TensorDictBase:
        if not td["observation"]:
            raise ValueError("no zeros, please")
        return td.set("twice", 2 * td["observation"])

    for function, said in ((late, SpecError), (unfit, ValueError)):
        env = TransformedEnv(CountingEnv(), function)
        with pytest.raises(said, match=r"late\) wrote \['twice'\], .* resets and steps alike, of zeros too|no zeros"):
            env.rollout(3)


def test_a_function_may_write_into_what_it_takes_and_return_nothing() -> None:
    def twice(td: TensorDictBase) -> None:
        td["observation"] = 2 * td["observation"]

    assert TransformedEnv(CountingEnv(), twice).rollout(3)["observation"].flatten().tolist() == [0, 2, 4]
    assert CallableTransform(twice)(TensorDict({"observation": torch.ones(1)}))["observation"] == 2


def test_a_transform_of_torchrls_is_answered_with_ours() -> None:
    theirs = type("Transform", (torch.nn.Module,), {"__module__": "torchrl.envs.transforms._base"})
    for name, cure in (
        ("StepCounter", ""),
        ("TensorDictPrimer", r", envcli\.TensorDictPrimer\(envcli\.from_torchrl\(.*"),
    ):
        with pytest.raises(TransformError, match=rf"{name} is TorchRL's.* Take that of envcli{cure}, or put it around"):
            TransformedEnv(CountingEnv(), type(name, (theirs,), {})())
