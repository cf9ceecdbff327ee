"""Atari as a backend: the contract, and gymnasium's own env frame by frame."""

from __future__ import annotations

import copy
import importlib.util
import pickle
import re
import sys
import types
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase

from envcli.builder import build
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, MissingDependency, UnknownName
from envcli.make import make_env
from envcli.specs import Bounded, Categorical, OneHot
from envcli.testing import EnvContract
from envcli.transforms.noop_reset_env import NoopResetEnv

pytest.importorskip("ale_py", reason="ale-py is not installed (extra atari)")

import ale_py
import gymnasium
from gymnasium.wrappers import AtariPreprocessing

from envcli.backends import ale_console
from envcli.backends.ale import ALEEnv
from envcli.gym.atari import game_names, rom_of
from envcli.memory.buffer import RolloutBuffer
from tests.test_overhead import fulfilled

gymnasium.register_envs(ale_py)

CONF = Path(__file__).parents[2] / "conf"


class TestPong(EnvContract):
    def make_env(self) -> Env:
        return ALEEnv("Pong", lives=True)


class TestBreakoutByFrames(EnvContract):
    def make_env(self) -> Env:
        return ALEEnv("Breakout", obs_type="grayscale", max_pool=True, noop_max=5, episodic_life=True, device="cpu")


class TestMemoryAndFrames(EnvContract):
    def make_env(self) -> Env:
        shown: dict[str, Any] = {"obs_type": "ram", "from_pixels": True, "pixels_only": False}
        return ALEEnv("Freeway", categorical_action_encoding=True, max_num_frames_per_episode=30, frame_skip=3, **shown)


# -- gymnasium, frame by frame ----------------------------------------------------------------------------------------


