"""FiniteTensorDictCheck: stops where a number is not finite."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import SpecError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.finite_tensor_dict_check import FiniteTensorDictCheck


class TestChecked(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), FiniteTensorDictCheck())


class Breaks(CountingEnv):
    """Pays ``pay`` after two steps, in the last env of a batch."""

    pay = float("nan")
    shows = 0.0

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        result = super()._step(tensordict)
        reward = result["reward"]
        reward[..., -1:, :][self._count[..., -1:, :] == 2] = self.pay
        return result

    def _reset(self, tensordict: TensorDictBase | None, **options: object) -> TensorDictBase:
        result = super()._reset(tensordict, **options)
        result["start"] += self.shows
        return result


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("pay", [float("nan"), float("-inf")])
def test_a_step(dtype: torch.dtype, pay: float) -> None:
    env = Breaks(9, [3], dtype=dtype)
    env.pay = pay
    with pytest.raises(
        ValueError, match=rf"\('next', 'reward'\) in row 1 is not finite: 1 of 3 numbers, the first {pay} at \[2"
    ):
        TransformedEnv(env, FiniteTensorDictCheck()).rollout(5)
    assert env.rollout(5).shape == (3, 5)


def test_a_single_env() -> None:
    class Single(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            result = super()._step(tensordict)
            return result.set("reward", result["reward"] + float("inf"))

    env = TransformedEnv(Single(), FiniteTensorDictCheck())
    with pytest.raises(SpecError, match=r"\('next', 'reward'\) in row 0 is not finite: 1 of 1 numbers, the first inf"):
        env.rand_step(env.reset())


def test_a_reset() -> None:
    env = Breaks(9)
    env.shows = float("inf")
    with pytest.raises(SpecError, match="'start' in row 0 is not finite"):
        TransformedEnv(env, FiniteTensorDictCheck()).reset()


def test_on_a_tensordict() -> None:
    td = TensorDict({"a": torch.ones(2), "b": {"c": torch.tensor([1.0, float("nan")]), "d": torch.tensor([1, 2])}}, [2])
    with pytest.raises(SpecError, match=r"\('b', 'c'\) is not finite: 1 of 2 numbers, the first nan at \[1\]"):
        FiniteTensorDictCheck()(td)
    good = td.exclude(("b", "c"))
    assert FiniteTensorDictCheck()(good) is good
    assert repr(FiniteTensorDictCheck()) == "FiniteTensorDictCheck()"
