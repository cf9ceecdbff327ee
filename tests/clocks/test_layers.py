"""Clocks in the layers: every layer has its time, and the rollouts stay what they were."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from envcli.batch.share import Share
from envcli.bench.workload import Workload
from envcli.clocks.layers import Layers
from envcli.clocks.parts import ACTIONS, BACKEND, LOOP, MEMORY, PIXELS, POLICY, POLICY_ROWS, RESETS, STEPS, WAITING
from envcli.contenders.envcli import EnvcliContender
from envcli.envs.rollout import Rollout

CARTPOLE = {"type": "gym", "name": "CartPole-v1"}
IMAGES = {
    "noop": {"type": "noop_reset_env", "noops": 3},
    "gray": {"type": "gray_scale"},
    "small": {"type": "resize", "w": 20, "h": 20},
}
COUNTED = {"counted": {"type": "step_counter"}}


@pytest.fixture
def layers() -> Iterator[Layers]:
    found = Layers()
    yield found
    found.remove()
    Layers._only = None


def read(layers: Layers, steps: int = 60, **cfg: Any) -> tuple[dict[str, Any], int]:  # Any: what JSON can hold
    """What the clocks say of one pass, and the nanoseconds that it took."""
    contender = EnvcliContender(Workload({"backend": CARTPOLE, **cfg}, steps, 3))
    run = layers.time_whole(contender.run)
    run()
    layers.clear()
    begin = time.perf_counter_ns()
    run()
    whole = time.perf_counter_ns() - begin
    found = layers.read()
    contender.close()
    return found, whole


def test_all_layers_of_one_env_sum_to_the_whole(layers: Layers) -> None:
    found, whole = read(layers, transforms=COUNTED)
    parts = found["main"]["parts"]
    assert set(parts) >= {ACTIONS, STEPS, RESETS, BACKEND, "transforms.counted", LOOP, MEMORY}
    assert 0.9 * whole < sum(parts.values()) + found["main"]["clocks"] <= whole
    assert found["workers"] == []


def test_of_an_env_on_tensordicts_what_its_author_wrote_is_the_simulator(layers: Layers) -> None:
    own = {"type": "custom", "name": "envcli.testing.toys:CountingEnv"}
    found, _ = read(layers, backend=own, allow_imports=True)
    assert set(found["main"]["parts"]) >= {STEPS, RESETS, BACKEND}


def test_images_that_are_run_as_one_have_a_part_each(layers: Layers) -> None:
    pytest.importorskip("ale_py")
    found, _ = read(layers, 20, backend={"type": "ale", "name": "Pong", "max_pool": True}, transforms=IMAGES)
    parts = found["main"]["parts"]
    assert set(parts) >= {STEPS, PIXELS, "transforms.noop", "transforms.gray", "transforms.small"}
    assert all(parts[part] > 0 for part in (STEPS, PIXELS, "transforms.gray", "transforms.small"))


def test_frames_of_others_have_a_part(layers: Layers) -> None:
    pytest.importorskip("pygame")
    floats = {"to": {"type": "to_tensor_image"}, "gray": {"type": "gray_scale"}}
    found, _ = read(layers, 5, from_pixels=True, transforms=floats)
    assert set(found["main"]["parts"]) >= {STEPS, PIXELS, "transforms.gray"}


def test_a_policy_is_told_from_its_rows(layers: Layers) -> None:
    found, _ = read(layers, policy={"type": "zero"}, parallel={"type": "serial", "num_envs": 2})
    assert set(found["main"]["parts"]) >= {POLICY, POLICY_ROWS, STEPS}


@pytest.mark.usefixtures("fork_server")
def test_workers_have_parts_of_their_own(layers: Layers) -> None:
    batch = {"type": "processes", "num_envs": 3, "num_workers": 2}
    outer = {"sum": {"type": "reward_sum"}}
    found, whole = read(layers, parallel=batch, transforms=COUNTED, outer_transforms=outer)
    main, workers = found["main"], found["workers"]
    assert set(main["parts"]) >= {WAITING, "outer_transforms.sum"}
    assert len(workers) == 2
    for worker in workers:
        assert set(worker["parts"]) >= {STEPS, BACKEND, LOOP, "transforms.counted"}
        assert 0 < sum(worker["parts"].values()) < whole
        assert worker["spans"][LOOP]
    assert main["spans"][WAITING]


@pytest.mark.usefixtures("fork_server")
def test_a_local_worker_is_part_of_the_main_process(layers: Layers) -> None:
    batch = {"type": "processes", "num_envs": 4, "num_workers": 2, "local_worker": True}
    found, whole = read(layers, parallel=batch, transforms=COUNTED)
    (worker,) = found["workers"]
    for process in (found["main"], worker):
        assert set(process["parts"]) >= {STEPS, BACKEND, LOOP, "transforms.counted"}
        assert 0 < sum(process["parts"].values()) < whole
        assert process["spans"][LOOP]
    assert found["main"]["parts"][WAITING] > 0


def test_the_same_rollouts_with_and_without(layers: Layers) -> None:
    made = []
    for clocked in (True, False):
        if not clocked:
            layers.remove()
        contender: Any = EnvcliContender(Workload({"backend": CARTPOLE, "transforms": COUNTED}, 50, 3))
        torch.manual_seed(0)
        made.append(contender._env.rollout(50, break_when_any_done=False))
        contender.close()
    assert (made[0] == made[1]).all()


def test_it_takes_its_clocks_out_again() -> None:
    before = Rollout._carry, Share.step_row, Share.autoreset_rows
    layers = Layers()
    assert Rollout._carry is not before[0]
    layers.remove()
    assert (Rollout._carry, Share.step_row, Share.autoreset_rows) == before
    Layers._only = None
