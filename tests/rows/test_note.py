"""What is noted of rows that are made in one go: deadlines and Ctrl-C see each of them."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import pytest
from tensordict import TensorDictBase

from envcli.backends.gym import from_gymnasium
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import EnvError
from envcli.testing.toys import CountingEnv
from envcli.transforms.step_counter import StepCounter

QUICK = 600  # steps until an env is slow: by then it makes as many in one go as it ever does
SLOW = 0.2  # seconds of each step from then on
LIMIT = 1.0  # seconds that a step may take


class SlowsGym(gymnasium.Env[Any, Any]):
    """Quick at first."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    made = 0

    def __init__(self, fault: Callable[[], None] = lambda: time.sleep(SLOW)) -> None:
        self.fault = fault

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        """The beginning."""
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        """Nothing happens."""
        self.made += 1
        if self.made > QUICK:
            self.fault()
        return np.zeros(2, np.float32), 1.0, False, False, {}


class SlowsBase(CountingEnv):
    """The same, written on TensorDicts."""

    def __init__(self, fault: Callable[[], None] = lambda: time.sleep(SLOW)) -> None:
        super().__init__(limit=10**6)
        self.fault, self.made = fault, 0

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.made += 1
        if self.made > QUICK:
            self.fault()
        return super()._step(tensordict)


KINDS: dict[str, Callable[..., Env]] = {
    "gymnasium": lambda *fault: from_gymnasium(SlowsGym(*fault)),
    "EnvBase": SlowsBase,
    "transformed": lambda *fault: TransformedEnv(from_gymnasium(SlowsGym(*fault)), StepCounter()),
    "in a batch of its own": lambda *fault: SerialEnv(1, lambda: from_gymnasium(SlowsGym(*fault))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_env_that_makes_progress_is_not_killed(kind: str) -> None:
    make, limit = KINDS[kind], LIMIT * (2 if "batch" in kind else 1)
    with ParallelEnv(2, [make, lambda: make(lambda: None)], num_workers=1, step_timeout=limit) as env:
        assert env.rollout(QUICK + 9, break_when_any_done=False).shape[-1] == QUICK + 9


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_that_hangs_is_named(kind: str) -> None:
    env = ParallelEnv(1, lambda: KINDS[kind](lambda: time.sleep(600)), step_timeout=LIMIT)
    found = rf"in step (59[2-9]|{QUICK}) or later: no" if "batch" in kind else rf"in step {QUICK}: no answer in 1 s"
    with pytest.raises(EnvError, match=found):
        env.rollout(QUICK + 9, break_when_any_done=False)


@pytest.mark.parametrize("kind", KINDS)
def test_the_step_that_kills_its_worker_is_named(kind: str) -> None:
    env = ParallelEnv(1, lambda: KINDS[kind](lambda: os.kill(os.getpid(), signal.SIGKILL)))
    found = rf"in step (59[2-9]|{QUICK}) or later: the" if "batch" in kind else rf"in step {QUICK}: the worker was"
    with pytest.raises(EnvError, match=found):
        env.rollout(QUICK + 9, break_when_any_done=False)


@pytest.mark.parametrize("kind", ["gymnasium", "EnvBase", "transformed"])
def test_a_ctrl_c_among_slow_rows_leaves_the_batch_as_it_was(kind: str, tmp_path: Any) -> None:
    def slow() -> None:
        (tmp_path / "is slow").touch()
        time.sleep(SLOW)

    def interrupt() -> None:
        while not (tmp_path / "is slow").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    with ParallelEnv(1, lambda: KINDS[kind](slow)) as env:
        env.start()
        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                env.rollout(QUICK + 100, break_when_any_done=False)
        finally:
            thread.join()
            signal.signal(signal.SIGINT, usual)
        assert not env.is_closed
        assert QUICK < env.made[0] < QUICK + 20
        assert env.rollout(2).shape == (1, 2)
