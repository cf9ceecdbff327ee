"""MuJoCo Playground: the contract, its own loop, and where episodes end, on an env that compiles fast: no physics."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, UnknownName
from envcli.make import make_env
from envcli.specs import Bounded, Unbounded
from envcli.testing import EnvContract
from envcli.vocabulary import catalog
from tests.conftest import Command

if importlib.util.find_spec("mujoco_playground") is None:
    pytest.skip("mujoco_playground is not installed (extra mujoco-playground)", allow_module_level=True)

from ml_collections import ConfigDict

from envcli.backends.mujoco_playground import MujocoPlaygroundEnv, MujocoPlaygroundWrapper
from envcli.jitted.playground_world import jax, mujoco_playground, registry

jp = jax.numpy


def drift_config() -> Any:
    return ConfigDict({"ctrl_dt": 0.02, "sim_dt": 0.02, "episode_length": 9, "speed": {"most": 0.1}})


class Drift(mujoco_playground.MjxEnv):  # type: ignore[misc]  # the library has no annotations
    """A point that begins within [0, 1) and is moved by ``speed.most`` of the action, whose square it pays.

    Beyond 1, and where a square root of it is NaN, it is done.
    """

    def __init__(self, config: Any = None, config_overrides: Any = None) -> None:
        super().__init__(config or drift_config(), config_overrides)

    def reset(self, rng: Any) -> Any:
        return self._state(jax.random.uniform(rng, (2,)), jp.zeros(()), {"reward/square": jp.zeros(())})

    def step(self, state: Any, action: Any) -> Any:
        state.metrics["reward/square"] = (action**2).sum()  # as its own envs do
        place = state.obs["place"] + self._config.speed.most * action
        return self._state(place, (action**2).sum(), state.metrics)

    def _state(self, place: Any, reward: Any, metrics: Any) -> Any:
        root = jp.sqrt(place)
        done = ((place > 1) | jp.isnan(root)).any().astype(float)
        return mujoco_playground.State(None, {"place": place, "root": root}, reward, done, metrics, {})

    xml_path = mj_model = mjx_model = None
    action_size = 2


@pytest.fixture
def by_name(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name under which Drift is registered meanwhile."""
    suite = mujoco_playground.dm_control_suite
    for table in ("_envs", "_cfgs"):
        monkeypatch.setattr(suite, table, dict(getattr(suite, table)))
    suite.register_environment("Drift", Drift, drift_config)
    return "Drift"


def drift(num_envs: int = 3, **options: Any) -> MujocoPlaygroundWrapper:
    env = MujocoPlaygroundWrapper(Drift(), num_envs, **options)
    env.set_seed(0)
    return env


def outwards(td: Any) -> Any:
    return td.set("action", torch.ones(*td.batch_size, 2))


class TestDrift(EnvContract):
    def make_env(self) -> Env:
        return MujocoPlaygroundWrapper(Drift(), 3)


class TestRepeatedDrift(EnvContract):
    def make_env(self) -> Env:
        return MujocoPlaygroundWrapper(Drift(), 2, frame_skip=2, max_episode_steps=7, device="cpu")


def test_its_specs() -> None:
    env = MujocoPlaygroundWrapper(Drift(), batch_size=[3], frame_skip=2)
    assert env.batch_size == (3,)
    assert env.action_spec == Bounded(-1, 1, shape=[3, 2])
    assert env.observation_spec["place"] == env.observation_spec["root"] == Unbounded([3, 2])
    assert env.reward_spec == Unbounded([3, 1])
    assert env.max_episode_steps == 9
    assert env.step_seconds == pytest.approx(0.04)
    assert env.env_name == "Drift"


