"""What every test may use: the real command in a process of its own, and the command in this process."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

import envcli.cli

ROOT = Path(__file__).parent.parent

with suppress(
    ImportError
):  # dm_control logs by absl, whose handler closes the stderr that it found when it was imported
    from absl import logging as absl_logging  # as soon as logging is configured anew, and that would be pytest's own

    absl_logging.get_absl_handler().python_handler.stream = sys.__stderr__

# Who is started by nohup, or by a shell in the background, has these ignored, and so has all that it starts.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(number, usual)


def pytest_collection_finish() -> None:
    """Take torch and all that was imported with it out of the garbage collector's sight: it needs 0.4 s to go round."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_chance() -> None:
    """Every test draws the same random numbers each time: what fails once fails again."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@dataclass(frozen=True)
class Outcome:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(scope="session")
def fork_server() -> Iterator[None]:
    """Keep alive, by an idle batch, the process from which workers are born: it needs 5 s to import torch."""
    from envcli.batch.parallel_env import ParallelEnv
    from envcli.testing.toys import CountingEnv

    with ParallelEnv(1, CountingEnv) as env:
        env.start()
        yield


def ran(command: Sequence[str], folder: Path, **env: str) -> Outcome:
    """``command`` in a process of its own, in ``folder``."""
    full = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **env}
    full.pop("HYDRA_FULL_ERROR", None)
    done = subprocess.run(command, cwd=folder, env=full, capture_output=True, text=True, timeout=200, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path: Path) -> Command:
    """Run the real ``envcli`` in a process of its own, in an empty folder."""

    def run(*words: str, **env: str) -> Outcome:
        return ran([sys.executable, "-m", "envcli", *words], tmp_path, **env)

    return run


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """Run the command in this process, in an empty folder: the same `main`, without the seconds of torch's import."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def run(*words: str) -> Outcome:
        capfd.readouterr()
        for name in ("envcli", "hydra", "hydra_plugins"):  # as in a fresh process
            logging.getLogger(name).setLevel(logging.NOTSET)
        code = envcli.cli.main(words)
        return Outcome(code, *capfd.readouterr())

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield run
    root.handlers[:] = handlers  # Hydra configures logging for the process
    root.setLevel(level)
