"""ObservationNorm: by numbers that are known, or measured once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.compose import Compose
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.step_counter import StepCounter


class TestGiven(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), ObservationNorm(1.0, -2.0, ["observation"]))


class TestMeasuredWithActions(EnvContract):
    def make_env(self) -> Env:
        chain = Compose(ObservationNorm(init_steps=20), ObservationNorm(0.5, 2.0, in_keys_inv=["action"]))
        return TransformedEnv(CountingEnv(4), chain)


def test_by_hand() -> None:
    td = TensorDict({"o": torch.tensor([3.0, 5.0])})
    assert ObservationNorm([1.0, 2.0], 2.0, ["o"])(td.clone())["o"].tolist() == [7, 12]
    assert ObservationNorm([1.0, 2.0], 2.0, ["o"], standard_normal=True)(td.clone())["o"].tolist() == [1, 1.5]


def test_towards_the_simulator_it_is_undone() -> None:
    td = TensorDict({"action": torch.tensor([3.0])})
    assert ObservationNorm(1.0, 2.0, in_keys_inv=["action"], standard_normal=True).inv(td)["action"] == 7
    assert ObservationNorm(1.0, 2.0, in_keys_inv=["action"]).inv(td)["action"] == 1
    env = TransformedEnv(CountingEnv(), ObservationNorm(1.0, 2.0, in_keys_inv=["action"]))
    assert env.action_spec == Bounded(-1, 3, shape=[1])
    assert env.step(env.reset().set("action", torch.tensor([2.0])))["next", "reward"] == 0.5


def test_bounds_go_along() -> None:
    env = TransformedEnv(CountingEnv(), ObservationNorm(1.0, 2.0, ["start"]))
    assert env.observation_spec["start"] == Bounded(1, 3, shape=[1])


def test_a_deviation_of_zero_divides_by_eps() -> None:
    norm = ObservationNorm(0.0, [0.0, 2.0], ["o"], standard_normal=True, eps=0.5)
    assert norm(TensorDict({"o": torch.tensor([1.0, 1.0])}))["o"].tolist() == [2, 0.5]


@pytest.mark.parametrize("standard_normal", [False, True])
@pytest.mark.parametrize("batch", [[], [3]])
def test_measured_over_all_steps(standard_normal: bool, batch: list[int]) -> None:
    env = TransformedEnv(CountingEnv(4, batch), ObservationNorm(standard_normal=standard_normal))
    env.transform.init_stats(10)
    counts = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1] * (batch or [1])[0], dtype=float)
    mean, std = counts.mean(), counts.std(ddof=1)
    loc, scale = (mean, std) if standard_normal else (-mean / std, 1 / std)
    assert env.transform.loc.shape == (1,)
    assert env.transform.loc.item() == pytest.approx(loc)
    assert env.transform.scale.item() == pytest.approx(scale)
    shown = env.rollout(3)["observation"].reshape(-1, 3)[0]
    np.testing.assert_allclose(shown.numpy(), (np.arange(3) - mean) / std, rtol=1e-5)


def test_some_dimensions_may_stay() -> None:
    env = TransformedEnv(CountingEnv(4, [3]), ObservationNorm())
    env.transform.init_stats(4, reduce_dim=(1, 2), keep_dims=(2,))
    assert env.transform.loc.shape == (3, 1)


def test_measured_behind_what_comes_before() -> None:
    chain = Compose(ObservationNorm(100.0, 1.0, ["observation"]), ObservationNorm(init_steps=4, standard_normal=True))
    env = TransformedEnv(CountingEnv(4), chain)
    assert env.transform[1].loc.item() == pytest.approx(101.5)


def test_measuring_as_the_env_is_built_leaves_no_trace() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, other = (TransformedEnv(CountingEnv(4), ObservationNorm(in_keys=["start"], init_steps=30)) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(one.transform.loc, other.transform.loc), "the same in every process"
    assert not torch.equal(one.reset()["start"], other.reset()["start"]), "afterwards each draws by itself"
    starts = []
    for env in (
        one,
        TransformedEnv(CountingEnv(4), ObservationNorm(one.transform.loc, one.transform.scale, ["start"])),
    ):
        env.set_seed(3)
        starts.append(env.reset()["start"])
    assert torch.equal(*starts), "a seed holds as if nothing had been measured"


def test_it_is_not_measured_again() -> None:
    env = TransformedEnv(CountingEnv(4), ObservationNorm(init_steps=4))
    loc = env.transform.loc
    env.append_transform(StepCounter())
    assert env.transform[0].loc is loc
    with pytest.raises(TransformError, match="are already set"):
        env.transform[0].init_stats(5)


def test_state_dict_takes_over() -> None:
    source = TransformedEnv(CountingEnv(4), ObservationNorm(init_steps=4))
    target = TransformedEnv(CountingEnv(4), ObservationNorm())
    target.transform.load_state_dict(source.transform.state_dict())
    assert torch.equal(source.rollout(4)["observation"], target.rollout(4)["observation"])
    assert target.observation_spec == source.observation_spec


def test_nested() -> None:
    env = TransformedEnv(
        NestedEnv(4), ObservationNorm(in_keys=[("agent", "observation")], init_steps=4, standard_normal=True)
    )
    assert env.transform.loc.item() == 1.5


def test_what_cannot_be() -> None:
    env = TransformedEnv(CountingEnv(), ObservationNorm())
    with pytest.raises(
        TransformError, match=r"loc and scale are not set yet. Give them, call init_stats\(steps\), or set"
    ):
        env.reset()
    with pytest.raises(TransformError, match="init_stats needs an env to measure"):
        ObservationNorm().init_stats(5)
    with pytest.raises(ConfigError, match="1 steps are too few"):
        env.transform.init_stats(1)
    with pytest.raises(ConfigError, match="init_steps must be at least 2"):
        ObservationNorm(init_steps=1)
    with pytest.raises(ConfigError, match="eps must be above 0"):
        ObservationNorm(eps=0)
    with pytest.raises(
        TransformError, match=r"'pixels' is not an observation of the env, which has \['observation', 'start'\]"
    ):
        TransformedEnv(CountingEnv(), ObservationNorm(in_keys=["pixels"], init_steps=3))
    with pytest.raises(ConfigError, match=r"init_stats measures one of \['observation', 'start'\]. Say which: key="):
        TransformedEnv(CountingEnv(), ObservationNorm(in_keys=["observation", "start"], init_steps=3))


def test_doubles_are_measured_in_doubles() -> None:
    env = TransformedEnv(CountingEnv(3, dtype=torch.float64), ObservationNorm(standard_normal=True))
    env.transform.init_stats(7)
    assert env.transform.loc.dtype == env.transform.scale.dtype == torch.float64
    assert env.rollout(3)["observation"].dtype == torch.float64
