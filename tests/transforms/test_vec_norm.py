"""VecNorm: by the running mean and deviation."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.memory.mapped import mapped
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.vec_norm import VecNorm


class TestFrozen(EnvContract):
    def make_env(self) -> Env:
        env = TransformedEnv(CountingEnv([2, 5], [2]), VecNorm())
        env.rollout(20, break_when_any_done=False)
        env.transform.freeze()
        return env


def by_hand(values: list[np.ndarray], decay: float, eps: float = 1e-4) -> list[np.ndarray]:
    """Each update ``[n, *shape]`` normalised by all up to it, with weights written out."""
    shown = []
    for last in range(len(values)):
        weights = np.concatenate([np.full(len(v), decay ** (last - i)) for i, v in enumerate(values[: last + 1])])
        seen = np.concatenate(values[: last + 1]).astype(float)
        mean = np.average(seen, axis=0, weights=weights)
        variance = np.average((seen - mean) ** 2, axis=0, weights=weights)
        shown.append((values[last] - mean) / np.sqrt(np.maximum(variance, eps)))
    return shown


@pytest.mark.parametrize("decay", [1.0, 0.9])
@pytest.mark.parametrize("batch", [[], [3]])
def test_in_an_env_by_hand(decay: float, batch: list[int]) -> None:
    env = TransformedEnv(CountingEnv(99, batch), VecNorm(decay=decay))
    data = env.rollout(6)
    n = (batch or [1])[0]
    counts = [np.full((n, 1), float(t)) for t in range(7)]
    expected = by_hand(counts, decay)
    for t in range(6):
        np.testing.assert_allclose(data["next", "observation"].reshape(n, 6)[:, t], expected[t + 1][:, 0], atol=1e-5)
    rewards = [np.asarray(data["action"].reshape(n, 6)[:, t : t + 1]) for t in range(6)]
    shown = np.concatenate(by_hand(rewards, decay), 1)
    np.testing.assert_allclose(data["next", "reward"].reshape(n, 6), shown, atol=1e-4)


def test_a_stream_far_from_zero() -> None:
    """Where float32 sums leave nothing, and where TorchRL's newer VecNorm is off tenfold."""
    drawn = torch.distributions.Normal(10.0, 1.0).sample((4000, 1))
    for values, tolerance in ((drawn, 0.05), (drawn + 1e4, 0.05)):
        norm = VecNorm(["x"], decay=1.0)
        for part in values.split(40):
            norm(TensorDict({"x": part}, [40]))
        assert norm.loc["x"].item() == pytest.approx(values.double().mean().item(), rel=1e-6)
        assert norm.scale["x"].item() == pytest.approx(values.double().std().item(), rel=tolerance / 10)
        shown = norm.freeze()(TensorDict({"x": values}, [4000]))["x"]
        assert abs(shown.mean().item()) < tolerance
        assert shown.std().item() == pytest.approx(1, abs=tolerance)


def test_sums_are_live_state() -> None:
    env = TransformedEnv(CountingEnv(99), VecNorm(decay=1.0))
    env.rollout(5)
    sums = env.transform.state_dict()["_extra_state"]["td"]
    assert sums["observation_count"].tolist() == [6], "one reset and five steps"
    assert sums["reward_count"].tolist() == [5]
    assert sums["observation_sum"].tolist() == [15]
    assert sums["observation_ssq"].tolist() == [55]
    for name in ("count", "sum", "ssq"):
        sums[f"observation_{name}"].fill_(0.0)
    env.rollout(3)
    assert sums["observation_count"].tolist() == [4]


def test_state_of_another_and_of_torchrl() -> None:
    source = TransformedEnv(CountingEnv(99), VecNorm())
    source.rollout(5)
    state = copy.deepcopy(source.transform.state_dict())
    expected = source.transform.freeze()
    flat = {"_extra_state": {name: tensor.float() for name, tensor in state["_extra_state"]["td"].items()}}
    for loaded in (state, flat):
        for first in (VecNorm(), TransformedEnv(CountingEnv(99), VecNorm()).transform):
            first.load_state_dict(loaded)
            env = TransformedEnv(CountingEnv(99), first) if first.container is None else first.container
            first.freeze()
            torch.testing.assert_close(env.rollout(3)["observation"], expected.container.rollout(3)["observation"])


