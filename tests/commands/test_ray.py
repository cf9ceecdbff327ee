"""Rollouts in Ray actors, as they are typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import envcli
from tests.batch.faults import descendants
from tests.conftest import Command
from tests.ray.stand_in_cluster import StandInCluster

WORDS = ("env=cartpole", "parallel.num_envs=3", "seed=1")


def test_total_steps_are_streamed_into_the_same_files(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envcli.ray.ray_env.RayCluster", StandInCluster)
    stream = ("total_steps=1000", "shard_steps=128", "parallel=ray", "parallel.num_actors=2", "hydra.run.dir=a")
    done = cli("rollout", *WORDS, *stream)
    assert (done.code, done.err) == (0, "")
    assert "steps     1,002, 334 of each of 3 envs" in done.out
    cli("rollout", *WORDS, "max_steps=334", "parallel=serial", "hydra.run.dir=b")
    one, two = (envcli.load_rollout(tmp_path / run, verify=True) for run in "ab")
    assert all(torch.equal(one[key], two[key]) for key in two.keys(True, True))


def test_without_ray_it_says_what_to_type(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = cli("rollout", *WORDS, "parallel=ray")
    cure = "parallel=ray needs ray, which is not installed. Type: pip install 'envcli[ray]'"
    assert (done.code, done.out, done.err) == (2, "", f"error: {cure}\n")


def test_what_needs_one_machine_is_refused(cli: Command) -> None:
    done = cli("rollout", *WORDS, "parallel=ray", "transforms=[vec_norm]", "transforms.vec_norm.shared=true")
    assert (done.code, done.err) == (
        2,
        "error: parallel=ray: envs on several machines cannot share statistics. Type: parallel=processes\n",
    )
    for word in ("tune", "profile"):
        done = cli("bench", *WORDS, "parallel=ray", f"{word}=true")
        assert (done.code, "Type: parallel=processes" in done.err) == (2, True)


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_a_cluster_of_its_own_comes_and_goes(shell: Command) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'envcli[ray]'")
    before = set(descendants())
    done = shell("rollout", *WORDS, "parallel=ray", "parallel.num_actors=2", "max_steps=100", "json=true")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["steps"] == 300
    assert set(descendants()) <= before
