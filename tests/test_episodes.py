from __future__ import annotations

import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli import episodes
from envcli.episodes import Episodes


def rollout(rewards: list[list[float]], dones: list[list[int]]) -> TensorDict:
    batch = (len(rewards), len(rewards[0]))
    reward = torch.tensor(rewards).unsqueeze(-1)
    done = torch.tensor(dones, dtype=torch.bool).unsqueeze(-1)
    return TensorDict({"next": {"reward": reward, "done": done}}, batch)


def of(*pieces: TensorDictBase) -> Episodes:
    found = Episodes()
    for piece in pieces:
        found.add(piece)
    return found


def test_episodes_are_cut_at_done() -> None:
    found = of(rollout([[1, 2, 3, 4, 5]], [[0, 1, 0, 0, 1]])[0])
    assert found.ended.returns.tolist() == [3, 12]
    assert found.ended.lengths.tolist() == [2, 3]
    assert found.metrics()["unfinished_episodes"] == 0


def test_an_episode_that_the_rollout_cuts_off_is_not_counted() -> None:
    found = of(rollout([[1, 2, 3, 4, 5]], [[0, 1, 0, 0, 0]])[0])
    assert found.ended.returns.tolist() == [3]
    assert found.metrics()["unfinished_episodes"] == 1


def test_envs_do_not_run_into_each_other_and_come_in_order_of_time() -> None:
    found = of(rollout([[1, 2, 3], [10, 20, 30]], [[0, 0, 1], [1, 0, 1]]))
    assert found.ended.steps.tolist() == [1, 3, 3]
    assert found.ended.returns.tolist() == [10, 6, 50]
    assert found.ended.lengths.tolist() == [1, 3, 2]


def test_an_episode_goes_on_in_the_next_piece() -> None:
    whole = rollout([[1, 2, 3, 4, 5]], [[0, 1, 0, 0, 1]])
    found = of(whole[:, :1], whole[:, 1:4])
    assert [values.tolist() for values in found.ended] == [[2], [3], [2]], "those of the last piece"
    assert found.metrics()["unfinished_episodes"] == 1
    found.add(whole[:, 4:])
    assert [values.tolist() for values in found.ended] == [[5], [12], [3]]


def test_a_nan_stays_in_its_own_episode() -> None:
    found = of(rollout([[float("nan"), 2, 3]], [[1, 0, 1]])[0])
    assert np.isnan(found.ended.returns[0])
    assert found.ended.returns[1] == 5
    assert np.isnan(found.metrics()["return_min"])


@pytest.mark.parametrize("pieces", [[], [rollout([[1, 2]], [[0, 0]])]])
def test_metrics_without_an_episode_are_empty(pieces: list[TensorDict]) -> None:
    metrics = of(*pieces).metrics()
    assert metrics["episodes"] == 0
    assert metrics["unfinished_episodes"] == len(pieces)
    assert metrics["return_mean"] is None
    assert metrics["return_quantiles"] == []
    assert metrics["reward_sum"] == 3 * len(pieces)


def test_metrics() -> None:
    metrics = of(rollout([[1, 2, 3, 4, 5]], [[0, 1, 0, 0, 1]])).metrics()
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
    assert [type(metrics[f"length_{kind}"]) for kind in ("mean", "min", "max")] == [float, int, int]


def test_several_rewards_and_flags_of_one_env_are_one() -> None:
    flags = torch.tensor([[0, 0], [1, 0], [0, 0], [0, 1]], dtype=torch.bool)
    reward = torch.tensor([[1.0, 10.0]] * 4, dtype=torch.bfloat16)
    found = of(TensorDict({"next": {"reward": reward, "done": flags}}, [4]))
    assert found.ended.returns.tolist() == [22, 22]
    assert found.ended.lengths.tolist() == [2, 2]


def test_each_of_several_objectives_has_a_return() -> None:
    flags = torch.tensor([[0], [1], [0], [1]], dtype=torch.bool)
    reward = torch.tensor([[1.0, -1.0], [2.0, -1.0], [4.0, -1.0], [8.0, -1.0]])
    pieces = [
        TensorDict({"next": {"reward": reward[part], "done": flags[part]}}, [2]) for part in (slice(2), slice(2, 4))
    ]
    metrics = of(*pieces).metrics()
    assert (metrics["return_mean"], metrics["return_min"], metrics["return_max"]) == (5.5, 1, 10)
    assert metrics["objective_returns"] == [
        {"mean": 7.5, "min": 3.0, "max": 12.0, "quantiles": [3.0, 12.0]},
        {"mean": -2.0, "min": -2.0, "max": -2.0, "quantiles": [-2.0, -2.0]},
    ]
    assert "objective_returns" not in of(rollout([[1, 2]], [[0, 1]])).metrics()


