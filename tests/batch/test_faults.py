"""What goes wrong in a worker is told at once, by name, and nothing is left of it."""

from __future__ import annotations

import gc
import itertools
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from envcli.batch.parallel_env import ParallelEnv
from envcli.errors import (
    ActionError,
    ClosedError,
    ConfigError,
    EnvcliError,
    EnvError,
    MissingDependency,
    SpecError,
    UnknownName,
)
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.loading import load_rollout
from envcli.testing.toys import CountingEnv
from tests.batch.faults import Belongings, makers

SOON = 1.0  # seconds until an error must be there
BUSY = 3.5  # seconds more, for a machine that does other things beside; in all less than closing may take, 5
DEADLINE = 1.0  # others answer in a hundredth of it

FAULTS = r"\S*tests/batch/faults\.py, line \d+"
SUDDEN = {
    "raises": rf"ValueError: the first line and the second in {FAULTS}",
    "raises what cannot be pickled": rf"Odd: odd in {FAULTS}",
    "raises what cannot be told": rf"Mute: \(its message raises RuntimeError\) in {FAULTS}",
    "calls sys.exit": rf"SystemExit: 3 in {FAULTS}",
    "exits": "the worker exited with code 3",
    "is killed": "the worker was killed by SIGKILL",
    "segfaults": "the worker was killed by SIGSEGV",
}
SILENT = {
    "hangs": "no answer in 1 s. If it needs longer",
    "is stopped": r"the worker is stopped \(SIGSTOP\), no answer in 1 s",
    "ignores SIGTERM": "no answer in 1 s. If it needs longer",
}
PHASES = {
    "build": r"env 2 \(worker 1\) in build",
    "reset": r"env 2 \(worker 1, seed 2460402094\) in reset before step 0",
    "step": r"env 2 \(worker 1, seed 2460402094\) in step 3",
    "close": r"env 2 \(worker 1, seed 2460402094\) in close",
}


@pytest.fixture(scope="module")
def neighbour() -> Iterator[ParallelEnv]:
    """Another batch, which no fault may touch."""
    with ParallelEnv(1, CountingEnv) as env:
        env.start()
        yield env
        assert env.rollout(3).shape == (1, 3)


@pytest.fixture
def nothing_left(neighbour: ParallelEnv, nothing_left: None) -> None:
    """Beside a neighbour."""


@contextmanager
def told_within(seconds: float, message: str) -> Iterator[pytest.ExceptionInfo[EnvError]]:
    began = time.perf_counter()
    with pytest.raises(EnvError) as caught:
        yield caught
    assert time.perf_counter() - began < seconds + BUSY
    assert re.search(message, str(caught.value))  # not by match=, which reads the notes too
    assert "\n" not in str(caught.value)


def fall_into(env: ParallelEnv, phase: str, kind: str, seconds: float, message: str) -> str:
    """Have the fault happen. Returns what was noted beside the error."""
    if phase == "build":
        with told_within(seconds, message) as caught:
            env.start()
    else:
        env.set_seed(10)
        with told_within(seconds, message) as caught:
            if phase != "close":
                env.rollout(10)
            env.close()
    assert env.is_closed
    return "".join(caught.value.__notes__) if hasattr(caught.value, "__notes__") else ""


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", SUDDEN)
def test_who_fails_is_named_at_once(kind: str, phase: str) -> None:
    env = ParallelEnv(4, makers(kind, phase, at=3 if phase == "step" else 0), num_workers=2)
    note = fall_into(env, phase, kind, SOON, f"^{PHASES[phase]}: {SUDDEN[kind]}$")
    if kind not in ("exits", "is killed"):
        assert "in fail" in note, note


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", SILENT)
def test_who_does_not_answer_is_named_at_the_deadline(kind: str, phase: str) -> None:
    limits = {"step_timeout": DEADLINE, "close_timeout": DEADLINE, "start_timeout": DEADLINE}
    if phase != "build":
        del limits["start_timeout"]
    env = ParallelEnv(4, makers(kind, phase, at=3 if phase == "step" else 0), num_workers=2, **limits)
    note = fall_into(env, phase, kind, SOON + DEADLINE, f"^{PHASES[phase]}: {SILENT[kind]}")
    if kind != "is stopped":
        assert "in fail" in note, note


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_it_does_not_matter_how_a_worker_was_started(method: str) -> None:
    env = ParallelEnv(4, makers("is killed", "step", at=3), num_workers=2, start_method=method)
    fall_into(env, "step", "is killed", SOON, f"^{PHASES['step']}: the worker was killed by SIGKILL$")


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("kind", "found"),
    [("raises", "step 7: ValueError"), ("is killed", "step 7: the worker was killed")],
)
def test_a_rollout_in_one_message_knows_the_row(kind: str, found: str) -> None:
    env = ParallelEnv(4, makers(kind, "step", at=7), num_workers=2)
    env.set_seed(10)
    with told_within(SOON, rf"^env 2 \(worker 1, seed 2460402094\) in {found}"):
        env.rollout(20, break_when_any_done=False)


