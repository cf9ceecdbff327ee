"""Envs that take TensorDicts of any batch size, and rollouts of them that keep their graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env_base import EnvBase
from envcli.errors import SpecError
from envcli.specs import Bounded, Composite, Unbounded
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform


class Slope(EnvBase):
    """``x`` moves by the action; done from 3 on. Everything is in the TensorDict, of whatever batch size."""

    batch_locked = False

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(x=Unbounded([1]))
        self.state_spec = Composite(x=Unbounded([1]))
        self.action_spec = Bounded(0, 1, shape=[1])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        lead = torch.Size([]) if tensordict is None else tensordict.batch_size
        return TensorDict({"x": torch.zeros(*lead, 1)}, lead)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        x = tensordict["x"] + tensordict["action"]
        return TensorDict({"x": x, "reward": -(x**2), "done": x >= 3}, tensordict.batch_size)

    def _set_seed(self, seed: int | None) -> None:
        """It draws nothing."""


def ones(tensordict: TensorDictBase) -> TensorDictBase:
    return tensordict.set("action", torch.ones(*tensordict.batch_size, 1))


def four(x: Sequence[float]) -> TensorDict:
    return TensorDict({"x": torch.tensor(x, dtype=torch.float32).unsqueeze(-1)}, [4])


def test_a_rollout_of_another_batch_size() -> None:
    env = Slope()
    data = env.rollout(5, ones, auto_reset=False, tensordict=four([0, 0, 1, -2]))
    assert (data.shape, data.names) == ((4, 2), [None, "time"])
    assert data["next", "x"].squeeze(-1).tolist() == [[1, 2], [1, 2], [2, 3], [-1, 0]], "one of them is done"
    data = env.rollout(5, ones, auto_reset=False, tensordict=four([0, 0, 1, -2]), break_when_any_done=False)
    assert data["x"].squeeze(-1).tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 0, 1], [1, 2, 0, 1, 2], [-2, -1, 0, 1, 2]]
    data = env.rollout(3, tensordict=TensorDict({}, [4]))
    assert data.shape == (4, 3), "random actions, from a reset"
    assert env.action_spec.is_in(data[0, 0]["action"])


def test_who_is_done_first_waits_for_the_others() -> None:
    chain = Compose(ObservationNorm(1.0, 2.0, in_keys=["x"], out_keys=["seen"]), StepCounter())
    weight = torch.ones(1, requires_grad=True)
    env, start = TransformedEnv(Slope(), chain), torch.tensor([[0.0], [2.0], [1.0]])
    data = env.rollout(
        9,
        lambda td: td.set("action", weight.expand(3, 1)),
        auto_reset=False,
        tensordict=env.reset(TensorDict({}, [3])).set("x", start).set("seen", start * 2 + 1),
        break_when_all_done=True,
    )
    assert data["x"].squeeze(-1).tolist() == [[0, 1, 2], [2, 3, 3], [1, 2, 3]]
    assert data["next", "x"].squeeze(-1).tolist() == [[1, 2, 3], [3, 3, 3], [2, 3, 3]]
    assert torch.equal(data["next", "seen"], data["next", "x"] * 2 + 1)
    assert data["next", "step_count"].squeeze(-1).tolist() == [[1, 2, 3], [1, 1, 1], [1, 2, 2]]
    assert data["next", "done"].squeeze(-1).tolist() == [[False, False, True], [True] * 3, [False, True, True]]
    assert data["next", "reward"].squeeze(-1).tolist() == [[-1, -4, -9], [-9, 0, 0], [-4, -9, 0]]
    data["next", "reward"].sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(-2 * (1 + 2 * 2 + 3 * 3 + 3 + 2 + 2 * 3)), "of who waits there is none"


def test_it_keeps_its_graph() -> None:
    weight = torch.tensor([0.5], requires_grad=True)
    env = TransformedEnv(Slope(), ObservationNorm(0.0, 2.0, in_keys=["x"], out_keys=["twice"]))
    data = env.rollout(
        3, lambda td: td.set("action", weight.expand(4, 1)), auto_reset=False, tensordict=env.reset(TensorDict({}, [4]))
    )
    assert torch.equal(data["next", "twice"], data["next", "x"] * 2)
    data["next", "reward"].sum().backward()
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(-4 * 2 * 0.5 * (1 + 4 + 9)), "of -(w^2 + (2 w)^2 + (3 w)^2), four times"


def test_a_chain_is_the_same_on_rows_and_without() -> None:
    class Halved(Transform):
        def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
            return state / 2

    def env() -> TransformedEnv:
        norm = ObservationNorm(1.0, 2.0, in_keys=["x"], out_keys=["seen"])
        return TransformedEnv(Slope(), Compose(norm, Halved(in_keys_inv=["action"])))

    rows = env().rollout(4, ones)
    without = env().rollout(4, ones, tensordict=TensorDict({}, [2]))
    for key in rows.keys(True, True):
        assert torch.equal(without[key][1], rows[key]), key


def test_a_partial_reset_of_another_batch_size() -> None:
    env = TransformedEnv(Slope(), ObservationNorm(1.0, 2.0, in_keys=["x"], out_keys=["seen"]))
    moment = env.reset(TensorDict({}, [4])).set("x", four([1, 2, 3, 4])["x"])
    moment["_reset"] = torch.tensor([[False], [True], [False], [True]])
    assert env.reset(moment)["x"].flatten().tolist() == [1, 0, 3, 0]


def test_a_partial_reset_transforms_only_whom_it_resets() -> None:
    env = TransformedEnv(Slope(), Compose(ObservationNorm(0.0, 10.0, in_keys=["x"], out_keys=["seen"]), StepCounter(2)))
    moment = env.reset(TensorDict({}, [3]))
    for _ in range(2):
        moment = env.step_mdp(env.step(ones(moment)))
    assert moment["truncated"].all()
    moment["_reset"] = torch.tensor([[True], [False], [False]])
    moment = env.reset(moment)
    assert moment["seen"].flatten().tolist() == [0, 20, 20]
    assert moment["step_count"].flatten().tolist() == [0, 2, 2]
    assert moment["truncated"].flatten().tolist() == [False, True, True]
    assert not env.reset(TensorDict({"truncated": torch.ones(2, 1, dtype=torch.bool)}, [2]))["truncated"].any()


def test_what_is_not_there_without_rows_is_said() -> None:
    with pytest.raises(SpecError, match=r"rows, which are of the env's batch size, .* Leave out 'out', or give"):
        Slope().rollout(3, ones, auto_reset=False, tensordict=four([0] * 4), out=Slope()._buffer(3))
    with pytest.raises(SpecError, match=r"tensordict has batch_size \[4\], the env \[\]"):
        CountingEnv().rollout(3, auto_reset=False, tensordict=four([0] * 4))


def test_random_actions_and_callbacks_of_another_batch_size() -> None:
    env, seen = Slope(), []
    assert env.rand_action(four([0] * 4))["action"].shape == (4, 1)
    assert env.rand_step(four([0] * 4))["next", "x"].shape == (4, 1)
    env.rollout(3, ones, lambda e, td: seen.append(td["x"][0].item()), auto_reset=False, tensordict=four([0] * 4))
    assert seen == [1, 2], "before each step but the first"
