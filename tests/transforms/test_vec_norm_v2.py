"""VecNormV2: by moving averages of mean and deviation."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.memory.mapped import mapped
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.compose import Compose
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.vec_norm import VecNorm
from envcli.transforms.vec_norm_v2 import VecNormV2


class TestSingle(EnvContract):
    def make_env(self) -> Env:
        env = TransformedEnv(CountingEnv(5), VecNormV2())
        env.rollout(20, break_when_any_done=False)
        env.transform.freeze()
        return env


class TestEachOfABatch(EnvContract):
    def make_env(self) -> Env:
        env = TransformedEnv(CountingEnv([2, 5], [2]), VecNormV2())
        env.rollout(20, break_when_any_done=False)
        env.transform.freeze()
        return env


class TestABatchAsOne(EnvContract):
    def make_env(self) -> Env:
        env = TransformedEnv(CountingEnv([2, 5], [2]), VecNormV2(reduce_batch_dims=True))
        env.rollout(20, break_when_any_done=False)
        env.transform.freeze()
        return env


def plain(updates: list[np.ndarray], decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of updates ``[n, *shape]`` with the weights written out: those of an update weigh the same,
    and each value that came later took all of them times ``decay``."""
    later, weights = 0, []
    for values in reversed(updates):
        n = len(values)
        whole = n if decay == 1 else (1 - decay**n) / (1 - decay)
        weights.append(np.full(n, decay**later * whole / n))
        later += n
    weight, seen = np.concatenate(weights[::-1]), np.concatenate(updates)
    mean = np.average(seen, axis=0, weights=weight)
    return mean, np.sqrt(np.average((seen - mean) ** 2, axis=0, weights=weight))


numbers = st.floats(-100, 100, width=32)


@given(
    updates=st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=4), min_size=1, max_size=5),
    decay=st.sampled_from([1.0, 0.9999, 0.9, 0.5]),
)
@settings(deadline=None, max_examples=60)
def test_a_stream_against_the_plain_formula(updates: list[list[tuple[float, float]]], decay: float) -> None:
    norm = VecNormV2(["x"], decay=decay, eps=1e-2, reduce_batch_dims=True)
    for values in updates:
        td = norm(TensorDict({"x": torch.tensor(values, dtype=torch.float64)}, [len(values)]))
    mean, std = plain([np.array(values) for values in updates], decay)
    np.testing.assert_allclose(norm.loc["x"], mean, atol=1e-6)
    np.testing.assert_allclose(norm.scale["x"], np.maximum(std, 1e-2), atol=1e-5)
    np.testing.assert_allclose(td["x"], (np.array(updates[-1]) - mean) / np.maximum(std, 1e-2), rtol=1e-4, atol=1e-4)
    assert norm.state_dict()["_extra_state"]["count.-|-.x"].item() == sum(map(len, updates))


@pytest.mark.parametrize("decay", [1.0, 0.9])
@pytest.mark.parametrize("batch", [[], [2], [2, 3]])
@pytest.mark.parametrize("reduced", [False, True])
def test_in_an_env_against_the_plain_formula(decay: float, batch: list[int], reduced: bool) -> None:
    env = TransformedEnv(CountingEnv(99, batch), VecNormV2(decay=decay, reduce_batch_dims=reduced))
    data = env.rollout(6)
    n = int(np.prod(batch))
    counts = np.broadcast_to(np.arange(7.0), (n, 7))  # the reset is shown too
    for key, values in (("observation", counts), ("reward", data["action"].reshape(n, 6).double().numpy())):
        shown = data["next", key].reshape(n, 6)
        for t in range(6):
            last = values.shape[1] - 6 + t
            for i in range(n):
                seen = [values[:, s] if reduced else values[i : i + 1, s] for s in range(last + 1)]
                mean, std = plain(seen, decay)
                assert shown[i, t].item() == pytest.approx((values[i, last] - mean) / max(std, 1e-4), abs=1e-4)


