from __future__ import annotations

from pathlib import Path

from envcli.backends.gym import GymEnv
from envcli.recorders.none import NoneRecorder


def test_counts_and_leaves_nothing(tmp_path: Path) -> None:
    env = GymEnv("Pendulum-v1")
    recorder = NoneRecorder(tmp_path / "r")
    rollout = env.rollout(10, out=recorder.buffer(env, 10))
    assert len(rollout) == recorder.steps == 10
    assert recorder.finish() is None
    assert list(tmp_path.iterdir()) == []