@pytest.mark.usefixtures("nothing_left")
def test_the_reset_in_the_middle_of_a_rollout_is_named() -> None:
    env = ParallelEnv(4, makers("raises", "reset", at=3), num_workers=2)
    with told_within(SOON, r"^env 2 \(worker 1\) in reset before step 5: ValueError"):
        env.rollout(20, break_when_any_done=False)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("rule", ["any", "all", "policy"])
def test_step_by_step_the_row_is_known(rule: str) -> None:
    env = ParallelEnv(4, makers("is killed", "step", at=3), num_workers=2)
    with told_within(SOON, r"^env 2 \(worker 1\) in step 3: the worker was killed"):
        if rule == "policy":
            env.rollout(9, lambda td: td.set("action", torch.zeros(4, 1)), break_when_any_done=False)
        else:
            env.rollout(9, break_when_all_done=rule == "all", break_when_any_done=rule == "any")


@pytest.mark.usefixtures("nothing_left")
def test_public_steps_are_counted_from_the_reset() -> None:
    env = ParallelEnv(4, makers("raises", "step", at=3), num_workers=2)
    step = env.reset()
    with told_within(SOON, r"^env 2 \(worker 1\) in step 3: ValueError"):
        while True:
            step = env.step_mdp(env.rand_step(step))


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UnknownName("game", "pnog", ["pong"]), ConfigError),
        (MissingDependency("ale_py", "Atari", "ale"), ConfigError),
        (ActionError("no"), SpecError),
        (ClosedError("no"), EnvError),
    ],
)
def test_an_error_of_ours_stays_of_its_kind(error: EnvcliError, kind: type[EnvcliError]) -> None:
    def make() -> CountingEnv:
        raise error

    with pytest.raises(kind) as caught:
        ParallelEnv(2, make, num_workers=2).start()
    assert re.search(f"in build: {re.escape(str(error))}$", str(caught.value))


@pytest.mark.usefixtures("nothing_left")
def test_a_batch_that_failed_holds_no_memory_while_somebody_holds_it() -> None:
    env = ParallelEnv(4, makers("is killed", "step", at=3), num_workers=2)
    before = Belongings.now()
    with pytest.raises(EnvError, match="was killed"):
        env.rollout(9)
    gc.collect()
    assert not Belongings.now().more_than(before)
    assert env.is_closed


@pytest.mark.usefixtures("nothing_left")
def test_a_batch_that_failed_can_be_started_anew() -> None:
    env = ParallelEnv(4, makers("raises", "step", at=3), num_workers=2)
    for _ in range(2):
        with pytest.raises(EnvError, match="step 3"):
            env.rollout(9)
        assert env.is_closed
        assert env.rollout(2).shape == (4, 2)
        env.close()


@pytest.mark.usefixtures("nothing_left")
def test_a_worker_that_died_at_rest_is_missed_by_the_next_call() -> None:
    for call in (ParallelEnv.reset, ParallelEnv.rand_step, ParallelEnv.close, lambda env: list(env.limit)):
        env = ParallelEnv(2, CountingEnv, num_workers=2)
        env.reset()
        os.kill(workers_of(env)[1], signal.SIGKILL)
        with told_within(SOON, r"^env 1 \(worker 1\).*: the worker was killed by SIGKILL$"):
            call(env)
        assert env.is_closed


def workers_of(env: ParallelEnv) -> list[int]:
    assert env._pool is not None
    return [worker.process.pid for worker in env._pool._workers if worker.process is not None]


@pytest.mark.usefixtures("nothing_left")
def test_all_envs_are_closed_where_one_fails_to(tmp_path: Path) -> None:
    class Leaves(CountingEnv):
        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

        def _close(self) -> None:
            (tmp_path / str(self.index)).touch()
            if self.index in (0, 2):
                raise ValueError("it sticks")

    env = ParallelEnv(4, [lambda i=i: Leaves(i) for i in range(4)], num_workers=2)
    env.start()
    with pytest.raises(EnvError, match=r"^env 0 \(worker 0\) in close: ValueError: it sticks|^env 2 \(worker 1\)"):
        env.close()
    assert sorted(os.listdir(tmp_path)) == ["0", "1", "2", "3"]
    assert env.is_closed


# -- what the main process finds out by itself ----------------------------------------------------------------------


@pytest.mark.usefixtures("nothing_left")
def test_actions_are_refused_before_they_reach_a_worker() -> None:
    with ParallelEnv(3, CountingEnv, num_workers=2) as env:
        start = env.reset()
        for action, found in {
            "nan": (torch.tensor([[0.0], [float("nan")], [0.0]]), r"\[nan\] for env 1"),
            "outside": (torch.tensor([[0.0], [0.5], [2.0]]), r"\[2.0\] for env 2"),
            "shape": (torch.zeros(3, 2), r"shape \[3, 2\]"),
            "dtype": (torch.zeros(3, 1, dtype=torch.complex64), r"dtype torch.complex64"),
        }.values():
            with pytest.raises(ActionError, match=found):
                env.step(start.clone().set("action", action))
        with pytest.raises(RuntimeError, match="batch dimension"):
            start.clone().set("action", torch.zeros(2, 1))
        with pytest.raises(ActionError, match=r"\[2.0\] for env 0"):
            env.rollout(3, lambda td: td.set("action", torch.full((3, 1), 2.0)))
        assert list(env.steps_made) == [0, 0, 0]


