"""Nothing is left of a batch: not after many, not where nobody closes it, not where the main process is ended."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import torch

from envcli.batch import process
from envcli.batch.parallel_env import ParallelEnv
from envcli.testing.toys import CountingEnv
from tests.batch.faults import Belongings, descendants, makers
from tests.batch.script import Mother, Script
from tests.batch.test_faults import BUSY

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
WORKERS = 1 if METHOD == "spawn" else 2  # each of which imports torch then
env = ParallelEnv(3, [make, lambda: Later(seconds=SECONDS), Faulty], num_workers=WORKERS, start_method=METHOD)
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


OF_SCRIPTS = pytest.mark.xdist_group("scripts")  # one mother for all


@OF_SCRIPTS
def test_what_belongs_together_is_run_by_one_process(request: pytest.FixtureRequest) -> None:
    """As pytest-xdist says it; some versions of pytest it cannot tell."""
    assert request.node.nodeid.endswith("@scripts") or "PYTEST_XDIST_WORKER" not in os.environ


@pytest.fixture(scope="module")
def mother() -> Iterator[Mother]:
    found = Mother()
    yield found
    found.close()


@pytest.fixture
def script(mother: Mother) -> Iterator[Callable[..., Script]]:
    """``script(text, *words)``: a main process of its own."""
    made: list[Script] = []

    def run(text: str, *words: str) -> Script:
        made.append(Script(mother, text, *words))
        return made[-1]

    yield run
    for one in made:
        one.close()


@pytest.fixture
def nothing_left() -> Iterator[None]:
    gc.collect()
    segments = Belongings.now().segments
    yield
    assert Belongings.now().segments <= segments


@OF_SCRIPTS
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
def test_workers_end_with_the_main_process(number: str, kind: str, method: str, script: Callable[..., Script]) -> None:
    main = script(ROLLS, method, kind, "step")
    assert main.say() == "ready", main.end(9)
    time.sleep(0.2)
    assert len(main.family()) >= 3
    signum = getattr(signal, number)
    os.kill(main.pid, signum)
    assert main.end(1 + BUSY) == (-signum, "")  # as a shell says it, 128 + signum


@OF_SCRIPTS
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_the_main_process_may_end_while_workers_start(method: str, script: Callable[..., Script]) -> None:
    main = script(SCRIPT + "print('ready', flush=True); env.start()", method, "hangs", "build")
    assert main.say() == "ready", main.end(9)
    time.sleep(0.5)
    os.kill(main.pid, signal.SIGKILL)
    assert main.end(1 + BUSY) == (-signal.SIGKILL, "")


@OF_SCRIPTS
@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("method", ["fork", "forkserver", pytest.param("spawn", marks=pytest.mark.slow)])
def test_a_script_needs_no_guard_and_may_forget_to_close(method: str, script: Callable[..., Script]) -> None:
    main = script(FORGETS, method, "", "")
    assert main.say() == "[3, 7]", main.end(9)
    assert main.end(3 + BUSY) == (7, "")


@OF_SCRIPTS
@pytest.mark.slow
def test_who_forgets_a_hung_env_ends_as_well(script: Callable[..., Script]) -> None:
    main = script(FORGETS, "fork", "hangs", "close")
    assert main.say() == "[3, 7]", main.end(9)
    assert main.end(8 + BUSY) == (7, "")


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


@pytest.mark.parametrize("method", ["fork", "forkserver"])
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
    workers = 1 if cycles > 100 else 2

    def once() -> None:
        with ParallelEnv(workers, CountingEnv, num_workers=workers, start_method=method) as env:
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


def test_a_fault_leaves_no_nursery_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which otherwise stays a while, for the next batch."""
    monkeypatch.setattr(process, "_SHARED", [])  # as if there were none yet
    gc.collect()
    before = descendants()
    env = ParallelEnv(4, makers("is killed", "step"), num_workers=2)
    with pytest.raises(RuntimeError, match="was killed by SIGKILL"):
        env.rollout(3)
    assert descendants() == before


@pytest.mark.slow
def test_a_thousand_envs() -> None:
    began = time.perf_counter()
    env = ParallelEnv(1000, CountingEnv, num_workers=2)
    env.start()
    started = time.perf_counter()
    assert env.rollout(2).shape == (1000, 2)
    made = time.perf_counter()
    env.close()
    assert started - began < 60  # 3, on a machine that does nothing else
    assert time.perf_counter() - made < 20  # 0.1