def test_nothing_is_said_of_episodes_without_a_flag() -> None:
    data = rollout([[1, 2]], [[0, 1]])
    del data["next", "done"]
    metrics = of(data).metrics()
    assert set(metrics) == set(Episodes().metrics())
    assert set(metrics.values()) == {None}


def test_episodes_are_counted_where_their_rewards_are_those_of_agents() -> None:
    data = rollout([[1, 2, 3]], [[0, 1, 0]])
    paid = data["next"].pop("reward")
    data["next", "hunters", "reward"] = torch.stack([paid, 10 * paid], -2)  # [env, time, agent, 1]
    data["next", "preys", "reward"] = -paid.unsqueeze(-2)
    found = of(data)
    metrics = found.metrics()
    returns = metrics.pop("group_returns")
    assert returns == {
        "hunters": {"mean": 33.0, "min": 33.0, "max": 33.0, "quantiles": [33.0]},
        "preys": {"mean": -3.0, "min": -3.0, "max": -3.0, "quantiles": [-3.0]},
    }
    assert set(metrics) == set(Episodes().metrics())
    assert (metrics["episodes"], metrics["unfinished_episodes"], metrics["length_mean"]) == (1, 1, 2)
    assert {metrics[key] for key in ("reward_sum", "return_mean", "return_max", "return_quantiles")} == {None}
    assert not len(found.ended.returns), "no tracker is told of a return"


def test_quantiles_are_few_and_reach_from_end_to_end() -> None:
    metrics = of(rollout([list(range(1000))], [[1] * 1000])).metrics()
    assert len(metrics["return_quantiles"]) == 101
    assert (metrics["return_quantiles"][0], metrics["return_quantiles"][-1]) == (0, 999)
    assert metrics["return_quantiles"] == sorted(metrics["return_quantiles"])
    assert metrics["length_quantiles"] == [1] * 101


@pytest.mark.parametrize("cuts", [[], [1], [10, 11, 50], list(range(1, 100))])
@pytest.mark.parametrize("kept", [20, 1000])
def test_pieces_give_the_numbers_of_the_whole(cuts: list[int], kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "_KEPT", kept)
    generator = torch.Generator().manual_seed(1)
    done = torch.rand(3, 100, 1, generator=generator) < 0.2
    done[1, 60:] = False
    reward = torch.randint(-3, 9, (3, 100, 1), generator=generator).float()
    whole = TensorDict({"next": {"done": done, "reward": reward}}, batch_size=[3, 100])
    expected = of(whole).metrics()
    assert expected.get("quantiles_of") == (20 if kept == 20 else None)
    monkeypatch.setattr(episodes, "_WINDOW", 7)
    parts = [whole[:, start:stop] for start, stop in zip([0, *cuts], [*cuts, 100], strict=True)]
    assert of(*parts).metrics() == expected


def test_of_many_episodes_the_quantiles_are_those_of_a_sample() -> None:
    count = 200_000
    returns = torch.randperm(count, generator=torch.Generator().manual_seed(0)).double()
    data = TensorDict({"next": {"reward": returns, "done": torch.ones(count, dtype=torch.bool)}}, [count])
    metrics = of(data).metrics()
    assert metrics["quantiles_of"] == 2**14
    found = np.array(metrics["return_quantiles"])
    assert (found[0], found[-1]) == (0, count - 1), "the ends are those of all"
    assert np.abs(found / count - np.linspace(0, 1, 101)).max() < 0.015


def test_a_million_small_rewards_keep_their_digits() -> None:
    steps = 1_000_000
    data = TensorDict(
        {"next": {"reward": torch.full((steps, 1), 0.1), "done": torch.zeros(steps, 1, dtype=torch.bool)}}, [steps]
    )
    data["next", "done"][-1] = True
    assert of(data).ended.returns[0] == pytest.approx(0.1 * steps, rel=1e-7)


@pytest.mark.parametrize("path", [("next", "restarted"), ("next", "agents", "restarted")])
@pytest.mark.parametrize("at", [2, 3])
def test_an_episode_whose_env_was_lost_did_not_end(path: tuple[str, ...], at: int) -> None:
    data = rollout([[1, 2, 3, 4, 5, 6]], [[0, 1, 0, 1, 0, 1]])
    data[path] = torch.tensor([[0, 0, 0, 1, 0, 0]], dtype=torch.bool).unsqueeze(-1)
    found = of(data[:, :at], data[:, at:])
    metrics = found.metrics()
    assert (metrics["episodes"], metrics["restarted_episodes"], metrics["unfinished_episodes"]) == (2, 1, 0)
    assert (metrics["return_quantiles"], metrics["length_quantiles"]) == ([3, 11], [2, 2])
    assert metrics["reward_sum"] == 21
    assert found.ended.steps.tolist() == [6]