@pytest.mark.usefixtures("nothing_left")
def test_what_cannot_be_sent_is_refused() -> None:
    lock = threading.Lock()
    env = ParallelEnv(2, lambda: lock and CountingEnv())
    with pytest.raises(EnvError, match="must be picklable"):
        env.start()
    assert env.is_closed


@pytest.mark.usefixtures("nothing_left")
def test_too_large_a_rollout_says_how_much_it_needs() -> None:
    with ParallelEnv(2, CountingEnv, num_workers=2) as env:
        env.start()
        with pytest.raises(EnvError, match=r"in shared memory need [\d,]+ bytes .*this machine has [\d,]+ free"):
            env.rollout(10**12)
        assert env.rollout(3).shape == (2, 3)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("spare", [2, 9, 30])
@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_too_few_file_descriptors_are_named(method: str, spare: int) -> None:
    import resource

    usual = resource.getrlimit(resource.RLIMIT_NOFILE)
    env = ParallelEnv(40, CountingEnv, num_workers=40, start_method=method)
    taken = set(map(int, os.listdir("/proc/self/fd")))
    limit = next(itertools.islice((fd for fd in itertools.count() if fd not in taken), spare, None))
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, usual[1]))
    try:
        with pytest.raises(EnvError, match=r"too few file descriptors for 40 workers. Raise the limit \(ulimit -n\)"):
            env.start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert env.is_closed


# -- Ctrl-C ---------------------------------------------------------------------------------------------------------


@contextmanager
def interrupted(after: float, within: float, ready: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """A Ctrl-C comes ``after`` seconds or when all is ``ready``, and is out of the block ``within`` so many more."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    came, left = 0.0, False

    def interrupt() -> None:
        nonlocal came
        while not (ready() or left):
            time.sleep(0.01)
        if not left:
            came = time.perf_counter()
            os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, interrupt)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        left = True
        timer.cancel()
        timer.join()
        signal.signal(signal.SIGINT, usual)
    assert time.perf_counter() - came < within + BUSY


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("policy", [False, True])
def test_a_rollout_can_be_interrupted_and_the_batch_goes_on(policy: bool) -> None:
    act = (lambda td: td.set("action", torch.zeros(4, 1))) if policy else None
    with ParallelEnv(4, makers(seconds=0.002), num_workers=2) as env:
        env.start()
        with interrupted(0.3, within=0.5):
            env.rollout(100_000, act, break_when_any_done=False)
        assert not env.is_closed
        env.set_seed(3)
        again = env.rollout(12, act, break_when_any_done=False)
    assert again["observation"][0, :7, 0].tolist() == [0, 1, 2, 3, 4, 0, 1]


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("phase", ["build", "reset", "step", "close"])
def test_a_hung_env_does_not_hold_a_ctrl_c(phase: str) -> None:
    env = ParallelEnv(4, makers("hangs", phase, at=3 if phase == "step" else 0), num_workers=2)
    if phase != "build":
        env.start()
    with interrupted(0.4, within=1.0), env:
        env.rollout(9)
        env.close()
    assert env.is_closed


@pytest.mark.usefixtures("nothing_left")
def test_the_interrupt_is_what_arrives_also_where_closing_hangs() -> None:
    env = ParallelEnv(4, makers("hangs", "close", seconds=0.002), num_workers=2)
    env.start()
    with interrupted(0.3, within=1.5), env:
        env.rollout(100_000, break_when_any_done=False)
    assert env.is_closed


@pytest.mark.usefixtures("nothing_left")
def test_interrupted_rows_can_be_loaded(tmp_path: Path) -> None:
    recorder = MemmapRecorder(folder=tmp_path / "rollout")
    with ParallelEnv(4, makers(seconds=0.001), num_workers=2) as env:
        env.start()
        buffer = recorder.buffer(env, 100_000)
        row = buffer["next", "observation"][20]
        with interrupted(0, within=0.5, ready=lambda: bool(row.all())):
            env.rollout(100_000, break_when_any_done=False, out=buffer)
        recorder.finish()
    kept = load_rollout(tmp_path)
    steps = kept.shape[1]
    assert steps >= 16
    expected = torch.arange(steps) % 5
    assert torch.equal(kept["observation"][..., 0], expected.expand(4, steps).float())
    assert torch.equal(kept["next", "observation"][..., 0], expected.expand(4, steps).float() + 1)
    assert torch.equal(kept["next", "done"][..., 0], (expected == 4).expand(4, steps))
