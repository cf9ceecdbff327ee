from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from envcli.bench.lane import Lane, Skipped
from envcli.bench.workload import Workload
from envcli.errors import ConfigError, EnvError
from envcli.processes import family

CARTPOLE: dict[str, Any] = {"backend": {"type": "gym", "name": "CartPole-v1"}}


def lane(tmp_path: Path, name: str = "native", timeout: float = 200, **cfg: Any) -> Lane:  # Any: what a YAML holds
    return Lane(name, Workload({**CARTPOLE, **cfg}, 100, 0), tmp_path / "log.txt", timeout=timeout)


def test_a_lane_runs_when_it_is_asked(tmp_path: Path) -> None:
    with lane(tmp_path) as native:
        assert native.start_seconds > 0
        sample = native.run(passes=3)
        assert sample.steps == 300
        assert sample.wall > 0
        assert sample.cpu > 0
        assert native.memory()["main"] > 1e6
        assert native.actions(tmp_path / "a.npy").actions is None  # it cannot say them
        process = native._process
    assert process.poll() is not None
    native.close()
    assert not (tmp_path / "log.txt").exists()


def test_the_time_of_workers_counts(tmp_path: Path) -> None:
    """Each env of gymnasium's AsyncVectorEnv has a process of its own."""
    with lane(tmp_path, "gymnasium_async", parallel={"type": "processes", "num_envs": 3}) as vector:
        workers = family(vector._process.pid)[1:]
        assert len(workers) >= 3
        assert len(vector.memory()["others"]) == len(workers)
        sample = vector.run(passes=5)
        assert sample.steps == 5 * 3 * 100
        assert sample.cpu > 0
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_what_a_contender_cannot_do_it_says(tmp_path: Path) -> None:
    with pytest.raises(Skipped, match="it plays Atari's games"):
        lane(tmp_path, "ale_vector")
    with pytest.raises(Skipped, match="resize: the peers that step gymnasium's own envs"):
        lane(tmp_path, "gymnasium_sync", transforms={"resize": {"type": "resize", "w": 3, "h": 3}})


def test_a_mistake_in_the_configuration_is_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no gymnasium env 'CartPoll-v1'"):
        lane(tmp_path, backend={"type": "gym", "name": "CartPoll-v1"})


@pytest.mark.parametrize("long_gone", [False, True])
def test_a_process_that_ends_is_noticed_at_once(tmp_path: Path, long_gone: bool) -> None:
    """Before it is asked something, or while; to close it is silent both times."""
    with lane(tmp_path) as native:
        os.kill(native._process.pid, signal.SIGKILL)
        if long_gone:
            os.waitid(os.P_PID, native._process.pid, os.WEXITED | os.WNOWAIT)
        start = time.monotonic()
        with pytest.raises(EnvError, match=r"native: its process ended with -9 at 'run'"):
            native.run(1)
        assert time.monotonic() - start < 5


def test_one_that_hangs_is_given_up(tmp_path: Path) -> None:
    with lane(tmp_path) as native:
        native._timeout = 0.6
        os.kill(native._process.pid, signal.SIGSTOP)
        with pytest.raises(EnvError, match=r"native: no answer to 'run' within 0.6 s"):
            native.run(1)
        native.close()
        assert native._process.poll() is not None
