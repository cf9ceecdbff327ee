from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch

from envcli.backends.gym import GymEnv
from envcli.envs import env as rolling
from envcli.envs import stream as streaming
from envcli.envs.stream import pieces
from envcli.recorders import none as passing
from envcli.recorders.none import NoneRecorder
from envcli.testing.toys import CountingEnv


def test_counts_and_leaves_nothing(tmp_path: Path) -> None:
    env = GymEnv("Pendulum-v1")
    recorder = NoneRecorder(tmp_path / "r")
    rollout = env.rollout(10, out=recorder.buffer(env, 10))
    assert len(rollout) == recorder.steps == 10
    assert recorder.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_piece_leaves_in_memory_is_not_in_the_next(tmp_path: Path) -> None:
    """Flags above all, which backends write only where they are up: episodes end elsewhere in each piece."""
    env = GymEnv("CartPole-v1")
    torch.manual_seed(1)
    env.set_seed(1)
    whole = env.rollout(300, break_when_any_done=False)
    torch.manual_seed(1)
    env.set_seed(1)
    made = [piece.clone() for piece in pieces(env, 300, NoneRecorder(tmp_path).stream(env, 300, 30))]
    found = torch.cat(made, -1)
    for key in whole.keys(True, True):
        assert torch.equal(found[key], whole[key]), key


def test_a_ctrl_c_before_a_piece_begins_counts_none_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = CountingEnv(7)
    stream, rollout = NoneRecorder(tmp_path).stream(env, 30, 10), env.rollout
    begun = itertools.count(1)

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        if next(begun) == 3:
            raise KeyboardInterrupt
        return rollout(*args, **kwargs)

    monkeypatch.setattr(env, "rollout", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(pieces(env, 30, stream))
    assert stream.steps == 20


def test_steps_are_right_in_whatever_line_a_ctrl_c_falls(tmp_path: Path) -> None:
    """Between the steps, that is: one that is under way is whole, or none."""
    traced = {module.__file__ for module in (streaming, passing, rolling)}
    for line in itertools.count(1):
        env, made, left = CountingEnv(7), itertools.count(), itertools.count(line, -1)
        step_row = env._step_row

        def counted(*args: Any, step_row: Any = step_row, made: Any = made) -> Any:
            result = step_row(*args)
            next(made)
            return result

        def interrupt(frame: FrameType, event: str, arg: object, left: Any = left) -> Any:
            if frame.f_code.co_filename not in traced:
                return None
            if event == "line" and next(left) == 1:
                raise KeyboardInterrupt
            return interrupt

        env._step_row = counted  # type: ignore[method-assign]
        stream = NoneRecorder(tmp_path).stream(env, 25, 10)
        try:
            sys.settrace(interrupt)
            list(pieces(env, 25, stream))
            break
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        assert stream.steps == next(made), f"line {line}"
    assert line > 60, "or nothing was interrupted"
    assert stream.steps == 25