def assert_equals_gymnasium(
    env: Env, native: gymnasium.Env[Any, Any], key: str, steps: int, seed: int
) -> TensorDictBase:
    """Roll out with random actions, and do the same with ``native``: every frame, reward and end must be the same."""
    torch.manual_seed(seed)
    env.set_seed(seed)
    data = env.rollout(steps, break_when_any_done=False)
    roots, following = data[key].squeeze(-1).numpy(), data["next", key].squeeze(-1).numpy()
    observation, _ = native.reset(seed=seed)
    for t, action in enumerate(data["action"].argmax(-1).tolist()):
        np.testing.assert_array_equal(roots[t], observation, err_msg=f"root of step {t}")
        observation, reward, terminated, truncated, _ = native.step(action)
        np.testing.assert_array_equal(following[t], observation, err_msg=f"next of step {t}")
        shown = data["next"][t]
        assert (shown["reward"].item(), shown["terminated"].item(), shown["truncated"].item()) == (
            reward,
            terminated,
            truncated,
        )
        if terminated or truncated:
            observation, _ = native.reset()
    return data


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"frame_skip": 1, "repeat_action_probability": 0.0}, {"frameskip": 1, "repeat_action_probability": 0.0}),
        ({"frame_skip": 3, "full_action_space": True}, {"frameskip": 3, "full_action_space": True}),
        (
            {"obs_type": "grayscale", "repeat_action_probability": 0},
            {"obs_type": "grayscale", "repeat_action_probability": 0.0},
        ),
        ({"obs_type": "ram", "mode": 1, "difficulty": 2}, {"obs_type": "ram", "mode": 1, "difficulty": 2}),
        ({"max_num_frames_per_episode": 50}, {"max_num_frames_per_episode": 50}),
    ],
)
def test_equals_gymnasium(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    key = "observation" if ours.get("obs_type") == "ram" else "pixels"
    with ALEEnv("Pong", **ours) as env, gymnasium.make("ALE/Pong-v5", **theirs) as native:
        assert_equals_gymnasium(env, native, key, steps=60, seed=5)


@pytest.mark.parametrize(
    ("game", "options"),
    [("Berzerk", {}), ("DoubleDunk", {}), ("Adventure", {"mode": 1}), ("VideoCube", {"mode": 5002})],
)
def test_games_begin_as_in_gymnasium_whatever_the_frame_skip(game: str, options: dict[str, Any]) -> None:
    with ALEEnv(game, **options) as env, gymnasium.make(f"ALE/{game}-v5", **options) as native:
        assert_equals_gymnasium(env, native, "pixels", steps=5, seed=5)


def test_equals_gymnasium_over_the_end_of_games() -> None:
    with ALEEnv("Breakout", obs_type="ram") as env, gymnasium.make("ALE/Breakout-v5", obs_type="ram") as native:
        data = assert_equals_gymnasium(env, native, "observation", steps=500, seed=0)
    assert data["next", "terminated"].sum() >= 2
    assert data["next", "reward"].sum() > 0


@pytest.mark.parametrize("gray", [True, False])
def test_max_pool_and_noops_equal_atari_preprocessing(gray: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the pixel, where nothing is resized: OpenCV, which the wrapper asks for, has then nothing to do."""
    same_size = types.SimpleNamespace(resize=lambda frame, size, interpolation: frame.copy(), INTER_AREA=3)
    monkeypatch.setitem(sys.modules, "cv2", same_size)  # all of the module that is used
    options: dict[str, Any] = {"obs_type": "grayscale" if gray else "rgb", "noop_max": 30, "max_pool": True}
    plain = gymnasium.make("ALE/Pong-v5", frameskip=1)
    with AtariPreprocessing(plain, grayscale_obs=gray, screen_size=(160, 210), noop_max=30) as native:
        with ALEEnv("Pong", **options) as env:
            data = assert_equals_gymnasium(env, native, "pixels", steps=60, seed=3)
        with ALEEnv("Pong", **{**options, "max_pool": False}) as unpooled:
            torch.manual_seed(3)
            unpooled.set_seed(3)
            assert (unpooled.rollout(60)["next", "pixels"] <= data["next", "pixels"]).all()


def test_a_life_is_lost_where_atari_preprocessing_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the flags and rewards: at the end of an episode that wrapper shows the frame of the step before."""
    monkeypatch.setitem(sys.modules, "cv2", types.SimpleNamespace(resize=lambda frame, *_, **__: frame, INTER_AREA=3))
    plain = gymnasium.make("ALE/Breakout-v5", frameskip=1)
    with ALEEnv("Breakout", obs_type="ram", episodic_life=True, noop_max=30) as env:
        torch.manual_seed(4)
        env.set_seed(4)
        data = env.rollout(500)
    with AtariPreprocessing(plain, noop_max=30, terminal_on_life_loss=True) as native:
        native.reset(seed=4)
        ends = [native.step(action)[1:3] for action in data["action"].argmax(-1).tolist()]
    shown = zip(data["next", "reward"].flatten().tolist(), data["next", "terminated"].flatten().tolist(), strict=True)
    assert list(shown) == ends
    assert ends[-1][1]


def test_max_pool_shows_what_flickers() -> None:
    """Frame by frame on an emulator of our own: the larger of the last two."""
    pooled = ALEEnv("Seaquest", max_pool=True, repeat_action_probability=0)
    with pooled as env, ALEEnv("Seaquest", frame_skip=1, repeat_action_probability=0) as frames:
        env.set_seed(1)
        frames.set_seed(1)
        data = env.rollout(20)
        state = frames.reset()
        for t, action in enumerate(data["action"]):
            seen = [frames.step(state.set("action", action))["next", "pixels"] for _ in range(4)]
            assert torch.equal(data["next", "pixels"][t], torch.maximum(seen[2], seen[3]))


# -- how episodes begin and end ---------------------------------------------------------------------------------------


def test_noops_are_drawn_from_the_seed() -> None:
    with ALEEnv("Pong", noop_max=30, obs_type="ram") as env:
        counts = []
        for seed in (0, 0, 1, 2):
            env.set_seed(seed)
            env.reset()
            counts.append(env.ale.getEpisodeFrameNumber())
    assert counts[0] == counts[1]
    assert len(set(counts)) > 1
    assert all(1 <= count <= 30 for count in counts)


@pytest.fixture
def lives() -> Iterator[ALEEnv]:
    with ALEEnv("Breakout", obs_type="ram", episodic_life=True, lives=True) as env:
        env.set_seed(0)
        torch.manual_seed(0)
        yield env


@pytest.mark.parametrize("outer", [False, True])
def test_the_transform_that_flags_lost_lives_finds_them(outer: bool) -> None:
    place = "outer_transforms" if outer else "transforms"
    words = "env=breakout", f"{place}=[end_of_life]", "parallel=serial", "parallel.num_envs=2"
    rollouts = []
    for more in ((), ("backend.lives=true",)):
        torch.manual_seed(0)
        with make_env(*words, *more) as env:
            env.set_seed(1)
            rollouts.append(env.rollout(150)["next"].select("lives", "end-of-life"))
    assert rollouts[0]["end-of-life"].any()
    assert (rollouts[0] == rollouts[1]).all()


def test_a_lost_life_ends_the_episode_and_not_the_game(lives: ALEEnv) -> None:
    lost = lives.rollout(500)
    assert lost["next", "terminated"][-1]
    assert not lost["next", "truncated"].any()
    assert lost["next", "lives"].flatten().tolist() == [5] * (len(lost) - 1) + [4]
    frame = lives.ale.getEpisodeFrameNumber()
    following = lives.reset()
    assert following["lives"].item() == 4
    assert not following["done"]
    assert torch.equal(following["observation"], lost["next", "observation"][-1])
    assert lives.ale.getEpisodeFrameNumber() == frame


def test_only_a_new_game_begins_with_no_ops_and_not_the_next_life() -> None:
    game = ALEEnv("Breakout", obs_type="ram", episodic_life=True, lives=True, repeat_action_probability=0)
    with game, TransformedEnv(game, NoopResetEnv(noops=7, random=False)) as env:
        torch.manual_seed(0)
        env.set_seed(0)
        frames = []  # of each game, when its episodes begin
        for _ in range(7):
            state = env.reset()
            frames.append((state["lives"].item(), game.ale.getEpisodeFrameNumber()))
            lost = env.rollout(1000, auto_reset=False, tensordict=state)
            assert lost["next", "terminated"][-1]
            ended = game.ale.getEpisodeFrameNumber()
            frames.append((lost["next", "lives"][-1].item(), ended))
    lives, at = zip(*frames, strict=True)
    assert lives == (5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 5, 4, 4, 3)
    assert at[0] == at[10] == 7 * 4  # frames: 7 steps
    assert at[2::2][:4] == at[1:9:2]  # the next life begins where the last one ended


def test_the_end_of_the_game_begins_a_new_one(lives: ALEEnv) -> None:
    data = lives.rollout(600, break_when_any_done=False)
    ends = data["next", "terminated"].flatten().nonzero().flatten()
    assert data["next", "lives"][ends].flatten().tolist()[:6] == [4, 3, 2, 1, 0, 4]
    assert data["lives"][ends[:5] + 1].flatten().tolist() == [4, 3, 2, 1, 5]


def test_a_lost_life_ends_the_repetition(lives: ALEEnv) -> None:
    lost = lives.rollout(500)
    frames = lives.ale.getEpisodeFrameNumber()
    assert 4 * (len(lost) - 1) < frames <= 4 * len(lost)


def test_a_reset_elsewhere_is_a_new_game(lives: ALEEnv) -> None:
    lives.rollout(500)
    state = lives.reset()
    lives.rand_step(state)
    assert lives.reset()["lives"].item() == 5


def _again(env: ALEEnv) -> ALEEnv:
    copied: ALEEnv = pickle.loads(pickle.dumps(env))
    return copied


@pytest.mark.parametrize("duplicate", [copy.deepcopy, _again])
def test_a_copy_goes_on_from_the_same_moment(duplicate: Callable[[ALEEnv], ALEEnv]) -> None:
    """With what is drawn at random, too: sticky actions, and the no-ops of the games to come."""
    options: dict[str, Any] = {"max_pool": True, "noop_max": 30, "lives": True}
    with ALEEnv("Breakout", categorical_action_encoding=True, **options) as env:
        env.set_seed(0)
        start = env.rollout(100)[-1]["next"].exclude("reward")
        with duplicate(env) as other:
            twice = []
            for one in (env, other):
                torch.manual_seed(0)
                twice.append(one.rollout(400, auto_reset=False, tensordict=start.clone(), break_when_any_done=False))
    assert twice[0]["next", "done"].any()
    assert (twice[0] == twice[1]).all()


def test_between_two_lives_there_is_no_copy(lives: ALEEnv) -> None:
    lives.rollout(1000)
    with pytest.raises(EnvError, match="between two lives an Atari game cannot be copied or pickled"):
        copy.deepcopy(lives)
    lives.reset()
    copy.deepcopy(lives).close()


def test_a_seed_is_a_new_game(lives: ALEEnv) -> None:
    first = lives.rollout(500)
    lives.set_seed(0)
    assert torch.equal(lives.reset()["observation"], first["observation"][0])


def test_time_is_truncated() -> None:
    with ALEEnv("Pong", obs_type="ram", max_num_frames_per_episode=40) as env:
        data = env.rollout(30, break_when_any_done=False)
        assert data["next", "truncated"].flatten().nonzero().flatten().tolist() == [9, 19, 29]
        assert torch.equal(data["next", "truncated"], data["next", "done"])
        assert not data["next", "terminated"].any()
    with ALEEnv("Pong", obs_type="ram", max_num_frames_per_episode=None) as env:
        assert env.ale.getInt("max_num_frames_per_episode") == 0


def replay(actions: Iterator[torch.Tensor]) -> Callable[[TensorDictBase], TensorDictBase]:
    return lambda tensordict: tensordict.set("action", next(actions))


def test_later_games_of_a_seed_differ_and_repeat() -> None:
    with ALEEnv("Pong", obs_type="ram", max_num_frames_per_episode=120) as env:
        runs = []
        for _ in range(2):
            up_and_down = cycle([env.action_spec.encode(2), env.action_spec.encode(3)])
            env.set_seed(8)
            runs.append(env.rollout(60, replay(up_and_down), break_when_any_done=False))
    assert (runs[0] == runs[1]).all()
    games = runs[0]["next", "observation"].reshape(2, 30, 128)
    assert not torch.equal(games[0], games[1])  # sticky actions go on drawing


def test_step_moves_one_skip() -> None:
    with ALEEnv("Pong", obs_type="ram") as env:
        env.rand_step(env.reset())
        assert env.ale.getEpisodeFrameNumber() == 4


# -- what it shows ----------------------------------------------------------------------------------------------------


def test_specs() -> None:
    with ALEEnv("AirRaid", lives=True) as env:
        shown = env.reset()
        assert env.observation_spec["pixels"] == Bounded(0, 255, (250, 160, 3), dtype=torch.uint8)
        assert env.observation_spec["lives"] == Bounded(0, 255, (1,), dtype=torch.int64)
        assert env.action_spec == OneHot(6, dtype=torch.int64)
        assert env.get_action_meanings() == ["NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"]
        assert shown["pixels"].shape == (250, 160, 3)
        assert env.done_keys == ["done", "terminated", "truncated"]
        assert env.from_pixels
        assert repr(env) == "ALEEnv(env=air_raid, batch_size=torch.Size([]), device=None)"


def test_gray_frames_have_a_channel() -> None:
    with ALEEnv("Pong", obs_type="grayscale", full_action_space=True, categorical_action_encoding=True) as env:
        assert env.observation_spec["pixels"].shape == (210, 160, 1)
        assert env.action_spec == Categorical(18)
        assert env.reset()["pixels"].any()


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ({"from_pixels": True, "pixels_only": False}, ["pixels"]),
        ({"obs_type": "ram"}, ["observation"]),
        ({"obs_type": "ram", "from_pixels": True}, ["pixels"]),
        ({"obs_type": "ram", "from_pixels": True, "pixels_only": False}, ["pixels", "observation"]),
    ],
)
def test_frames_and_memory(options: dict[str, Any], keys: list[str]) -> None:
    with ALEEnv("Pong", **options) as env:
        assert env.observation_keys == keys
        shown = env.reset()
        if "observation" in keys:
            assert torch.equal(shown["observation"], torch.from_numpy(env.ale.getRAM()))
        if "pixels" in keys:
            assert torch.equal(shown["pixels"], torch.from_numpy(env.ale.getScreenRGB()))


