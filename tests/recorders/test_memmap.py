from __future__ import annotations

from pathlib import Path

import torch

from envcli.backends.gym import GymEnv
from envcli.recorders.memmap import MemmapRecorder
from envcli.shards.loading import load_rollout


def test_keeps_the_steps_that_were_made(tmp_path: Path) -> None:
    env = GymEnv("CartPole-v1")
    recorder = MemmapRecorder(tmp_path / "r")
    rollout = env.rollout(100_000, out=recorder.buffer(env, 100_000))
    assert recorder.steps == len(rollout) < 1000
    assert recorder.finish() == tmp_path / "r"
    assert (load_rollout(tmp_path / "r") == rollout).all()


def test_keeps_what_a_policy_adds(tmp_path: Path) -> None:
    def policy(tensordict):  # type: ignore[no-untyped-def]  # written as a user would
        return tensordict.update({"action": torch.tensor([0, 1]), "log_prob": torch.tensor(-0.5)})

    env = GymEnv("CartPole-v1")
    recorder = MemmapRecorder(tmp_path / "r")
    env.rollout(5, policy, out=recorder.buffer(env, 5))
    recorder.finish()
    assert (load_rollout(tmp_path / "r")["log_prob"] == -0.5).all()


def test_keeps_what_was_whole_when_it_was_stopped(tmp_path: Path) -> None:
    env = GymEnv("Pendulum-v1")
    recorder = MemmapRecorder(tmp_path / "r")
    buffer = recorder.buffer(env, 1000)
    steps = iter(range(37))
    native = env._env.step

    def interrupted(action):  # type: ignore[no-untyped-def]  # stands in for gymnasium's own method
        if next(steps, None) is None:
            raise KeyboardInterrupt
        return native(action)

    env._env.step = interrupted
    try:
        env.rollout(1000, out=buffer)
    except KeyboardInterrupt:
        recorder.finish()
    saved = load_rollout(tmp_path / "r")
    assert saved.batch_size == torch.Size([37])
    assert (saved["observation"][1:] == saved["next", "observation"][:-1]).all()
    assert saved["next", "reward"].all()


def test_without_a_step_nothing_is_left(tmp_path: Path) -> None:
    recorder = MemmapRecorder(tmp_path / "r")
    assert recorder.finish() is None
    recorder.buffer(GymEnv("CartPole-v1"), 10)
    assert recorder.steps == 0
    assert recorder.finish() is None
    assert not (tmp_path / "r").exists()
