"""The floor: as fast as a loop that is written by hand, and the very same work as ours."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv

from envcli.bench.workload import Unfit, Workload
from envcli.contenders.envcli import EnvcliContender
from envcli.contenders.native import NativeContender
from envcli.errors import ConfigError
from tests.contenders.conftest import Calls
from tests.test_overhead import fulfilled

STEPS = 2000
TURN = 100  # steps, about a millisecond


def work(steps: int = STEPS, actions: Path | None = None, **cfg: Any) -> Workload:  # Any: what a YAML holds
    node = {"backend": {"type": "gym", "name": "CartPole-v1"}, **cfg}
    return Workload(node, steps, 3, None if actions is None else str(actions))


def test_it_is_as_fast_as_a_loop_by_hand(tmp_path: Path) -> None:
    """Under 2 % by measurement in a quiet moment (``envcli bench``); a tenth is asked of any moment.

    In many short turns: a quick moment of the machine, which is a few milliseconds long, is then there for both.
    """
    actions = np.random.default_rng(0).integers(2, size=(1, TURN))
    np.save(tmp_path / "a.npy", actions)
    native = NativeContender(work(TURN, actions=tmp_path / "a.npy"))
    env, numbers = gymnasium.make("CartPole-v1"), actions[0].tolist()

    def by_hand() -> None:
        env.reset()
        for action in numbers:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    fast, (ours, theirs) = fulfilled(lambda ours, theirs: ours / theirs < 1.1, native.run, by_hand, rounds=800)
    native.close()
    env.close()
    assert fast, f"{ours / theirs:.2f} of the time of a loop by hand"


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_it_goes_where_ours_goes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same seed, same actions: after some passes both simulators are in the same state."""
    backend = {"type": "gym", "name": name}
    ours = EnvcliContender(work(500, backend=backend))
    actions = ours.actions()
    assert actions is not None
    np.save(tmp_path / "a.npy", actions)
    made: list[gymnasium.Env[Any, Any]] = []
    make = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", lambda *args, **kwargs: made.append(make(*args, **kwargs)) or made[-1])
    native = NativeContender(work(500, actions=tmp_path / "a.npy", backend=backend))
    ours._env.reset()  # as it begins: the reset that takes the seed
    for _ in range(3):
        ours.run()
        native.run()
    state = np.asarray(made[0].unwrapped.state)  # type: ignore[attr-defined]  # of classic control
    assert np.array_equal(np.asarray(ours._env.unwrapped.state), state)
    ours.close()
    native.close()


def test_of_a_batch_it_runs_the_first_env(calls: Calls) -> None:
    native = NativeContender(work(10, parallel={"type": "serial", "num_envs": 4}))
    steps = calls(CartPoleEnv)
    native.run()
    native.close()
    assert native.env_steps == len(steps) == 10


def test_actions_that_do_not_fit_are_drawn(calls: Calls, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((1, 5), dtype=np.float32))
    native = NativeContender(work(5, actions=tmp_path / "a.npy", backend={"type": "gym", "name": "Pendulum-v1"}))
    steps = calls(PendulumEnv)
    native.run()
    native.close()
    drawn = np.concatenate([action for (action,) in steps])
    assert drawn.shape == (5,)
    assert len(set(drawn)) == 5


def test_frames_are_skipped(calls: Calls) -> None:
    native = NativeContender(work(50, frame_skip=4, backend={"type": "gym", "name": "Pendulum-v1"}))
    steps, resets = calls(PendulumEnv), calls(PendulumEnv, "reset")
    native.run()  # 200 frames are an episode
    native.close()
    assert (len(steps), len(resets)) == (200, 1)


@pytest.mark.parametrize("from_pixels", [False, True])
def test_frames_of_gymnasium(from_pixels: bool, calls: Calls) -> None:
    if from_pixels:
        pytest.importorskip("pygame")
    native = NativeContender(work(5, from_pixels=from_pixels))
    frames = calls(CartPoleEnv, "render")
    native.run()
    native.close()
    assert len(frames) == (6 if from_pixels else 0), "one of the reset"


@pytest.mark.parametrize("frame_skip", [None, 2])
def test_dm_control(frame_skip: int | None, calls: Calls) -> None:
    control = pytest.importorskip("dm_control.rl.control")
    steps = calls(control.Environment)
    native = NativeContender(work(5, backend={"type": "dm_control", "name": "cheetah-run"}, frame_skip=frame_skip))
    native.run()
    native.close()
    assert len(steps) == 5 * (frame_skip or 1)