def test_attributes_are_those_of_ale() -> None:
    with ALEEnv("Pong") as env:
        assert env.getAvailableModes() == [0, 1]
        with pytest.raises(AttributeError, match="no_such"):
            _ = env.no_such


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with ALEEnv("Pong") as env:
        env.rollout(2)
    assert capfd.readouterr() == ("", "")


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"obs_type": "gray"}, "obs_type: expected one of rgb, grayscale, ram, found 'gray'"),
        ({"repeat_action_probability": 1.5}, "repeat_action_probability: expected 0 to 1, found 1.5"),
        ({"noop_max": -1}, "noop_max: expected a whole number of at least 0, found -1"),
        (
            {"max_num_frames_per_episode": 0},
            "max_num_frames_per_episode: expected at least 1 and below 2**31, or null for none, found 0",
        ),
        ({"max_pool": True, "frame_skip": 1}, "frame_skip: expected at least 2 with max_pool"),
        ({"max_pool": True, "obs_type": "ram"}, "max_pool: expected false where no frame is shown"),
        ({"frame_skip": 0}, "frame_skip: expected a whole number of at least 1, found 0"),
        ({"mode": 9}, "mode: pong has 0, 1, found 9"),
        ({"difficulty": 9}, "difficulty: pong has 0, 1, 2, 3, found 9"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        ALEEnv("Pong", **options)


def test_other_options_are_refused() -> None:
    with pytest.raises(TypeError, match="frameskip"):
        ALEEnv.from_name("Pong", frameskip=3)
    with pytest.raises(ConfigError, match=r"backend.mod: no such key. Did you mean 'mode'"):
        build({"backend": {"type": "ale", "name": "Pong", "mod": 3}})
    with ALEEnv("Pong") as env:
        with pytest.raises(ConfigError, match="reset: ALE takes no options, found seed"):
            env.reset(seed=3)
        with pytest.raises(ConfigError, match="set_seed: found -1, expected a whole number"):
            env.set_seed(-1)
        env.reset()


def test_an_unknown_game_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no Atari game 'Pongg'\. Did you mean 'Pong'"):
        ALEEnv("ALE/Pongg-v5")
    with pytest.raises(UnknownName, match="backend=gymnasium"):
        ALEEnv("PongNoFrameskip-v4")
    with pytest.raises(ConfigError, match="two players"):
        ALEEnv("Combat")


def test_a_rom_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ALE_ROMS_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match=r"the ROM of pong cannot be read.*ALE_ROMS_DIR"):
        ALEEnv("Pong")
    assert capsys.readouterr().out == ""


