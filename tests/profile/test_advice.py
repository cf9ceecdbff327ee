"""What to change first. What is typed for each part is tested beside, in test_breakdown.py."""

from __future__ import annotations

from typing import Any

import pytest

from envcli.bench.workload import Workload
from envcli.clocks.parts import BACKEND, IDLE, LOOP, MEMORY, PIXELS, POLICY, POLICY_ROWS, RESETS, STEPS, WAITING
from envcli.profile.advice import advice
from envcli.profile.breakdown import Breakdown, Column

BATCH = {"type": "processes", "num_envs": 4, "num_workers": 4}


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envcli.profile.advice.cores", lambda: 2)


def said(*columns: dict[str, float], of_waiting: dict[str, float] | None = None, **cfg: Any) -> str:
    us = sum(columns[0].values())
    found = Breakdown(1, us, 0.0, 1.0, 0.0, 0.0, [Column("", parts) for parts in columns], of_waiting or {})
    return advice(found, Workload(cfg, 10, 0))


def test_the_larger_of_two_with_a_cure_comes_first() -> None:
    backend = {"checks": "full"}
    assert said({POLICY: 6, BACKEND: 4}, backend=backend).startswith("change first: policy, 60 % of a step. ")
    assert said({POLICY: 4, BACKEND: 6}, backend=backend) == (
        "change first: backend, 60 % of a step. Check less often: backend.checks=first"
    )


def test_a_larger_one_without_a_cure_is_passed_over() -> None:
    assert said({LOOP: 60, POLICY: 40}).startswith("change first: policy, 40 %")
    assert said({BACKEND: 60, POLICY: 40}, backend={"checks": "first"}).startswith("change first: policy, 40 %")


def test_what_is_little_is_not_worth_a_change() -> None:
    assert said({LOOP: 96, POLICY: 4}) == (
        "nothing to change in a step by typing: the largest part is loop, 96 % of it. "
        "To try other numbers of envs and workers, add tune=true"
    )
    assert said({LOOP: 95, POLICY: 5}).startswith("change first: policy")


def test_where_the_simulator_is_the_time_that_is_said_of_all_its_parts_together() -> None:
    assert said({STEPS: 3, PIXELS: 3, RESETS: 1, MEMORY: 3}, parallel=BATCH) == (
        "nothing to change in a step: the simulator itself is the time, 70 % of it. "
        "To try other numbers of envs and workers, add tune=true"
    )


def test_what_workers_do_stands_for_the_wait_of_the_main_process() -> None:
    main, worker = {WAITING: 9.0, LOOP: 1.0}, {BACKEND: 6.0, IDLE: 4.0}
    found = said(main, worker, backend={"checks": "full"}, parallel=BATCH)
    assert found.startswith("change first: backend, 60 % of a step.")
    assert said(main, {STEPS: 4.0, IDLE: 6.0}, parallel=BATCH) == (
        "nothing to change in a step by typing: the largest part is simulator: steps, 40 % of it. "
        "To try other numbers of envs and workers, add tune=true"
    )


def test_an_env_alone_is_spread_over_the_cores_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said({STEPS: 9.0}).endswith("could run on 2 cores. Whether that pays, measure: tune=true")
    monkeypatch.setattr("envcli.profile.advice.cores", lambda: 1)
    assert said({STEPS: 9.0}).startswith("nothing to change in a step: the simulator itself is the time")


def test_workers_that_are_fewer_than_cores_become_more() -> None:
    few = {"type": "processes", "num_envs": 4, "num_workers": 1}
    assert said({STEPS: 9.0}, parallel=few).endswith("have 2 workers on 2 cores. Whether that pays, measure: tune=true")


def test_even_shares_that_wait_for_each_other_become_larger() -> None:
    waits = {"all": 0.1, "some": 0.9, "none": 0.0}
    assert said({WAITING: 9.0}, of_waiting=waits, parallel=BATCH) == (
        "change first: waiting for the slowest worker, 90 % of a step. "
        "With more envs in each share they could take more alike. Whether that pays, measure: tune=true"
    )


def test_a_transform_of_all_envs_is_left_to_the_workers() -> None:
    chain = {"c": {"type": "reward_sum"}}
    assert said({"outer_transforms.c": 9.0}, outer_transforms=chain, parallel=BATCH).endswith(
        "The workers could do it, each for its own envs. Whether that pays, measure: tune=true"
    )
    assert said({"transforms.c": 9.0}, transforms=chain, parallel=BATCH).startswith("nothing to change")


def test_a_transform_that_words_cannot_move_inside_stays() -> None:
    two = {"c": {"type": "reward_sum"}, "d": {"type": "clip", "low": -1}}
    nothing = "nothing to change"
    assert said({"outer_transforms.d": 9.0}, outer_transforms=two, parallel=BATCH).startswith(nothing), "c is before it"
    within = {"c": {"type": "reward_sum"}}
    chains = {"transforms": within, "outer_transforms": within}
    assert said({"outer_transforms.c": 9.0}, **chains, parallel=BATCH).startswith(nothing), "it would be there twice"


def test_workers_are_no_more_than_envs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envcli.profile.advice.cores", lambda: 8)
    few = {"type": "processes", "num_envs": 4, "num_workers": 1}
    assert said({STEPS: 9.0}, parallel=few).endswith("have 4 workers on 8 cores. Whether that pays, measure: tune=true")


def test_a_batch_by_nature_becomes_larger_for_a_policy() -> None:
    many = {"type": "none", "num_envs": 64}
    assert said({POLICY: 9.0}, parallel=many).endswith(
        "there could be more. Whether that pays, measure: 'variant={parallel.num_envs: 128}'"
    )


@pytest.mark.parametrize("kind", ["none", "serial", "processes"])
@pytest.mark.parametrize("part", [STEPS, POLICY, POLICY_ROWS, WAITING, LOOP, "outer_transforms.c"])
def test_what_clocks_do_not_tell_is_measured(kind: str, part: str) -> None:
    """How many envs and workers, and on which side transforms are: ``tune=true`` may find the opposite."""
    parallel = {"type": kind, "num_envs": 1 if kind == "none" else 4, "num_workers": 1}
    for waits in ("some", "none"):
        found = said(
            {part: 9.0}, of_waiting={waits: 1.0}, parallel=parallel, outer_transforms={"c": {"type": "reward_sum"}}
        )
        assert "parallel" not in found
        assert "~" not in found
        assert found.endswith("tune=true")


def test_different_envs_are_measured_by_a_variant() -> None:
    """``tune=true`` refuses them, as it does engines."""
    for part in (LOOP, STEPS, POLICY):
        assert "tune" not in said({part: 9.0}, backend={"type": "torch"})
    few = {"type": "processes", "num_envs": 4, "num_workers": 1}
    assert said({STEPS: 9.0}, parallel=few, envs={"a": {}, "b": {}}).endswith("'variant={parallel.num_workers: 2}'")
    assert "tune" not in said({LOOP: 9.0}, parallel=few, envs={"a": {}, "b": {}})
