"""Timer: how long things took."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import TransformError
from envcli.testing import check_env_specs
from envcli.testing.toys import CountingEnv
from envcli.transforms import timer
from envcli.transforms.compose import Compose
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.rename import RenameTransform
from envcli.transforms.timer import Timer


class Clock:
    """Shows the seconds that were spent, in quarters, so that sums are exact."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(timer, "perf_counter", found)
    return found


class Slow(CountingEnv):
    """Each step takes a quarter of a second, each reset three."""

    def __init__(self, clock: Clock, batch: list[int]) -> None:
        super().__init__(2, batch)
        self.clock = clock

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.clock.seconds += 0.25
        return super()._step(tensordict)

    def _reset(self, tensordict: TensorDictBase | None, **options: object) -> TensorDictBase:
        self.clock.seconds += 0.75
        return super()._reset(tensordict, **options)


@pytest.mark.parametrize("batch", [[], [2]])
def test_it_measures(batch: list[int], clock: Clock) -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        clock.seconds += 0.5
        return td.set("action", torch.zeros([*td.batch_size, 1]))

    env = TransformedEnv(Slow(clock, batch), Timer())
    clock.seconds += 10  # what came before the reset is not of the reset
    data = env.rollout(3, policy, break_when_any_done=False)
    for one in data.unbind(0) if batch else [data]:
        assert one["next", "time_step"].tolist() == [0.25, 0.25, 0.25]
        assert one["next", "time_policy"].tolist() == [0.5, 0.5, 0.5]
        assert one["next", "time_reset"].tolist() == [0, 0, 0]
        assert one["time_reset"].tolist() == [0.75, 0, 0.75]
        assert one["time_step"].tolist() == [0, 0.25, 0]
        assert one["time_policy"].tolist() == [0, 0.5, 0]


def test_its_clock_goes_by_itself() -> None:
    env = TransformedEnv(CountingEnv(3), Timer())
    data = env.rollout(3)
    assert data["time_reset"][0] > 0
    assert data["next", "time_step"].min() > 0
    assert data["next", "time_policy"].min() >= 0


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


@pytest.mark.parametrize("batched", [False, True])
def test_an_env_with_a_timer_keeps_its_promises(batched: bool) -> None:
    def make() -> TransformedEnv:
        renamed = RenameTransform(["time_step"], ["seconds"])
        return TransformedEnv(CountingEnv(3), Compose(Timer(), renamed))

    check_env_specs(SerialEnv(2, make) if batched else make())