def test_every_episode_is_the_librarys_own() -> None:
    """Each of a key of its own, bit for bit, from reset and step as it is compiled by itself."""
    env = drift(3)
    env.set_seed([3, 4, 5])
    torch.manual_seed(0)
    data = env.rollout(20, break_when_any_done=False)
    native, elapsed, episode = Drift(), np.zeros(3, int), np.zeros(3, int)
    begin, step = jax.jit(native.reset), jax.jit(native.step)
    for i in range(3):
        state = begin(_key(3 + i, 0))
        for t in range(20):
            np.testing.assert_array_equal(data["place"][i, t], state.obs["place"])
            state = step(state, data["action"][i, t].numpy())
            elapsed[i] += 1
            for name in ("place", "root"):
                np.testing.assert_array_equal(data["next", name][i, t], state.obs[name])
            assert data["next", "reward"][i, t].item() == float(state.reward)
            assert bool(data["next", "terminated"][i, t]) == bool(state.done)
            assert bool(data["next", "truncated"][i, t]) == (elapsed[i] == 9)
            if data["next", "done"][i, t]:
                elapsed[i], episode[i] = 0, episode[i] + 1
                state = begin(_key(3 + i, episode[i]))
    assert data["next", "terminated"].any()
    assert (episode > 1).all()


def _key(seed: int, episode: int) -> Any:
    key = jax.random.PRNGKey(seed)
    return jax.random.fold_in(key, episode) if episode else key


def test_a_nan_is_shown_and_ends_an_episode() -> None:
    data = drift().rollout(30, lambda td: td.set("action", -torch.ones(3, 2)), break_when_any_done=False)
    lost = data["next", "root"].isnan().any(-1, keepdim=True)
    assert lost.any()
    assert torch.equal(data["next", "terminated"], lost)
    assert not data["root"].isnan().any()


def test_an_env_does_not_depend_on_its_neighbours() -> None:
    few, many = (drift(n).rollout(20, outwards, break_when_any_done=False) for n in (2, 5))
    assert (few == many[:2]).all()


def test_its_own_limit_or_ours_truncates(by_name: str) -> None:
    def ends(env: MujocoPlaygroundEnv) -> Any:
        data = env.rollout(8, lambda td: td.set("action", torch.zeros(1, 2)), break_when_any_done=False)
        assert not data["next", "terminated"].any()
        return data["next", "truncated"][0, :, 0].nonzero().flatten().tolist()

    assert ends(MujocoPlaygroundEnv(by_name, episode_length=4)) == [3, 7]
    assert ends(MujocoPlaygroundEnv(by_name, max_episode_steps=3)) == [2, 5]
    assert ends(MujocoPlaygroundEnv(by_name, episode_length=4, frame_skip=2)) == [1, 3, 5, 7]
    assert ends(MujocoPlaygroundEnv(by_name, episode_length=4, max_episode_steps=0)) == []


def test_settings_are_those_of_the_configuration(by_name: str) -> None:
    config = drift_config()
    config.ctrl_dt = 0.5
    for options in (
        {"speed": {"most": 0.3}},
        {"speed.most": 0.3},
        {"config_overrides": {"speed.most": 0.3}},
        {"config": config, "config_overrides": {"speed": {"most": 0.3}}},
    ):
        env = MujocoPlaygroundEnv(by_name, **options)
        data = env.rollout(1, outwards)
        torch.testing.assert_close(data["next", "place"], data["place"] + 0.3)
        assert env.step_seconds == (0.5 if "config" in options else 0.02)
        assert isinstance(env, MujocoPlaygroundWrapper)


