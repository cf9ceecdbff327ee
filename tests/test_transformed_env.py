"""TransformedEnv: one env seen differently."""

from __future__ import annotations

import pytest
import torch

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.env import Env
from envcli.errors import TransformError
from envcli.testing import EnvContract
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv, DoubleEnv, StatelessEnv
from envcli.transformed_env import TransformedEnv
from envcli.transforms.compose import Compose
from envcli.transforms.double_to_float import DoubleToFloat
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform


class Shift(Transform):
    """Adds one to each of its entries."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs + 1


class TestWithoutTransforms(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv())


class TestOverGymnasium(EnvContract):
    def make_env(self) -> Env:
        chain = Compose(StepCounter(10), DTypeCastTransform("float32", "float64"), Shift(["observation"]))
        return TransformedEnv(GymEnv("Pendulum-v1"), chain)


class TestOverAStatelessBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(2.5, [3]), StepCounter(max_steps=4))


class TestTwoStagesOfTheSameEntry(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(DoubleEnv([3, 4], [2]), Compose(Shift(["observation"]), DoubleToFloat()))


class TestAStatelessEnvWhosePositionIsRewritten(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(), Compose(Shift(["start"], ["start_plus"]), Shift(["observation"])))


def test_what_no_transform_touches_is_the_same_memory() -> None:
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), Shift(["observation"])))
    env.rand_step(env.reset())
    outer, inner = env._bound, env.base_env._bound
    assert outer is not None
    assert inner is not None
    for path in (("start",), ("next", "reward"), ("action",), ("next", "done")):
        assert outer[path].data_ptr() == inner[path].data_ptr()
    assert outer["observation",].data_ptr() != inner["observation",].data_ptr()
    assert ("step_count",) not in inner


def test_the_base_env_can_be_used_beside_it() -> None:
    base = CountingEnv()
    env = TransformedEnv(base, Shift(["observation"]))
    td = env.reset()
    base.rollout(2)
    assert base.reset()["observation"] == 0
    assert env.rand_step(td)["next", "observation"] == 2
    assert env.rollout(2)["observation"].squeeze(-1).tolist() == [1, 2]


def test_append_and_insert() -> None:
    env = TransformedEnv(CountingEnv())
    assert env.append_transform(Shift(["observation"])) is env
    assert env.reset()["observation"] == 1
    env.insert_transform(0, StepCounter())
    assert [type(t).__name__ for t in env.transform] == ["StepCounter", "Shift"]
    assert set(env.rollout(2).keys()) >= {"step_count", "observation"}


def test_append_to_a_single_transform_makes_a_chain() -> None:
    env = TransformedEnv(CountingEnv(), Shift(["observation"]))
    env.append_transform(Shift(["observation"]))
    assert isinstance(env.transform, Compose)
    assert env.reset()["observation"] == 2


def test_what_does_not_fit_is_refused_and_nothing_changes() -> None:
    env = TransformedEnv(CountingEnv(), Shift(["observation"]))
    with pytest.raises(
        TransformError, match=r"Shift: in_keys \['pixels'\] are not there. The env has: done, observation, "
    ):
        env.append_transform(Shift(["pixels"]))
    assert env.reset()["observation"] == 1
    with pytest.raises(TransformError, match="in_keys_inv"):
        TransformedEnv(CountingEnv(), Transform(in_keys_inv=["torque"]))
    with pytest.raises(TransformError, match="expected a transform, found a str"):
        env.append_transform("StepCounter")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(TransformError, match="expected an env, found a str"):
        TransformedEnv("CartPole-v1")  # type: ignore[arg-type]  # the point of the test


def test_a_value_that_does_not_fit_says_what_the_env_shows() -> None:
    class Square(Transform):
        def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
            return obs @ obs.new_zeros(7, 7)

    with pytest.raises(
        TransformError, match=r"Square\(keys=\['observation'\]\) does not fit an env that shows .*'observation'"
    ):
        TransformedEnv(CountingEnv(), Square(["observation"]))


def test_a_transformed_env_is_taken_apart() -> None:
    base = CountingEnv()
    inner = TransformedEnv(base, Shift(["observation"]))
    outer = TransformedEnv(inner, StepCounter())
    assert outer.base_env is base
    assert [type(t).__name__ for t in outer.transform] == ["Shift", "StepCounter"]
    assert outer.reset()["observation"] == 1
    assert inner.reset()["observation"] == 1


def test_specs_are_those_of_the_outside() -> None:
    env = TransformedEnv(CountingEnv(batch_size=[2]), StepCounter(3))
    assert env.batch_size == (2,)
    assert "step_count" in env.observation_spec
    assert "step_count" not in env.base_env.observation_spec
    assert env.action_spec == env.base_env.action_spec


def test_attributes_seeds_and_options_go_through() -> None:
    toy = CountingGym(limit=4)
    env = TransformedEnv(GymWrapper(toy), StepCounter())
    assert (env.limit, env.frame_skip) == (4, None)
    env.set_seed(8)
    env.reset(options={"level": 1})
    env.reset()
    assert toy.resets == [(8, {"level": 1}), (None, None)]
    with pytest.raises(AttributeError, match="nothing"):
        _ = env.nothing
    env.close()
    assert toy.closed == 1


def test_closing_it_closes_the_base() -> None:
    env = TransformedEnv(CountingEnv(), StepCounter())
    env.close()
    assert env.base_env.is_closed


def test_to_a_device() -> None:
    env = TransformedEnv(CountingEnv(), Compose(Shift(["observation"]), StepCounter()))
    assert env.to("cpu") is env
    assert env.device == env.base_env.device == torch.device("cpu")
    assert env.rollout(2).device == torch.device("cpu")
    assert TransformedEnv(CountingEnv(), device="cpu").reset().device == torch.device("cpu")


def test_the_same_seed_is_the_same_run_with_and_without() -> None:
    runs = []
    for env in (CountingEnv([2, 3], [2]), TransformedEnv(CountingEnv([2, 3], [2]), StepCounter())):
        torch.manual_seed(1)
        env.set_seed(1)
        runs.append(env.rollout(6, break_when_any_done=False))
    assert (runs[0] == runs[1].exclude("step_count", ("next", "step_count"))).all()


def test_repr_shows_both() -> None:
    env = TransformedEnv(GymEnv("CartPole-v1"), Compose(StepCounter()))
    assert repr(env) == (
        "TransformedEnv(\n    env=GymEnv(env=CartPole-v1, batch_size=torch.Size([]), device=None),\n"
        "    transform=Compose(\n            StepCounter(max_steps=None, key='step_count')))"
    )
