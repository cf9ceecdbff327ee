"""Nothing is left of a batch: not after many, not where nobody closes it, not where the main process is ended."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from envcli.batch.parallel_env import ParallelEnv
from envcli.testing.toys import CountingEnv
from tests.batch.faults import Belongings, descendants, makers

ROOT = Path(__file__).parent.parent.parent

SCRIPT = """
import signal, sys, time, torch
(torch.randn(600, 600) @ torch.randn(600, 600)).sum()  # the threads of OpenMP are there before the workers are
from envcli import ParallelEnv
from tests.batch.faults import Faulty
METHOD, KIND, PHASE = sys.argv[1:]
SECONDS = 0.002  # what a maker reads of the script goes along
def make():
    return Faulty(KIND, PHASE, seconds=SECONDS)
class Later(Faulty):
    pass
env = ParallelEnv(3, [make, lambda: Later(seconds=SECONDS), Faulty], num_workers=2, start_method=METHOD)
"""  # and no guard: the script's top level builds the batch
ROLLS = (
    SCRIPT
    + """
env.start()
print("ready", flush=True)
env.rollout(10**6, break_when_any_done=False)
"""
)
FORGETS = (
    SCRIPT
    + """
print(list(env.rollout(7, break_when_any_done=False).shape), flush=True)
sys.exit(7)
"""
)


class Script:
    """A main process of its own, whose family can be told by a mark in its environment."""

    def __init__(self, text: str, *words: str) -> None:
        self.mark = f"FAULTS={os.urandom(8).hex()}"
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            [sys.executable, "-c", text, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C of the tests is not one of the script
        )

    def say(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def family(self) -> list[int]:
        """All its processes that run."""
        found = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                environ = Path(f"/proc/{entry}/environ").read_bytes()
            except OSError:
                continue
            if self.mark.encode() in environ:
                found.append(int(entry))
        return found

    def end(self, seconds: float) -> tuple[int, str]:
        """Its exit code and what it complained of; it and its family must be gone within ``seconds``."""
        until = time.monotonic() + seconds
        _, complaints = self.process.communicate(timeout=30)
        while (family := self.family()) and time.monotonic() < until:
            time.sleep(0.01)
        assert not family
        assert time.monotonic() < until + 1  # for a machine that does other things beside
        return self.process.returncode, complaints


@pytest.fixture
def nothing_left() -> Iterator[None]:
    gc.collect()
    segments = Belongings.now().segments
    yield
    assert Belongings.now().segments <= segments


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("number", "kind", "method"),
    [
        ("SIGTERM", "", "fork"),
        ("SIGHUP", "hangs", "fork"),
        ("SIGKILL", "is stopped", "fork"),
        ("SIGKILL", "hangs", "forkserver"),
        pytest.param("SIGKILL", "is stopped", "spawn", marks=pytest.mark.slow),
        pytest.param("SIGTERM", "is stopped", "forkserver", marks=pytest.mark.slow),
        pytest.param("SIGHUP", "", "forkserver", marks=pytest.mark.slow),
    ],
)
def test_workers_end_with_the_main_process(number: str, kind: str, method: str) -> None:
    script = Script(ROLLS, method, kind, "step")
    assert script.say() == "ready", script.end(9)
    time.sleep(0.2)
    assert len(script.family()) >= 3
    signum = getattr(signal, number)
    script.process.send_signal(signum)
    code, complaints = script.end(1)
    assert code == -signum  # as a shell says it, 128 + signum
    assert not complaints


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_the_main_process_may_end_while_workers_start(method: str) -> None:
    script = Script(SCRIPT + "print('ready', flush=True); env.start()", method, "hangs", "build")
    assert script.say() == "ready", script.end(9)
    time.sleep(0.5)
    script.process.kill()
    assert script.end(1) == (-signal.SIGKILL, "")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("method", ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_script_needs_no_guard_and_may_forget_to_close(method: str) -> None:
    script = Script(FORGETS, method, "", "")
    assert script.say() == "[3, 7]"
    assert script.end(3) == (7, "")


@pytest.mark.slow
def test_who_forgets_a_hung_env_ends_as_well() -> None:
    script = Script(FORGETS, "fork", "hangs", "close")
    assert script.say() == "[3, 7]"
    assert script.end(8) == (7, "")


def test_a_batch_that_nobody_holds_is_closed() -> None:
    gc.collect()
    before = Belongings.now()
    env = ParallelEnv(2, CountingEnv, num_workers=2, start_method="fork")
    env.rollout(3)
    del env
    gc.collect()
    assert not Belongings.now().more_than(before)


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_outlive_the_thread_that_started_them(method: str) -> None:
    envs = [ParallelEnv(2, CountingEnv, num_workers=2, start_method=method)]
    thread = threading.Thread(target=envs[0].start)
    thread.start()
    thread.join()
    time.sleep(0.1)
    with envs.pop() as env:
        assert env.rollout(3).shape == (2, 3)


def test_two_threads_may_start_batches_at_once() -> None:
    shapes = []

    def run() -> None:
        with ParallelEnv(2, CountingEnv, num_workers=2) as env:
            shapes.append(tuple(env.rollout(3).shape))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shapes == [(2, 3)] * 3


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_main_process_with_threads_is_no_obstacle(method: str) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        (torch.randn(600, 600) @ torch.randn(600, 600)).sum()
        with ParallelEnv(2, CountingEnv, num_workers=2, start_method=method) as env:
            assert env.rollout(3).shape == (2, 3)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("method", "cycles"), [("fork", 20), ("forkserver", 10), pytest.param("forkserver", 200, marks=pytest.mark.slow)]
)
def test_many_batches_after_another_leave_nothing(method: str, cycles: int) -> None:
    def once() -> None:
        with ParallelEnv(2, CountingEnv, num_workers=2, start_method=method) as env:
            env.rollout(3)

    once()
    gc.collect()
    before, files = Belongings.now(), files_of_all()
    for _ in range(cycles):
        once()
    gc.collect()
    assert not Belongings.now().more_than(before)
    assert files_of_all() <= files


def files_of_all() -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in descendants())


def test_a_fault_leaves_no_nursery_behind() -> None:
    """Which otherwise stays a while, for the next batch."""
    gc.collect()
    before = set(descendants().values())
    if "envcli-nursery" in before:
        pytest.skip("another test has a nursery")
    env = ParallelEnv(4, makers("is killed", "step"), num_workers=2)
    with pytest.raises(RuntimeError, match="was killed by SIGKILL"):
        env.rollout(3)
    assert set(descendants().values()) == before


@pytest.mark.slow
def test_a_thousand_envs() -> None:
    began = time.perf_counter()
    env = ParallelEnv(1000, CountingEnv, num_workers=2)
    env.start()
    started = time.perf_counter()
    assert env.rollout(2).shape == (1000, 2)
    made = time.perf_counter()
    env.close()
    assert started - began < 20  # 10, on a machine that does nothing else
    assert time.perf_counter() - made < 2