def test_a_partial_reset_learns_from_whom_it_names() -> None:
    env = TransformedEnv(CountingEnv([2, 3], [2]), VecNorm(decay=1.0))
    env.rollout(4, break_when_any_done=False)
    sums = env.transform.state_dict()["_extra_state"]["td"]
    assert sums["observation_count"].item() == 2 + 4 * 2 + 2, "the first reset, four steps, and two resets of one env"
    assert sums["observation_sum"].item() == (1 + 2 + 1 + 2) + (1 + 2 + 3 + 1)


def test_shared_sums() -> None:
    one, other = (TransformedEnv(CountingEnv(99), VecNorm(decay=1.0)) for _ in range(2))
    one.rollout(2)
    shared = one.transform.shared_sums()
    assert all(mapped(tensor) is not None for tensor in shared.values())
    other.reset()
    other.transform.adopt(shared)
    third = TransformedEnv(CountingEnv(99), VecNorm(decay=1.0, shared_td=shared))
    for env in (one, other, third):
        env.rollout(2)
    assert shared["observation_count"].item() == 3 * 4
    with pytest.raises(TransformError, match=r"expected sum as torch.float64 \[1\] on cpu, found torch.float32 \[2\]"):
        other.transform.adopt({name: torch.zeros(2) for name in shared})


def test_shapes_say_what_is_averaged_over() -> None:
    env = TransformedEnv(NestedEnv(9, [2]), VecNorm([("agent", "observation")], shapes=[[]]))
    env.rollout(2)
    assert env.transform._statistics["agent", "observation"].shape == ()
    assert list(env.transform.state_dict()["_extra_state"]["td"]) == [
        f"agent.observation_{p}" for p in ("sum", "ssq", "count")
    ]
    norm = VecNorm(["a"], decay=1.0, shapes=[[3]])
    norm(TensorDict({"a": torch.randn(5, 4, 3)}, [5]))
    assert norm._tensors()["a_count"] == 20
    with pytest.raises(TransformError, match=r"'observation' has shape \[1\], which does not end with \[2\]"):
        TransformedEnv(CountingEnv(), VecNorm(["observation"], shapes=[[2]]))


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigError, match="expected 0 < decay <= 1 and eps > 0, found decay=0"):
        VecNorm(decay=0)
    with pytest.raises(ConfigError, match=r"VecNorm: 1 shapes for in_keys \['observation', 'reward'\]"):
        VecNorm(shapes=[[1]])
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), VecNorm(["pixels"]))
    with pytest.raises(TransformError, match="must have the same length"):
        VecNorm(["a"], ["b", "c"])


@pytest.mark.parametrize("hook", ["_reset", "_call"])
def test_written_on_tensordicts_it_learns_from_those_that_were_reset(hook: str) -> None:
    def counts(kind: type[VecNorm]) -> list[float]:
        env = TransformedEnv(CountingEnv([2, 3, 7], [3]), kind(["observation"]))
        env.rollout(20, break_when_any_done=False)
        return env.state_dict()["_extra_state"]["td"]["observation_count"].tolist()

    def method(self: Any, *tensordicts: TensorDictBase) -> TensorDictBase:
        return getattr(super(own, self), hook)(*tensordicts)  # type: ignore[no-any-return]

    own = type("Own", (VecNorm,), {hook: method})
    assert counts(own) == counts(VecNorm)


def test_denorm_gives_back_what_there_was() -> None:
    norm = VecNorm(["observation", "reward"], ["o", "r"])
    with pytest.raises(TransformError, match="VecNorm: denorm before any averages exist"):
        norm.denorm(TensorDict())
    env = TransformedEnv(CountingEnv(99, [2]), norm)
    env.rollout(4)
    norm.freeze()
    data = env.rollout(4)
    back = norm.denorm(data.exclude("observation", ("next", "observation"), ("next", "reward")))
    for key in ("observation", ("next", "observation"), ("next", "reward")):
        torch.testing.assert_close(back[key], data[key])
