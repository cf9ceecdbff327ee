"""Networks as policies: what they are given."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDictBase
from torch import nn

from envcli.envs.network import inputs_of
from envcli.testing.toys import CountingEnv


def half(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", torch.full((*td.batch_size, 1), 0.5))


class Scale(nn.Module):
    """Takes as many observations as it names."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        return observation * self.weight


class Both(Scale):
    def forward(self, observation: torch.Tensor, start: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return (observation * self.weight + start).clamp(-1, 1) * scale


def test_a_plain_module_is_given_observations_in_order() -> None:
    data = CountingEnv(3).rollout(3, Scale())
    torch.testing.assert_close(data["action"], data["observation"] / 10)
    data = CountingEnv(3).rollout(3, Both())
    torch.testing.assert_close(data["action"], (data["observation"] / 10 + data["start"]).clamp(-1, 1))


class Swapped(Scale):
    def forward(self, start: torch.Tensor, observation: torch.Tensor | None = None, scale: float = 0.1) -> torch.Tensor:
        return (start if observation is None else start - observation).clamp(-1, 1) * scale


def test_a_module_whose_parameters_are_called_like_observations_is_given_those() -> None:
    for network in (Swapped(), made(torch.jit.script, Swapped())):
        data = CountingEnv(3).rollout(3, network)
        torch.testing.assert_close(data["action"], (data["start"] - data["observation"]).clamp(-1, 1) / 10)


def test_a_module_whose_parameters_have_names_of_their_own_is_given_the_first() -> None:
    class Own(Scale):
        def forward(self, x: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
            return x * self.weight

    data = CountingEnv(3).rollout(3, Own())
    torch.testing.assert_close(data["action"], data["observation"] / 10)


def test_a_module_that_names_a_tensordict_gets_one() -> None:
    class OnTensorDicts(nn.Module):
        def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
            return half(tensordict)

    assert (CountingEnv(3).rollout(3, OnTensorDicts())["action"] == 0.5).all()


def test_gradients_do_not_stay() -> None:
    data = CountingEnv(3).rollout(3, Scale())
    assert not data["action"].requires_grad


class Any(Scale):
    def forward(self, *observations: torch.Tensor) -> torch.Tensor:
        return sum(observations).clamp(-1, 1) * self.weight  # type: ignore[union-attr]


def made(wrap: Callable[[nn.Module], nn.Module], network: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # how torch feels about its own formats is not what is tested here
        return wrap(network)


@pytest.mark.parametrize(
    "wrap",
    [torch.jit.script, pytest.param(torch.compile, marks=pytest.mark.slow), nn.DataParallel, lambda network: network],
)
def test_what_it_must_be_given_is_counted_also_within_what_torch_puts_around_it(
    wrap: Callable[[nn.Module], nn.Module],
) -> None:
    keys = ["a", "b", "c"]
    assert [inputs_of(made(wrap, network), keys) for network in (Scale(), Both())] == [["a"], ["a", "b"]]
    assert inputs_of(made(wrap, Swapped()), ["a", "observation", "start"]) == ["start", "observation"]


def test_one_that_takes_any_number_is_given_all() -> None:
    assert inputs_of(Any(), ["a", "b", "c"]) == ["a", "b", "c"]
    data = CountingEnv(3).rollout(3, Any())
    torch.testing.assert_close(data["action"], (data["observation"] + data["start"]).clamp(-1, 1) / 10)


def test_torch_script_is_given_as_many_as_the_module_was() -> None:
    both = CountingEnv(3).rollout(3, Both())
    assert torch.equal(CountingEnv(3).rollout(3, made(torch.jit.script, Both()))["action"], both["action"])


def test_one_that_need_not_be_given_any_is_given_the_first() -> None:
    class Idle(Scale):
        def forward(self, observation: torch.Tensor | None = None) -> torch.Tensor:  # type: ignore[override]
            assert observation is not None
            return observation * self.weight

    data = CountingEnv(3).rollout(3, Idle())
    torch.testing.assert_close(data["action"], data["observation"] / 10)
