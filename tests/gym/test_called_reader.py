"""Entries of ``info`` as a function writes them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import SpecError
from envcli.gym.called_reader import CalledReader
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Composite, Unbounded

FIRST = {"observation": torch.zeros(2)}
MOMENTS = [({"n": 1}, TensorDict(FIRST)), ({"n": 2}, TensorDict({**FIRST, "reward": torch.zeros(1)}))]


def read(info: Any, tensordict: TensorDictBase) -> None:
    tensordict["n"] = torch.tensor(float(info["n"]))
    tensordict["twice"] = tensordict["observation"] + tensordict["observation"]
    if "reward" in tensordict:
        tensordict["paid"] = tensordict["reward"] > 0


def test_what_it_adds_at_a_reset_or_a_step_is_read() -> None:
    reader = CalledReader(read, MOMENTS)
    assert reader.info_spec == Composite(n=Unbounded([]), twice=Unbounded([2]), paid=Unbounded([1], dtype=torch.bool))
    layout = {
        (*prefix, key): (spec.shape, spec.dtype)
        for prefix in ((), ("next",))
        for key, spec in {**reader.info_spec, "observation": Unbounded([2]), "reward": Unbounded([1])}.items()
    }
    buffer = RolloutBuffer.allocate(layout, 2, torch.Size([]))
    buffer[("observation",)][0], buffer["next", "observation"][1] = 3.0, 4.0
    buffer["next", "reward"][1] = 1.0
    reader.writer(buffer, ())(0, {"n": 5})
    reader.writer(buffer, ("next",))(1, {"n": 6})
    assert buffer[("n",)].tolist() == [5, 0]
    assert buffer[("twice",)].tolist() == [[6, 6], [0, 0]]
    assert buffer["next", "n"].tolist() == [0, 6]
    assert buffer["next", "twice"].tolist() == [[0, 0], [8, 8]]
    assert buffer["next", "paid"].tolist() == [[False], [True]]
    assert buffer["next", "observation"].tolist() == [[0, 0], [4, 4]]


def test_it_may_return_another_tensordict() -> None:
    reader = CalledReader(lambda info, _: TensorDict({"n": info["n"]}), MOMENTS)
    assert list(reader.info_spec.keys()) == ["n"]


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda info, td: td, "wrote nothing, neither at a reset nor at a step"),
        (lambda info, td: td.set("words", {"a": torch.zeros(1)}), "'words': found a TensorDict, expected a tensor"),
        (lambda info, td: td.set("reward", torch.ones(1)), "writes 'reward', which is the env's"),
    ],
)
def test_what_cannot_be_read(function: Any, match: str) -> None:
    with pytest.raises(SpecError, match=match):
        CalledReader(function, MOMENTS[1:] * 2)