def test_early_deviations_are_deviations() -> None:
    """The square of a mean that is not corrected leaves root mean squares: 11 here."""
    norm = VecNormV2(["x"])
    for value in (10.0, 12.0):
        norm(TensorDict({"x": torch.tensor([value])}))
    assert norm.loc["x"].item() == pytest.approx(11, abs=1e-3)
    assert norm.scale["x"].item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("decay", [1.0, 0.9999])
def test_a_stream_far_from_zero(decay: float) -> None:
    values = 1e4 + torch.randn(3000, 1, generator=torch.Generator().manual_seed(0))
    norm = VecNormV2(["x"], decay=decay)
    for value in values:
        norm(TensorDict({"x": value}))
    mean, std = plain([value[None].double().numpy() for value in values], decay)
    assert norm.loc["x"].item() == pytest.approx(mean.item(), rel=1e-6)
    assert norm.scale["x"].item() == pytest.approx(std.item(), rel=1e-3)


def test_a_value_that_never_changes_is_zero() -> None:
    norm = VecNormV2(["x"])
    for _ in range(2000):
        shown = norm(TensorDict({"x": torch.tensor([1e4, 0.1])}))["x"]
    assert shown.abs().max() < 1e-3


def test_a_partial_reset_is_learned_from_by_whom_it_names() -> None:
    apart = TransformedEnv(CountingEnv([2, 5], [2]), VecNormV2(["observation"], decay=1.0))
    apart.rollout(4, break_when_any_done=False)
    averages = apart.transform.state_dict()["_extra_state"]
    assert averages["count.-|-.observation"].tolist() == [[1 + 4 + 1], [1 + 4]], "the first is reset once more"
    assert averages["loc.-|-.observation"].tolist() == [[(0 + 1 + 2 + 0 + 1 + 2) / 6], [(0 + 1 + 2 + 3 + 4) / 5]]
    one = TransformedEnv(CountingEnv([2, 5], [2]), VecNormV2(["observation"], decay=1.0, reduce_batch_dims=True))
    one.rollout(4, break_when_any_done=False)
    averages = one.transform.state_dict()["_extra_state"]
    assert averages["count.-|-.observation"].item() == 11
    assert averages["loc.-|-.observation"].item() == pytest.approx((6 + 10) / 11)


def test_a_reset_shows_each_its_own() -> None:
    env = TransformedEnv(CountingEnv([2, 99], [2]), VecNormV2(["observation"], decay=1.0))
    data = env.rollout(4, break_when_any_done=False)["observation"].squeeze(-1)
    first = np.array([0, 1, 2, 0])
    assert data[0, 2].item() == pytest.approx((0 - first.mean()) / first.std()), "begun anew"
    assert data[1, 2].item() == pytest.approx((2 - 1) / np.std([0, 1, 2])), "went on"


def test_written_on_tensordicts_it_does_the_same() -> None:
    class Own(VecNormV2):
        def _call(self, next_tensordict: TensorDict) -> TensorDict:
            return super()._call(next_tensordict)  # type: ignore[return-value]  # it is the same one

    for reduced in (False, True):
        for batch in ([3], [3, 2]):
            limits = torch.arange(2, 2 + int(np.prod(batch))).reshape(batch).tolist()
            envs = [
                TransformedEnv(CountingEnv(limits, batch), kind(["observation"], reduce_batch_dims=reduced))
                for kind in (VecNormV2, Own)
            ]
            rows, calls = (env.rollout(12, break_when_any_done=False) for env in envs)
            torch.testing.assert_close(rows["observation"], calls["observation"])
            states = [env.transform.state_dict()["_extra_state"] for env in envs]
            for name, tensor in states[0].items():
                torch.testing.assert_close(tensor, states[1][name])


