"""Timer: how long things took."""

from __future__ import annotations

import time

import pytest
import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.testing.toys import CountingEnv
from envcli.transformed_env import TransformedEnv
from envcli.transforms.compose import Compose
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.timer import Timer

_NAP = 0.02


class Slow(CountingEnv):
    """Each step takes one nap, each reset three."""

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        time.sleep(_NAP)
        return super()._step(tensordict)

    def _reset(self, tensordict: TensorDictBase | None, **options: object) -> TensorDictBase:
        time.sleep(3 * _NAP)
        return super()._reset(tensordict, **options)


def policy(td: TensorDictBase) -> TensorDictBase:
    time.sleep(2 * _NAP)
    return td.set("action", torch.zeros([*td.batch_size, 1]))


@pytest.mark.parametrize("batch", [[], [2]])
def test_it_measures(batch: list[int]) -> None:
    env = TransformedEnv(Slow(2, batch), Timer())
    time.sleep(5 * _NAP)
    data = env.rollout(3, policy, break_when_any_done=False)
    first = data[0] if batch else data
    assert first["next", "time_step"].min() >= _NAP
    assert first["next", "time_policy"].min() >= 2 * _NAP
    assert first["next", "time_reset"].tolist() == [0, 0, 0]
    assert first["time_reset"][[0, 2]].min() >= 3 * _NAP
    assert first["time_reset"].max() < 5 * _NAP, "what came before the reset is not of the reset"
    assert first["time_reset"][1] == 0
    assert first["time_step"][[0, 2]].tolist() == first["time_policy"][[0, 2]].tolist() == [0, 0]
    assert first["time_step"][1] == first["next", "time_step"][0]


def test_its_entries_are_in_its_specs() -> None:
    env = TransformedEnv(CountingEnv(3, [2]), Timer(time_key="t"))
    data = env.rollout(5, break_when_any_done=False)
    for name in ("t_step", "t_policy", "t_reset"):
        assert env.observation_spec[name].shape == (2,)
        assert env.observation_spec[name].expand(5, 2).is_in(data[name].movedim(1, 0))
        assert data["next", name].shape == (2, 5)


def test_names() -> None:
    assert Timer().out_keys == ["time_step", "time_policy", "time_reset"]
    assert Timer(["a", "b", "c"]).out_keys == ["a", "b", "c"]
    with pytest.raises(TransformError, match=r"expected names for step, policy and reset, found out_keys \['a'\]"):
        Timer(["a"])


def test_steps_within_a_reset_leave_its_time() -> None:
    env = TransformedEnv(CountingEnv(9), Compose(Timer(), NoopResetEnv(3, random=False)))
    first = env.reset()
    assert first["time_reset"] > 0
    assert first["time_step"] == first["time_policy"] == 0
