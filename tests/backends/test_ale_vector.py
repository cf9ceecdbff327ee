"""ALE's vector engine: the contract, and the same games one by one."""

from __future__ import annotations

import copy

import pytest
import torch
from tensordict import TensorDictBase

from envcli.configuration.reading import read
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, UnknownName
from envcli.make import make_env
from envcli.testing import EnvContract
from tests.conftest import Command

pytest.importorskip("ale_py.vector_env", reason="ale-py is not installed (extra atari)")

from envcli.backends.ale_vector import ALEVectorEnv

NO_DRAWS = ("backend.repeat_action_probability=0.0", "seed=1")


class TestBreakout(EnvContract):
    def make_env(self) -> Env:
        return ALEVectorEnv("Breakout", 2, obs_type="grayscale", stack=4, screen_size=84, lives=True, noop_max=5)


def rollout(*words: str, steps: int = 200) -> TensorDictBase:
    with make_env(*words, "parallel.num_envs=2", *NO_DRAWS) as env:
        torch.manual_seed(0)
        return env.rollout(steps, break_when_any_done=False)


def test_where_nothing_is_drawn_games_are_those_of_single_consoles() -> None:
    """To the bit, but for the last frame of an episode that ends within a step: that is the one of the step before."""
    words = ("env=breakout", "backend.lives=true")
    ours, theirs = rollout(*words, "parallel=serial"), rollout(*words, "backend=ale_vector")
    ended = ours["next", "done"].squeeze(-1)
    assert ended.any()
    for key in ("action", "pixels", "lives"):
        assert torch.equal(ours[key], theirs[key])
    for key in ("reward", "done", "terminated", "truncated", "lives"):
        assert torch.equal(ours["next", key], theirs["next", key])
    assert torch.equal(ours["next", "pixels"][~ended], theirs["next", "pixels"][~ended])
    for env, t in ended.nonzero().tolist():
        assert torch.equal(theirs["next", "pixels"][env, t], theirs["pixels"][env, t])


def test_our_transforms_on_raw_frames_give_what_they_give_in_each_env() -> None:
    words = ("env=pong", "transforms=atari", "~transforms.noop_reset_env")
    theirs = rollout(*words, "backend=ale_vector", "backend.native_transforms=false", steps=20)
    assert (rollout(*words, "parallel=serial", steps=20) == theirs).all()


def test_the_engine_does_what_the_bundle_asks_for() -> None:
    words = ("env=breakout", "transforms=[atari,step_counter]", "~transforms.noop_reset_env")
    ours, theirs = rollout(*words, "parallel=serial"), rollout(*words, "backend=ale_vector")
    assert theirs["pixels"].shape == (2, 200, 4, 84, 84)
    for key in ("reward", "done", "step_count"):
        assert torch.equal(ours["next", key], theirs["next", key])
    full = ours["step_count"].squeeze(-1) >= 4  # before, there are black frames in the engine's stack, and none in ours
    apart = (ours["pixels"][full].float() - theirs["pixels"][full].float()).abs()
    assert apart.mean() < 2
    with make_env(*words, "backend=ale_vector", "parallel.num_envs=2") as env:
        assert [type(transform).__name__ for transform in env.transform] == ["StepCounter"]


def test_no_ops_are_the_engines_whoever_does_the_rest() -> None:
    for native in ("true", "false"):
        words = ["env=pong", "backend=ale_vector", "transforms=atari", f"backend.native_transforms={native}"]
        cfg = read("rollout", [*words, "transforms.noop_reset_env.noops=7"])
        node, rest = ALEVectorEnv.absorb(cfg.backend, cfg.transforms)
        assert (node["noop_max"], len(rest)) == (7, 0 if native == "true" else 5)
        assert "native_transforms" not in node


def test_what_the_bundle_does_not_know_is_left_to_transforms() -> None:
    node = {"name": "Pong"}
    for words in (["transforms.cat_frames.padding=constant"], ["~transforms.resize"], ["backend.obs_type=grayscale"]):
        cfg = read("rollout", ["env=pong", "transforms=atari", "~transforms.noop_reset_env", *words])
        kept = {"obs_type": cfg.backend["obs_type"], **node}
        assert ALEVectorEnv.absorb(kept, cfg.transforms) == (kept, cfg.transforms)


def test_a_game_that_is_cut_off_is_truncated() -> None:
    with ALEVectorEnv("Pong", 2, max_num_frames_per_episode=8, screen_size=8) as env:
        following = env.rollout(4, break_when_any_done=False)["next"]
    assert following["truncated"][..., 0].tolist() == [[False, True, False, True]] * 2
    assert not following["terminated"].any()


@pytest.mark.parametrize(("game", "own"), [("AirRaid", 8), ("Qbert", 0)])
def test_frames_that_a_game_plays_by_itself_are_not_counted(game: str, own: int) -> None:
    """A single console counts them."""
    runs = []
    for words, limit in ((["backend=ale", "parallel=serial"], 40 + own), (["backend=ale_vector"], 40)):
        words = [f"backend.name={game}", *words, f"backend.max_num_frames_per_episode={limit}"]
        runs.append(rollout(*words, steps=25))
    assert runs[0]["next", "truncated"][0].flatten().nonzero().flatten().tolist() == [9, 19]
    assert torch.equal(runs[0]["next", "done"], runs[1]["next", "done"])
    assert torch.equal(runs[0]["pixels"], runs[1]["pixels"])


def test_mistakes_are_explained() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'Pong'"):
        ALEVectorEnv("Pung")
    with pytest.raises(ConfigError, match=r"obs_type: expected rgb or grayscale, found 'ram'. For ram: backend=ale"):
        ALEVectorEnv("Pong", obs_type="ram")
    with pytest.raises(ConfigError, match=r"stack: found 4, expected .* obs_type=grayscale"):
        ALEVectorEnv("Pong", stack=4)
    for name, low in (("num_envs", 1), ("num_threads", 1), ("noop_max", 0), ("max_num_frames_per_episode", 1)):
        with pytest.raises(
            ConfigError, match=f"^{name}: found {low - 1}, expected a whole number (of at least|from) {low}"
        ):
            ALEVectorEnv("Pong", **{name: low - 1})
    with pytest.raises(ConfigError, match="repeat_action_probability: expected 0 to 1, found 2"):
        ALEVectorEnv("Pong", repeat_action_probability=2)
    with ALEVectorEnv("Pong", 2) as env, pytest.raises(ConfigError, match="ALE takes no options, found low"):
        env.reset(low=1)


def test_a_film_shows_all_of_them(cli: Command) -> None:
    words = ("env=pong", "backend=ale_vector", "parallel.num_envs=4", "transforms=atari", "max_steps=3", "format=png")
    done = cli("render", *words)
    assert done.code == 0, done.err
    assert "frames    4, " in done.out


def test_its_engine_is_not_copied() -> None:
    with ALEVectorEnv("Pong", 2) as env, pytest.raises(EnvError, match="ALEVectorEnv cannot be copied or pickled"):
        copy.deepcopy(env)