def test_a_rollout_is_one_update_of_each_env() -> None:
    env = TransformedEnv(CountingEnv(99, [2]), VecNormV2(["observation"], decay=1.0))
    norm = env.transform.clone()
    data = CountingEnv(99, [2]).rollout(5)
    norm(data)
    averages = norm.state_dict()["_extra_state"]
    assert averages["count.-|-.observation"].tolist() == [[5], [5]]
    assert averages["loc.-|-.observation"].tolist() == [[2], [2]]
    assert data["observation"][0, :, 0].tolist() == pytest.approx(((np.arange(5) - 2) / np.sqrt(2)).tolist())
    assert data["next", "observation"][1, -1].item() == pytest.approx(3 / np.sqrt(2))


def test_outside_an_env_the_first_tensordict_says_what_is_apart() -> None:
    values = torch.arange(6.0).view(2, 3)
    apart = VecNormV2(["x"])
    apart(TensorDict({"x": values}, [2]))
    assert apart.loc["x"].shape == (2, 3)
    assert apart.loc.batch_size == (2,)
    other = VecNormV2(["x", "y"])
    other(TensorDict({"x": values}, [2]))
    other(TensorDict({"y": values}))
    assert other.scale.batch_size == ()
    one = VecNormV2(["x"], reduce_batch_dims=True)
    one(TensorDict({"x": values}, [2]))
    assert one.loc["x"].tolist() == pytest.approx([1.5, 2.5, 3.5])
    with pytest.raises(TransformError, match=r"'x' has shape \[4, 3\], but its statistics are of \[2, 3\]"):
        apart(TensorDict({"x": torch.zeros(4, 3)}, [4]))


# -- TorchRL's side ---------------------------------------------------------------------------------------------------


def test_averages_are_live_state_in_torchrls_layout() -> None:
    env = TransformedEnv(NestedEnv(9), VecNormV2([("agent", "observation")], decay=0.5))
    env.rollout(2)
    state = env.transform.state_dict()
    assert set(state) == {"initialized", "_extra_state"}
    assert state["initialized"].item() is True
    averages = state["_extra_state"]
    assert list(averages) == [f"{part}.-|-.agent.-|-.observation" for part in ("loc", "var", "count")]
    for tensor in averages.values():
        tensor.zero_()
    assert env.transform.loc["agent", "observation"].abs().sum() == 0
    env.rollout(2)
    assert averages["count.-|-.agent.-|-.observation"].item() == 3


OF_TORCHRL = {  # after rollout(3) of an env that counts from 0, with decay=0.9: float32, and one count for a batch
    "initialized": torch.tensor(True),
    "_extra_state": {
        "loc.-|-.observation": torch.tensor([[0.5610], [0.5610]]),
        "var.-|-.observation": torch.tensor([[1.3410], [1.3410]]),
        "count.-|-.observation": torch.tensor(4),
    },
}


def test_torchrls_state_is_taken() -> None:
    weights, values = 0.9 ** np.arange(3, -1, -1.0), np.arange(4)
    mean = np.average(values, weights=weights)
    std = np.sqrt(np.average((values - mean) ** 2, weights=weights))
    early, late = (VecNormV2(["observation"], decay=0.9) for _ in range(2))
    late.load_state_dict(OF_TORCHRL)
    for norm in (early, late):
        TransformedEnv(CountingEnv(99, [2]), norm)
    early.load_state_dict(OF_TORCHRL)
    for norm in (early, late):
        assert norm.loc["observation"].flatten().tolist() == pytest.approx([mean] * 2)
        assert norm.scale["observation"].flatten().tolist() == pytest.approx([std] * 2)
        assert norm.state_dict()["_extra_state"]["loc.-|-.observation"].dtype == torch.float64


def test_a_state_that_lacks_something_is_refused() -> None:
    norm = VecNormV2(["x"])
    assert norm.state_dict() == {"initialized": torch.tensor(False), "_extra_state": {}}
    norm.load_state_dict(norm.state_dict())
    norm(TensorDict({"x": torch.ones(1)}))
    for state in ({}, {"td": {}}, {"loc.-|-.x": torch.zeros(1)}):
        with pytest.raises(TransformError, match=r"no (loc|var)\.-\|-\.x in the loaded state, which has \["):
            norm.load_state_dict({"_extra_state": state, "initialized": torch.tensor(True)})
    assert norm.loc["x"].item() == 1