def test_without_ale_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ale_py", None)
    assert ale_console.__file__ is not None
    spec = importlib.util.spec_from_file_location("ale_console_alone", ale_console.__file__)
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(MissingDependency, match=re.escape("pip install 'envcli[atari]'")):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


# -- the command line -------------------------------------------------------------------------------------------------


def test_presets_name_games() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in (CONF / "env").glob("*.yaml")}
    presets = {
        stem: found[1]
        for stem, text in texts.items()
        if "override /backend: ale\n" in text and (found := re.search(r"^  name: (\S+)", text, re.MULTILINE))
    }
    assert len(presets) >= 12
    assert set(presets.values()) <= set(game_names())
    assert {rom_of(name) for name in presets.values()} == set(presets)


def test_made_from_configuration() -> None:
    with make_env("env=pong", "backend.obs_type=grayscale", "backend.lives=true", "frame_skip=2", "seed=1") as env:
        data = env.rollout(3)
        assert data["pixels"].shape == (3, 210, 160, 1)
        assert data["lives"].shape == (3, 1)
        assert isinstance(env, ALEEnv)
        assert env.frames_per_step == 2


# -- the price --------------------------------------------------------------------------------------------------------


def test_steps_cost_little_more_than_ale_itself() -> None:
    """In memory that is paid for already, so that this measures us and not the machine's page faults.

    In turns, and the best of each: what else runs here slows both.
    """
    steps, codes = 25, np.array([0, 1, 3, 4, 11, 12])
    with ALEEnv("Pong") as env, ALEEnv("Pong", frame_skip=1) as bare:
        buffer = RolloutBuffer.allocate(env._row_layout(), steps, env.batch_size)
        env.rollout(steps, out=buffer)
        actions = codes[buffer[("action",)].argmax(-1).numpy()].tolist()
        bare.reset()
        env._attach(buffer)
        fast, (ours, theirs) = fulfilled(
            lambda ours, theirs: theirs / ours > 0.8,
            lambda: env._step_rows(0, steps),
            lambda: act_four_times_and_look(bare.ale, actions),
            rounds=25,  # 625 steps: the game is not over by then
        )
    assert fast, f"{theirs / ours:.2f} of the speed of ale itself"


def act_four_times_and_look(ale: ale_py.ALEInterface, actions: list[int]) -> None:
    act, screen = ale.act, ale.getScreenRGB
    for action in actions:
        act(action)
        act(action)
        act(action)
        act(action)
        screen()
