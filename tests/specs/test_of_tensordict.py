"""Specs of TensorDicts."""

from __future__ import annotations

import pytest
import torch
from tensordict import NonTensorData, TensorDict

from envcli import GymEnv, SpecError, check_env_specs, make_composite_from_td
from envcli.specs import Composite, Unbounded


def test_it_has_the_keys_shapes_and_dtypes_of_the_values() -> None:
    data = TensorDict({"a": torch.zeros(2, 3), "b": {"c": torch.ones(2, dtype=torch.int64)}}, [2])
    spec = make_composite_from_td(data)
    nested = Composite(c=Unbounded((2,), dtype=torch.int64), shape=(2,))
    assert spec == Composite(a=Unbounded((2, 3)), b=nested, shape=(2,))
    assert spec.is_in(data)


def test_a_number_without_a_shape_is_given_one_unless_it_shall_not() -> None:
    data = TensorDict({"a": torch.tensor(1.0)})
    assert make_composite_from_td(data)["a"].shape == (1,)
    assert make_composite_from_td(data, unsqueeze_null_shapes=False)["a"].shape == ()


def test_specs_of_an_env_may_come_from_what_it_shows() -> None:
    with GymEnv("Pendulum-v1") as env:
        env.observation_spec = make_composite_from_td(env.reset().select(*env.observation_keys))
        check_env_specs(env)


def test_what_is_no_tensor_is_named() -> None:
    with pytest.raises(SpecError, match=r"'word' is a NonTensorData, expected a tensor\."):
        make_composite_from_td(TensorDict({"word": NonTensorData("x")}))
