from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from envcli.dynamics.dynamics import Dynamics, columns, joined
from envcli.dynamics.pendulum import Pendulum
from envcli.vocabulary import registry

KINDS = [registry.find("dynamics", member) for member in registry.members("dynamics")]


def begun(dynamics: Dynamics, envs: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return dynamics.start(torch.rand(envs, dynamics.draws, dtype=dtype, generator=torch.Generator().manual_seed(0)))


def acted(dynamics: Dynamics, envs: int) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return torch.as_tensor(dynamics.action_spec.rand((envs,)))


def stepped_by_gymnasium(env: Any, state: torch.Tensor, action: torch.Tensor) -> tuple[Any, ...]:
    """State, observation, reward and end: what gymnasium's own step makes of one state."""
    env.reset(seed=0)
    env.state = state.numpy()
    observation, reward, terminated, _, _ = env.step(action.numpy() if action.ndim else int(action))
    return np.asarray(env.state), observation, reward, terminated


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-6)])
def test_a_step_is_that_of_gymnasium(kind: type[Dynamics], dtype: torch.dtype, tolerance: float) -> None:
    dynamics, foreign = kind(), gymnasium.make(kind.name).unwrapped
    state, ends = begun(dynamics, 40, dtype), 0
    for _ in range(25):
        action = acted(dynamics, 40)
        following, reward, terminated = dynamics.step(state, action)
        shown = dynamics.observe(following)
        for i in range(40):
            expected = stepped_by_gymnasium(foreign, state[i], action[i])
            np.testing.assert_allclose(following[i], expected[0], atol=tolerance)
            np.testing.assert_allclose(shown[i], expected[1], atol=tolerance)
            assert reward[i].item() == pytest.approx(expected[2], abs=10 * tolerance)
            assert bool(terminated[i]) == expected[3]
        ends += int(terminated.sum())
        state = following
    assert (ends > 0) == (kind.name == "CartPole-v1")  # the others do not end so soon


@pytest.mark.parametrize(
    ("name", "state", "action"),
    [
        ("MountainCarContinuous-v0", [0.44, 0.05], [1.0]),
        ("MountainCarContinuous-v0", [-1.19, -0.06], [-1.0]),
        ("Acrobot-v1", [3.0, 0.2, 1.0, 0.5], 2),
        ("Acrobot-v1", [-3.1, 3.1, -12.0, 28.0], 0),
        ("CartPole-v1", [0.0, 0.0, 0.209, 1.0], 0),
        ("Pendulum-v1", [3.2, 7.99], [2.0]),
    ],
)
def test_ends_and_edges_are_those_of_gymnasium(name: str, state: list[float], action: Any) -> None:
    dynamics = next(kind for kind in KINDS if kind.name == name)()
    at, act = torch.tensor(state, dtype=torch.float64), torch.as_tensor(action)
    following, reward, terminated = dynamics.step(at, act)
    expected = stepped_by_gymnasium(gymnasium.make(name).unwrapped, at, act)
    np.testing.assert_allclose(following, expected[0], atol=1e-6)
    assert reward.item() == pytest.approx(expected[2], abs=1e-5)
    assert bool(terminated) == expected[3]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_spaces_are_those_of_gymnasium(kind: type[Dynamics]) -> None:
    dynamics, foreign = kind(), gymnasium.make(kind.name)
    low, high = foreign.observation_space.low, foreign.observation_space.high  # type: ignore[attr-defined]
    assert torch.equal(dynamics.observation_spec.low, torch.from_numpy(low))  # type: ignore[attr-defined]
    assert torch.equal(dynamics.observation_spec.high, torch.from_numpy(high))  # type: ignore[attr-defined]
    assert foreign.action_space.contains(acted(dynamics, 1)[0].numpy())
    assert foreign.spec is not None
    assert foreign.spec.max_episode_steps == dynamics.max_episode_steps


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_an_env_is_the_same_alone_and_among_many(kind: type[Dynamics]) -> None:
    dynamics = kind()
    state, action = begun(dynamics, 1031), acted(dynamics, 1031)
    many = dynamics.step(state, action)
    for i in (0, 1, 7, 1023, 1030):
        for alone, among in zip(dynamics.step(state[i], action[i]), many, strict=True):
            assert torch.equal(alone, among[i])
    apart = torch.zeros(1031, 3, dynamics.state_size)
    apart[:, 1] = state
    assert torch.equal(dynamics.step(apart[:, 1], action)[0], many[0])


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_step_can_be_mapped(kind: type[Dynamics]) -> None:
    dynamics = kind()
    state, action = begun(dynamics, 5), acted(dynamics, 5)
    for mapped, plain in zip(torch.vmap(dynamics.step)(state, action), dynamics.step(state, action), strict=True):
        assert torch.allclose(mapped, plain, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_parameter_may_differ_from_env_to_env(kind: type[Dynamics]) -> None:
    dynamics = kind()
    state, action = begun(dynamics, 4), acted(dynamics, 4)
    for name, value in vars(dynamics).items():
        if isinstance(value, bool):
            continue
        following, reward, terminated = dynamics.replace({name: torch.full((4,), value)}).step(state, action)
        assert torch.allclose(following, dynamics.step(state, action)[0], atol=1e-6), name
        assert following.dtype == torch.float32
        assert reward.shape == terminated.shape == (4,)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_specs_and_clocks_are_of_each_env(kind: type[Dynamics]) -> None:
    plain = kind()
    for name, value in vars(plain).items():
        if isinstance(value, bool):
            continue
        one, each = (plain.replace({name: torch.tensor(numbers)}) for numbers in (value, [value, value + 1]))
        assert one.observation_spec == plain.observation_spec
        assert one.action_spec == plain.action_spec
        assert one.step_seconds == pytest.approx(plain.step_seconds)
        first: Any = each.observation_spec
        assert (first[0] if first.ndim > 1 else first) == plain.observation_spec
        assert each.step_seconds in (None, plain.step_seconds)


def test_gradients_reach_parameters_states_and_actions() -> None:
    length = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    state = torch.tensor([[0.3, 0.1], [1.0, -0.5]], dtype=torch.float64, requires_grad=True)
    action = torch.tensor([[0.5], [-1.0]], dtype=torch.float64, requires_grad=True)

    def twice(length: torch.Tensor, state: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        laws = Pendulum(l=length)
        return laws.step(laws.step(state, action)[0], action)[1]

    assert torch.autograd.gradcheck(twice, (length, state, action))


def test_the_reward_of_sutton_and_barto_is_a_fine() -> None:
    kind = next(kind for kind in KINDS if kind.name == "CartPole-v1")
    state = torch.tensor([[0.0, 0, 0, 0], [3.0, 0, 0, 0]])
    assert kind(sutton_barto_reward=True).step(state, torch.tensor([0, 0]))[1].tolist() == [0, -1]


def test_columns_part_what_is_joined() -> None:
    one, other = torch.rand(3, 2), torch.rand(3, 2)
    assert joined(one, other).shape == (3, 2, 2)
    assert torch.equal(torch.stack(columns(joined(one, other))), torch.stack([one, other]))
