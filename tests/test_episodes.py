from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from envcli.episodes import Episodes


def rollout(rewards: list[list[float]], dones: list[list[int]]) -> TensorDict:
    batch = (len(rewards), len(rewards[0]))
    reward = torch.tensor(rewards).unsqueeze(-1)
    done = torch.tensor(dones, dtype=torch.bool).unsqueeze(-1)
    return TensorDict({"next": {"reward": reward, "done": done}}, batch)


def test_episodes_are_cut_at_done() -> None:
    found = Episodes.of(rollout([[1, 2, 3, 4, 5]], [[0, 1, 0, 0, 1]])[0])
    assert found.returns.tolist() == [3, 12]
    assert found.lengths.tolist() == [2, 3]
    assert found.unfinished == 0


def test_an_episode_that_the_rollout_cuts_off_is_not_counted() -> None:
    found = Episodes.of(rollout([[1, 2, 3, 4, 5]], [[0, 1, 0, 0, 0]])[0])
    assert found.returns.tolist() == [3]
    assert found.unfinished == 1


def test_envs_do_not_run_into_each_other() -> None:
    found = Episodes.of(rollout([[1, 2, 3], [10, 20, 30]], [[0, 0, 0], [1, 0, 1]]))
    assert found.returns.tolist() == [10, 50]
    assert found.lengths.tolist() == [1, 2]
    assert found.unfinished == 1


def test_a_nan_stays_in_its_own_episode() -> None:
    found = Episodes.of(rollout([[float("nan"), 2, 3]], [[1, 0, 1]])[0])
    assert np.isnan(found.returns[0])
    assert found.returns[1] == 5


def test_metrics_without_an_episode_are_empty() -> None:
    metrics = Episodes.of(rollout([[1, 2]], [[0, 0]])).metrics()
    assert metrics["episodes"] == 0
    assert metrics["unfinished_episodes"] == 1
    assert metrics["return_mean"] is None
    assert metrics["reward_sum"] == 3


def test_metrics() -> None:
    metrics = Episodes.of(rollout([[1, 2, 3, 4, 5]], [[0, 1, 0, 0, 1]])).metrics()
    assert metrics == {
        "episodes": 2,
        "unfinished_episodes": 0,
        "reward_sum": 15.0,
        "return_mean": 7.5,
        "return_min": 3.0,
        "return_max": 12.0,
        "length_mean": 2.5,
        "length_min": 2,
        "length_max": 3,
        "return_quantiles": [3.0, 12.0],
        "length_quantiles": [2, 3],
    }


def test_quantiles_are_few_and_reach_from_end_to_end() -> None:
    metrics = Episodes.of(rollout([list(range(1000))], [[1] * 1000])).metrics()
    assert len(metrics["return_quantiles"]) == 101
    assert (metrics["return_quantiles"][0], metrics["return_quantiles"][-1]) == (0, 999)
    assert metrics["return_quantiles"] == sorted(metrics["return_quantiles"])
    assert metrics["length_quantiles"] == [1] * 101
    assert Episodes.of(rollout([[1, 2]], [[0, 0]])).metrics()["return_quantiles"] == []


def test_a_million_small_rewards_keep_their_digits() -> None:
    steps = 1_000_000
    data = TensorDict(
        {"next": {"reward": torch.full((steps, 1), 0.1), "done": torch.zeros(steps, 1, dtype=torch.bool)}}, [steps]
    )
    data["next", "done"][-1] = True
    assert Episodes.of(data).returns[0] == pytest.approx(0.1 * steps, rel=1e-7)
