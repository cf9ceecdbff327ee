"""NextObservationDelta: next observations as differences."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.testing.toys import CountingEnv
from envcli.transforms.next_observation_delta import NextObservationDelta


def data(*steps: float, dtype: torch.dtype = torch.float32) -> TensorDict:
    """Observations that change by ``steps``."""
    change = torch.tensor(steps, dtype=dtype).unsqueeze(-1)
    before = torch.full_like(change, 3)
    return TensorDict({"x": before, "next": {"x": before + change, "reward": torch.ones_like(change)}}, [len(steps)])


def test_what_it_keeps_of_a_rollout() -> None:
    with SerialEnv(2, lambda: CountingEnv(3)) as env:
        rollout = env.rollout(8, break_when_any_done=False)
    assert rollout["next", "done"].sum() == 4
    kept = NextObservationDelta().inv(rollout)
    assert ("next", "observation") not in kept
    delta = kept["next", "delta", "observation"]
    assert delta.dtype == torch.float16
    assert torch.equal(delta.float(), rollout["next", "observation"] - rollout["observation"])
    assert ("next", "observation") in rollout, "the rollout itself was changed"
    assert kept["observation"] is rollout["observation"]
    assert torch.equal(kept["next", "done"], rollout["next", "done"])


def test_it_comes_back_where_episodes_end_too() -> None:
    rollout = CountingEnv(3).rollout(8, break_when_any_done=False)
    back = NextObservationDelta()(NextObservationDelta().inv(rollout))
    assert torch.equal(back["next", "observation"], rollout["next", "observation"])
    assert set(back.keys(True, True)) == set(rollout.keys(True, True))
    assert ("next", "delta") not in back


def test_rows_of_it_come_back_in_any_order() -> None:
    kept = NextObservationDelta().inv(data(0.5, -1.0, 2.0))
    back = NextObservationDelta()(kept[torch.tensor([2, 0])])
    assert back["next", "x"].flatten().tolist() == [5.0, 3.5]
    assert back["next", "reward"].flatten().tolist() == [1.0, 1.0]


def test_it_rounds_the_difference_and_nothing_else() -> None:
    kept = NextObservationDelta().inv(data(0.1, dtype=torch.float64))
    expected = torch.tensor(0.1, dtype=torch.float64).half()
    assert NextObservationDelta()(kept)["next", "x"].item() == pytest.approx(3 + expected.item(), abs=1e-12)


def test_dtypes() -> None:
    short = NextObservationDelta(delta_dtype=torch.bfloat16, restore_dtype=torch.float64, drop_delta=False)
    kept = short.inv(data(0.5))
    assert kept["next", "delta", "x"].dtype == torch.bfloat16
    back = short(kept)
    assert back["next", "x"].dtype == torch.float64
    assert back["next", "x"].item() == 3.5
    assert back["next", "delta", "x"].item() == 0.5


def test_which_entries_it_finds() -> None:
    both = {"x": torch.zeros(1, 2), "n": torch.zeros(1, 2, dtype=torch.int64), "in": {"y": torch.zeros(1, 2)}}
    found = TensorDict({**both, "action": torch.zeros(1, 2), "next": {**both, "reward": torch.zeros(1, 1)}}, [1])
    kept = NextObservationDelta().inv(found)
    assert set(kept["next"].keys(True, True)) == {"n", "reward", ("delta", "x"), ("delta", "in", "y")}
    assert set(NextObservationDelta(("in", "y")).inv(found)["next"].keys(True, True)) == {
        "n",
        "x",
        "reward",
        ("delta", "in", "y"),
    }
    unchanged = NextObservationDelta(excluded_dtypes=(torch.float32,)).inv(found)
    assert ("next", "delta") not in unchanged


def test_what_is_missing_is_left_out() -> None:
    short, alone = NextObservationDelta(["y"]), data(1.0)
    assert set(short.inv(alone).keys(True, True)) == set(alone.keys(True, True))
    assert set(short(alone.clone()).keys(True, True)) == set(alone.keys(True, True))
    assert NextObservationDelta()(TensorDict({"x": torch.zeros(1)}))["x"].item() == 0


def test_a_difference_too_large_is_refused() -> None:
    with pytest.raises(TransformError, match=r"'x' changes by 1e\+06 in a step, which is beyond torch.float16"):
        NextObservationDelta().inv(data(1e6))
    assert NextObservationDelta(delta_dtype=torch.float32).inv(data(1e6))["next", "delta", "x"].item() == 1e6
    assert NextObservationDelta().inv(data(torch.inf))["next", "delta", "x"].isinf()


def test_in_an_env_it_is_refused() -> None:
    with pytest.raises(TransformError, match=r"NextObservationDelta\(...\).inv\(env.rollout\(...\)\)"):
        TransformedEnv(CountingEnv(), NextObservationDelta())


@pytest.mark.parametrize("option", ["delta_dtype", "restore_dtype"])
def test_a_dtype_of_whole_numbers_is_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=rf"{option}: expected a dtype of floats"):
        NextObservationDelta(**{option: torch.int8})


def test_repr_and_clone() -> None:
    short = NextObservationDelta(["x"], delta_dtype=torch.bfloat16).clone()
    assert repr(short) == "NextObservationDelta(in_keys=['x'], delta_dtype=torch.bfloat16)"
    assert repr(NextObservationDelta()) == "NextObservationDelta(in_keys=None, delta_dtype=torch.float16)"