def test_physics_are_those_of_jax_on_a_cpu() -> None:
    assert MujocoPlaygroundEnv("PointMass").mjx_model.impl.value == "jax"
    assert MujocoPlaygroundEnv("PointMass", impl="warp").mjx_model.impl.value == "warp"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_physics_are_the_librarys_own() -> None:
    """Bit for bit, as its functions are compiled for a batch. Half a minute of compiling."""
    env = MujocoPlaygroundEnv("CartpoleBalance", 2, max_episode_steps=4)
    env.set_seed([3, 4])
    torch.manual_seed(0)
    data = env.rollout(8, break_when_any_done=False)
    native = registry.load("CartpoleBalance", config_overrides={"impl": "jax"})
    begin, step = (jax.jit(jax.vmap(function)) for function in (native.reset, native.step))
    for t in range(8):
        if t % 4 == 0:
            state = begin(jp.stack([_key(seed, t // 4) for seed in (3, 4)]))
        np.testing.assert_array_equal(data["observation"][:, t], state.obs)
        state = step(state, data["action"][:, t].numpy())
        np.testing.assert_array_equal(data["next", "observation"][:, t], state.obs)
        np.testing.assert_array_equal(data["next", "reward"][:, t, 0], state.reward)
    assert data["next", "truncated"][..., 0].nonzero()[:, 1].tolist() == [3, 7] * 2


def test_presets_name_envs_that_there_are() -> None:
    presets = list((catalog.folder() / "env").glob("playground_*.yaml"))
    found = [yaml.safe_load(path.read_text())["backend"]["name"] for path in presets]
    assert "CartpoleBalance" in found
    assert {MujocoPlaygroundEnv.facts(name) for name in found} == {"control suite"}  # nothing is downloaded
    assert set(found) <= set(MujocoPlaygroundEnv.available_envs)
    assert MujocoPlaygroundEnv.facts("Go1Getup") == "locomotion, downloads its robots"


def test_it_is_run_by_its_yaml(by_name: str, cli: Command) -> None:
    words = ("backend=mujoco_playground", f"backend.name={by_name}", "parallel.num_envs=4")
    assert "steps     20, 5 of each of 4 envs" in cli("rollout", *words, "max_steps=5").out
    assert "Drift (backend=mujoco_playground) x 4" in cli("spec", *words).out
    found = make_env(*words, "backend.options.speed.most=0.3").rollout(1, outwards)
    torch.testing.assert_close(found["next", "place"], found["place"] + 0.3)


def test_mistakes_are_explained(by_name: str) -> None:
    with pytest.raises(UnknownName, match=r"no MuJoCo Playground env 'CheetaRun'\. Did you mean 'CheetahRun'"):
        MujocoPlaygroundEnv("CheetaRun")
    with pytest.raises(ConfigError, match=r"options: Drift has no setting 'speed\.mots'\. Did you mean 'speed\.most'"):
        MujocoPlaygroundEnv(by_name, speed={"mots": 1})
    with pytest.raises(ConfigError, match="Drift cannot be made with episode_length: TypeError: Could not override"):
        MujocoPlaygroundEnv(by_name, episode_length="long")
    with pytest.raises(ConfigError, match="max_episode_steps: found -1"):
        MujocoPlaygroundEnv(by_name, max_episode_steps=-1)
    with pytest.raises(ConfigError, match="from_pixels: backend=mujoco_playground renders no frames"):
        MujocoPlaygroundEnv(by_name, from_pixels=True)
    with pytest.raises(
        ConfigError, match=r"Wrapper: expected an env of MuJoCo Playground, .*MjxEnv, found builtins\.str"
    ):
        MujocoPlaygroundWrapper("Drift")
    with pytest.raises(ConfigError, match="backend=mujoco_playground takes no options, found low"):
        drift().reset(low=1)
    env = drift()
    with pytest.raises(ActionError):
        env.step(env.reset().set("action", torch.full((3, 2), 2.0)))


def test_robots_that_cannot_be_downloaded_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry.mjx_env, "EXTERNAL_DEPS_PATH", tmp_path)
    monkeypatch.setattr(registry.mjx_env, "MENAGERIE_PATH", tmp_path / "menagerie")
    monkeypatch.setenv("PATH", "")  # no git
    with pytest.raises(
        ConfigError, match=r"Go1Getup needs MuJoCo Menagerie, .* type: git clone http.*menagerie && git"
    ):
        MujocoPlaygroundEnv("Go1Getup")
    assert capsys.readouterr().out == ""