@pytest.mark.parametrize(
    ("node", "resets"),
    [
        ({"name": "mpe/simple_tag_v3", "options": {"max_cycles": 10}}, 5),
        ({"name": "classic/tictactoe_v3", "parallel": False, "use_mask": True}, None),
    ],
)
def test_pettingzoo(node: dict[str, Any], resets: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (extra pettingzoo)")
    pytest.importorskip("mpe2", reason="mpe2 is not installed (extra pettingzoo)")
    from envcli.zoo import tasks

    counts = {"reset": 0, "step": 0}
    make = tasks.make

    def counting(*args: Any, **options: Any) -> Any:
        env = make(*args, **options)
        for name in counts:
            monkeypatch.setattr(env, name, partial(count, name, getattr(env, name)))
        return env

    def count(name: str, call: Any, *args: Any, **options: Any) -> Any:
        counts[name] += 1
        return call(*args, **options)

    monkeypatch.setattr(tasks, "make", counting)
    native = NativeContender(work(50, backend={"type": "pettingzoo", **node}))
    assert counts.pop("reset") == 1
    counts["reset"] = 0
    native.run()
    native.close()
    assert counts["step"] == 50
    assert counts["reset"] == resets if resets else 5 <= counts["reset"] <= 10  # of 5 to 9 moves each


@pytest.mark.skipif(importlib.util.find_spec("vmas") is None, reason="vmas is not installed (extra vmas)")
@pytest.mark.parametrize(("max_steps", "resets"), [(None, 1), (10, 6)])
def test_vmas_steps_all_its_envs(max_steps: int | None, resets: int, calls: Calls) -> None:
    from envcli.vmas.library import vmas_library

    kind = vmas_library().simulator.environment.Environment
    steps, begun = calls(kind, "step"), calls(kind, "reset")
    node = {"type": "vmas", "name": "simple", "max_steps": max_steps}
    native = NativeContender(work(50, backend=node, parallel={"type": "none", "num_envs": 3}))
    native.run()
    native.close()
    assert (len(steps), len(begun), native.env_steps) == (50, resets, 150)
    with pytest.raises(Unfit, match="draws no frames"):
        NativeContender(work(50, backend=node, from_pixels=True))


@pytest.mark.skipif(
    importlib.util.find_spec("pyspiel") is None, reason="open_spiel is not installed (extra open-spiel)"
)
@pytest.mark.parametrize("game", ["tic_tac_toe", "kuhn_poker", "goofspiel"])
def test_open_spiel_plays_what_is_legal(game: str) -> None:
    node = {"type": "open_spiel", "name": game}
    native = NativeContender(work(50, backend=node))
    native.run()
    native.close()
    assert native.env_steps == 50
    with pytest.raises(Unfit, match="draws no frames"):
        NativeContender(work(50, backend=node, from_pixels=True))


SCREENS = {"rgb": "getScreenRGB", "grayscale": "getScreenGrayscale", "ram": "getRAM"}


@pytest.mark.parametrize("obs_type", SCREENS)
def test_atari(obs_type: str, calls: Calls) -> None:
    ale_py = pytest.importorskip("ale_py")
    acts, looks = calls(ale_py.ALEInterface, "act"), calls(ale_py.ALEInterface, SCREENS[obs_type])
    native = NativeContender(work(5, backend={"type": "ale", "name": "AirRaid", "obs_type": obs_type}))
    native.run()
    native.close()
    assert (len(acts), len(looks)) == (5, 6)
    with pytest.raises(ConfigError, match=r"bare loop has no max_pool"):
        NativeContender(work(5, backend={"type": "ale", "name": "Pong", "max_pool": True}))


def test_of_backend_torch_it_is_gymnasiums_env_of_that_name(calls: Calls) -> None:
    node = {"type": "torch", "name": "CartPole-v1", "max_episode_steps": 7}
    native = NativeContender(work(steps=20, backend=node, parallel={"type": "none", "num_envs": 3}))
    steps, resets = calls(CartPoleEnv), calls(CartPoleEnv, "reset")
    native.run()
    native.close()
    assert native.env_steps == len(steps) == 20
    assert len(resets) == 3
    with pytest.raises(ConfigError, match="has no options"):
        NativeContender(work(backend={**node, "options": {"gravity": 1.6}}))
