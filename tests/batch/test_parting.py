"""What envs have started outside of their process is ended with them, also where one of them fails."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.worker_pool import WorkerPool
from envcli.errors import EnvError
from envcli.testing.toys import CountingEnv
from tests.batch.faults import Faulty, is_alive

SOON = 1.0  # seconds until an error must be there
BUSY = 3.5  # seconds more, for a machine that does other things beside


class Outside(Faulty):
    """Its simulator is a program of its own, which ``close`` ends and says so."""

    def __init__(self, folder: Path, index: int, *fault: Any, **options: Any) -> None:
        self.slowly = options.pop("slowly", False)
        self.program = subprocess.Popen(["sleep", "600"], start_new_session=options.pop("own_session", False))
        (folder / f"started {self.program.pid}").touch()
        self.folder, self.index = folder, index
        super().__init__(*fault, **options)

    def answer(self) -> bytes:
        """More than goes into a socket at once."""
        if self.index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return bytes(10**7)

    def _close(self) -> None:
        super()._close()
        if self.slowly:
            time.sleep(600)
        (self.folder / f"closed {self.index}").touch()
        self.program.kill()
        self.program.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the envs say what they start and close. What they have left running is killed in the end."""
    yield tmp_path
    for pid in running(tmp_path, patience=0):
        os.kill(pid, signal.SIGKILL)


def running(folder: Path, patience: float = 5) -> list[int]:
    """What is left of the programs that were started, after a while."""
    until = time.monotonic() + patience
    pids = [int(name.split()[1]) for name in os.listdir(folder) if name.startswith("started")]
    while (left := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def closed(folder: Path) -> list[int]:
    return sorted(int(name.split()[1]) for name in os.listdir(folder) if name.startswith("closed"))


def batch(folder: Path, kind: str, phase: str = "step", *, slowly: bool = False, **options: Any) -> ParallelEnv:
    """Four envs, two to a worker, of which number 2 fails."""
    makers = [
        lambda i=i: Outside(folder, i, *((kind, phase, 3) if i == 2 else ()), slowly=slowly and i == 0)
        for i in range(4)
    ]
    return ParallelEnv(4, makers, num_workers=2, **options)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"start_method": "fork"},
        {"local_worker": True},
        {"on_worker_death": "restart"},
        pytest.param({"start_method": "spawn"}, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("step_by_step", [False, True])
def test_where_an_env_raises_all_are_closed(folder: Path, options: dict[str, Any], step_by_step: bool) -> None:
    env = batch(folder, "raises", **options)
    with pytest.raises(EnvError, match=r"env 2 .* in step 3: ValueError"):
        env.rollout(9, break_when_any_done=step_by_step)
    assert env.is_closed
    assert closed(folder) == [0, 1, 2, 3]
    assert not running(folder)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("kind", ["is killed", "exits", "hangs", "is stopped"])
def test_what_a_lost_worker_had_started_is_killed_and_the_others_close(folder: Path, kind: str) -> None:
    with pytest.raises(EnvError, match="env 2"):
        batch(folder, kind, step_timeout=1).rollout(9, break_when_any_done=False)
    assert closed(folder) == [0, 1]
    assert not running(folder)


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_is_replaced_leaves_nothing_running(folder: Path) -> None:
    with batch(folder, "is killed", on_worker_death="restart") as env:
        env.rollout(9, break_when_any_done=False)
        assert len(env.restarts) >= 1
        assert len(os.listdir(folder)) > 4
    assert not running(folder)


@pytest.mark.usefixtures("nothing_left")
def test_an_answer_that_nobody_wants_keeps_no_env_from_closing(folder: Path) -> None:
    env = batch(folder, "")
    env.start()
    with pytest.raises(EnvError, match=r"env 2 .* in call: the worker was killed"):
        env.answer()
    assert closed(folder) == [0, 1]
    assert not running(folder)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("kind", ["raises", "is killed"])
def test_an_env_that_is_slow_to_close_does_not_hold_the_error(folder: Path, kind: str) -> None:
    env = batch(folder, kind, slowly=True)
    env.reset()
    began = time.perf_counter()
    with pytest.raises(EnvError, match="env 2"):
        env.rollout(9, break_when_any_done=False)
    assert time.perf_counter() - began < SOON + BUSY
    assert 0 not in closed(folder)
    assert not running(folder)


@pytest.mark.usefixtures("nothing_left")
def test_what_an_env_leaves_on_purpose_is_left(folder: Path) -> None:
    """Beyond its close, or in a session of its own."""

    class Leaves(Outside):
        def _close(self) -> None:
            pass

    with ParallelEnv(2, lambda: Leaves(folder, 0), num_workers=2) as env:
        env.rollout(3)
    assert len(running(folder, patience=0.5)) == 2

    env = ParallelEnv(1, lambda: Outside(folder, 0, "is killed", "step", own_session=True))
    with pytest.raises(EnvError, match="was killed"):
        env.rollout(3)
    assert len(running(folder, patience=0.5)) == 3


class EndsFirst:
    """A poll that tells of the end of workers, and nothing of what they said before."""

    def __init__(self, pool: WorkerPool) -> None:
        self._fds = {fd: worker for fd, (worker, ended) in pool._by_fd.items() if ended}

    def poll(self, patience: float) -> list[tuple[int, int]]:
        for worker in self._fds.values():
            assert worker.process is not None
            assert worker.process.status(10) == 0
        return [(fd, select.POLLIN) for fd in self._fds]

    def unregister(self, fd: int) -> None:
        del self._fds[fd]


class RingsLate:
    """A poll that tells of the bell of the first worker twice, before it tells of the second.

    An earlier ring can be why its answer was read before it rang for that.
    """

    def __init__(self, pool: WorkerPool) -> None:
        self._workers = list(pool._workers)
        self._order = iter([0, 0, 1])

    def poll(self, patience: float) -> list[tuple[int, int]]:
        worker = self._workers[next(self._order)]
        assert worker.process is not None
        assert worker.process.status(10) == 0
        worker.channel.answer.ring()
        return [(worker.channel.answer.listen_fd, select.POLLIN)]


@pytest.mark.parametrize("poll", [EndsFirst, RingsLate])
def test_the_last_answer_is_heard_once_whatever_is_noticed_first(poll: Any) -> None:
    env = ParallelEnv(2, CountingEnv, num_workers=2)
    env.rollout(2)
    assert isinstance(env._pool, WorkerPool)
    env._pool._poll = poll(env._pool)
    env.close()