def test_denorm_gives_back_what_there_was() -> None:
    for reduced in (False, True):
        norm = VecNormV2(["observation", "reward"], ["o", "r"], reduce_batch_dims=reduced)
        env = TransformedEnv(CountingEnv(99, [2]), norm)
        env.rollout(4)
        norm.freeze()
        data = env.rollout(4)
        stripped = data.exclude("observation", ("next", "observation"), ("next", "reward"))
        back = norm.denorm(stripped)
        for key in ("observation", ("next", "observation"), ("next", "reward")):
            torch.testing.assert_close(back[key], data[key])
        assert "observation" not in stripped
        assert "reward" not in stripped["next"]


def test_what_needs_averages_says_so() -> None:
    with pytest.raises(TransformError, match="denorm before any averages exist"):
        VecNormV2().denorm(TensorDict())
    with pytest.raises(TransformError, match="frozen_copy before any averages exist"):
        VecNormV2().frozen_copy()


def test_the_old_name_gives_it_where_it_is_asked_for() -> None:
    norm = VecNorm(["x"], ["y"], decay=0.5, shared_td=None, shapes=None, new_api=True)
    assert type(norm) is VecNormV2
    assert (norm.in_keys, norm.out_keys, norm.decay) == (["x"], ["y"], 0.5)
    for old in (None, False):
        assert type(VecNorm(new_api=old)) is VecNorm
    with pytest.raises(ConfigError, match="new_api=True does not support shapes"):
        VecNorm(["x"], shapes=[[1]], new_api=True)

    class Own(VecNorm):
        def __init__(self, key: str) -> None:
            super().__init__([key])

    assert Own("x").clone().in_keys == ["x"]
    assert list(inspect.signature(Own).parameters) == ["key"]
    assert "shapes" in inspect.signature(VecNorm).parameters


def test_false_for_stateful_is_refused() -> None:
    with pytest.raises(ConfigError, match="stateful: found False, expected true"):
        VecNormV2(stateful=False)


# -- shared -----------------------------------------------------------------------------------------------------------


def test_shared_data() -> None:
    first = TransformedEnv(CountingEnv(99), VecNormV2(["observation"], decay=1.0))
    shared = first.transform.shared_statistics()
    assert all(mapped(tensor) is not None for tensor in shared.values())
    grouped = {part: {"observation": shared[f"{part}.-|-.observation"]} for part in ("loc", "var", "count")}
    for data in (shared, grouped, TensorDict(grouped)):
        TransformedEnv(CountingEnv(99), VecNormV2(["observation"], decay=1.0, shared_data=data)).rollout(2)
    assert shared["count.-|-.observation"].item() == 3 * 3
    assert first.transform.loc["observation"].item() == 1
    with pytest.raises(ConfigError, match=r"no loc\.-\|-\.reward in shared_data, which has \['loc"):
        VecNormV2(shared_data=grouped)
    single = {part: {"observation": torch.zeros(1)} for part in grouped}
    with pytest.raises(TransformError, match=r"expected loc as torch.float64 \[1\] on cpu, found torch.float32 \[1\]"):
        TransformedEnv(CountingEnv(99), VecNormV2(["observation"], shared_data=single))


def test_around_a_batch_of_envs() -> None:
    with TransformedEnv(SerialEnv(2, lambda: CountingEnv(99)), VecNormV2(["observation"], decay=1.0)) as env:
        env.rollout(4)
        assert env.transform.loc["observation"].flatten().tolist() == [2, 2]


@pytest.mark.parametrize("kind", [VecNorm, VecNormV2])
def test_a_sum_of_rewards_that_is_state_is_shown_under_next(kind: type[VecNorm | VecNormV2]) -> None:
    norm = kind(["episode_reward"], ["normed"])
    made = TransformedEnv(CountingEnv(3), Compose(RewardSum(reward_spec=True), norm)).rollout(3)
    assert made["next", "normed"].isfinite().all()
