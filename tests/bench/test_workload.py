from __future__ import annotations

from typing import Any

import pytest

from envcli.bench.workload import Workload


def work(**cfg: Any) -> Workload:  # Any: what a YAML holds
    return Workload(cfg, steps=10, seed=0)


def test_one_env_is_one() -> None:
    assert (work().kind, work().envs, work().workers) == ("none", 1, 1)


def test_a_batch_has_its_numbers() -> None:
    found = work(parallel={"type": "processes", "num_envs": 8, "num_workers": 2})
    assert (found.kind, found.envs, found.workers) == ("processes", 8, 2)
    assert work(parallel={"type": "processes", "num_envs": 1, "num_workers": None}).workers == 1
    assert work(parallel={"type": "serial", "num_envs": 3}).workers == 1


def test_a_batch_of_the_simulators_own_has_its_numbers_too() -> None:
    found = work(parallel={"type": "none", "num_envs": 8}, backend={"num_threads": 2})
    assert (found.kind, found.envs, found.workers) == ("none", 8, 2)
    assert work(parallel={"type": "none", "num_envs": 8}).workers == 1


@pytest.mark.parametrize(
    "backend",
    [
        {"type": "torch"},
        {"type": "brax"},
        {"type": "mujoco_playground"},
        {"type": "gymnasium_vector"},
        {"type": "vmas"},
        {"num_threads": None},
    ],
)
def test_an_engine_is_a_batch_by_nature(backend: dict[str, Any]) -> None:
    assert work(backend=backend).steps_at_once
    assert not work(backend=backend, parallel={"type": "serial", "num_envs": 3}).steps_at_once
    assert not work(backend={"type": "gym"}).steps_at_once
    assert work(backend={"type": "custom"}, parallel={"type": "none", "num_envs": 3}).steps_at_once


@pytest.mark.parametrize(
    ("cfg", "frames"),
    [
        ({"backend": {"type": "gym"}}, 1),
        ({"backend": {"type": "gym"}, "frame_skip": 3}, 3),
        ({"backend": {"type": "ale"}}, 4),
        ({"backend": {"type": "ale_vector"}}, 4),
        ({"backend": {"type": "ale"}, "frame_skip": 2}, 2),
        ({"backend": {"type": "ale", "name": "ALE/Pong-v5"}}, 4),
        ({"backend": {"type": "gym", "name": "ALE/Pong-v5"}}, None),  # it may repeat by itself
        ({"backend": {"type": "envpool", "name": "Pong-v5"}, "transforms": {"skip": {"type": "frame_skip"}}}, None),
        ({"backend": {"type": "ale"}, "transforms": {"skip": {"type": "frame_skip", "frame_skip": 2}}}, 8),
    ],
)
def test_a_step_takes_frames(cfg: dict[str, Any], frames: int | None) -> None:
    assert work(**cfg).frames_per_step == frames
