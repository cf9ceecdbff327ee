"""CallableTransform: a function as a transform."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import SpecError, TransformError
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


def test_an_entry_that_no_spec_names_is_refused() -> None:
    env = TransformedEnv(CountingEnv(), lambda td: td.set("twice", 2 * td["observation"]))
    with pytest.raises(SpecError, match=r"<lambda>\) wrote \['twice'\], which .* write a Transform with _apply_tr"):
        env.rollout(2)


def test_a_function_may_write_into_what_it_takes_and_return_nothing() -> None:
    def twice(td: TensorDictBase) -> None:
        td["observation"] = 2 * td["observation"]

    assert TransformedEnv(CountingEnv(), twice).rollout(3)["observation"].flatten().tolist() == [0, 2, 4]
    assert CallableTransform(twice)(TensorDict({"observation": torch.ones(1)}))["observation"] == 2
