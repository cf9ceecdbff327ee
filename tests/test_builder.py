from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import envcli
from envcli.backends.backend import Backend
from envcli.builder import build, frames_per_step, step_seconds
from envcli.errors import ConfigError, UnknownName
from envcli.testing.toys import CountingEnv
from envcli.vocabulary import registry

PENDULUM = {"backend": {"type": "gym", "name": "Pendulum-v1"}}


def test_a_plain_dict_is_enough() -> None:
    with build(PENDULUM) as env:
        assert env.action_spec.shape == (1,)


def test_an_omegaconf_node_is_resolved_first() -> None:
    cfg = OmegaConf.create({"id": "Pendulum-v1", "backend": {"type": "gym", "name": "${id}"}})
    with build(cfg) as env:
        assert env.action_spec.shape == (1,)


def test_building_changes_no_argument_and_no_global_generator() -> None:
    cfg = {**PENDULUM, "seed": 3, "transforms": {"count": {"type": "step_counter"}}}
    before, state = repr(cfg), torch.get_rng_state()
    build(cfg).close()
    assert repr(cfg) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_each_call_makes_a_new_env() -> None:
    with build(PENDULUM) as one, build(PENDULUM) as two:
        assert one is not two


def test_a_seed_makes_resets_equal() -> None:
    with build({**PENDULUM, "seed": 3}) as one, build({**PENDULUM, "seed": 3}) as two:
        assert torch.equal(one.reset()["observation"], two.reset()["observation"])


def test_transforms_stand_in_the_order_of_their_nodes() -> None:
    nodes = {"count": {"type": "step_counter"}, "left_out": None, "cast": {"type": "double_to_float"}}
    with build({**PENDULUM, "transforms": nodes}) as env:
        names = [type(t).__name__ for t in env.transform]  # type: ignore[attr-defined]  # a TransformedEnv
    assert names == ["StepCounter", "DoubleToFloat"]


def test_frame_skip_reaches_the_backend() -> None:
    with build({**PENDULUM, "frame_skip": 2}) as env:
        assert env.rollout(200, break_when_any_done=True).shape[-1] == 100


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"backend": {"type": "gim", "name": "x"}}, r"no backend 'gim'. Did you mean 'gym'\?"),
        ({"backend": {}}, "backend: found {}, expected a mapping with a type"),
        ({"backend": {"type": "gym"}}, "backend.name: required but not given"),
        ({"backend": {"type": "gym", "name": None}}, "backend.name: found None, expected the name of an env"),
        ({"backend": {"type": "torch", "name": 5}}, "backend.name: found 5, expected the name of an env"),
        (
            {**PENDULUM, "transforms": {"a": {"type": "step_counter", "max_step": 3}}},
            r"transforms.a.max_step: no such key",
        ),
        (
            {**PENDULUM, "transforms": {"a": {"type": "step_counter", "max_steps": float("nan")}}},
            "transforms.a.max_steps: found nan",
        ),
        (
            {**PENDULUM, "transforms": {"a": {"type": "gray_scale"}}},
            r"transforms: GrayScale: in_keys \['pixels'\] do not exist",
        ),
        (
            {**PENDULUM, "outer_transforms": {"a": {"type": "gray_scale"}}},
            r"outer_transforms: GrayScale: in_keys \['pixels'\] do not exist",
        ),
        (
            {"backend": {"type": "dm_control", "name": "cheetah-run", "pixel_size": [0, 3]}, "from_pixels": True},
            r"backend.pixel_size: expected \[height, width\] .* Type: backend.pixel_size=\[240,320\]",
        ),
        ({**PENDULUM, "device": {"name": "abacus"}}, "device.name: found 'abacus', which cannot be used here"),
        ({**PENDULUM, "device": {"name": 1.5}}, "device.name: found 1.5, expected a name, such as cpu or cuda:0"),
        ({**PENDULUM, "parallel": {"type": None}}, r"no batch None. Did you mean 'none'\?"),
        ({**PENDULUM, "parallel": {"type": ["serial"]}}, r"no batch \['serial'\]"),
        ({**PENDULUM, "parallel": {"type": "proceses"}}, r"no batch 'proceses'. Did you mean 'processes'\?"),
        ({**PENDULUM, "parallel": {"type": "serial", "num_envs": 0}}, "parallel.num_envs: found 0"),
        ({**PENDULUM, "parallel": {"type": "serial", "num_worker": 1}}, "parallel.num_worker: no such key"),
        (
            {**PENDULUM, "parallel": {"type": "processes", "start_method": "frok"}},
            "parallel.start_method: found 'frok'",
        ),
        ({"env_list": ["a", "b"], "envs": {}}, "env_list: several envs need a batch"),
        (
            {**PENDULUM, "parallel": {"type": "none", "num_envs": 8}},
            "parallel.num_envs: found 8, but backend=gymnasium runs a single env. For several, add parallel=processes",
        ),
    ],
)
def test_a_mistake_names_its_place(cfg: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(cfg)


def test_a_mistake_in_a_batch_names_its_place_when_it_starts() -> None:
    env = build({**PENDULUM, "parallel": {"type": "serial"}, "transforms": {"a": "abc"}})
    with pytest.raises(ConfigError, match=r"transforms.a: found 'abc', expected a mapping with a type"):
        env.reset()


class Crowd(CountingEnv):
    """A backend that is many envs by nature."""

    batched, absorb = True, Backend.absorb

    @classmethod
    def from_name(cls, name: str, *, num_envs: int | None = None) -> Crowd:
        return cls(batch_size=[num_envs or 1])


def test_a_batched_backend_is_asked_for_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find", lambda *_: Crowd)
    crowd = {"backend": {"type": "crowd", "name": "any"}}
    for parallel, batch in ({}, 1), ({"type": "none"}, 1), ({"type": "none", "num_envs": 3}, 3):
        with build({**crowd, "parallel": parallel}) as env:
            assert env.rollout(4, break_when_any_done=False).shape == (batch, 4)
    for kind in ("serial", "processes"):
        with pytest.raises(ConfigError, match=rf"parallel={kind}: .* Type: parallel=none parallel.num_envs=3"):
            build({**crowd, "parallel": {"type": kind, "num_envs": 3}})


def test_an_unknown_env_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"CartPole-v1"):
        build({"backend": {"type": "gym", "name": "CartPol-v1"}})


@pytest.mark.parametrize(
    ("backend", "name", "preset"),
    [("gym", "cheetah-run", "cheetah_run"), ("gym", "pong", "pong"), ("torch", "MountainCar-v0", "mountain_car")],
)
def test_an_env_that_a_preset_runs_elsewhere_is_told_of_it(backend: str, name: str, preset: str) -> None:
    with pytest.raises(UnknownName, match=rf"Or, as a preset: env={preset}\."):
        build({"backend": {"type": backend, "name": name}})


def test_make_env_composes_and_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with envcli.make_env("env=pendulum", "frame_skip=2", "transforms=[step_counter]") as env:
        assert env.rollout(3)["next", "step_count"].flatten().tolist() == [1, 2, 3]
    assert list(tmp_path.iterdir()) == []


def test_make_env_refuses_what_the_command_line_refuses() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean 'pendulum'"):
        envcli.make_env("env=pendulm")
    with pytest.raises(ConfigError, match=r"Did you mean 'frame_skip'"):
        envcli.make_env("frameskip=2")
    with pytest.raises(ConfigError, match=r"seed: found 'abc', expected a whole number"):
        envcli.make_env("seed=abc")
    with pytest.raises(ConfigError, match=r"make_env: found a list, expected words such as 'env=cartpole'"):
        envcli.make_env(["env=pendulum"])  # type: ignore[arg-type]  # which is the mistake
    with pytest.raises(UnknownName, match=r"Did you mean 'rollout'"):
        envcli.make_env(config="rolout")


def test_a_batch_of_envs_without_a_clock_has_none() -> None:
    with envcli.SerialEnv(2, CountingEnv) as env:
        env.start()
        assert step_seconds(env) is None


def test_a_backend_is_a_backend() -> None:
    with pytest.raises(ConfigError, match=r"backend.type: envcli.testing.toys:CountingEnv is not a Backend"):
        envcli.make_env("backend.type=envcli.testing.toys:CountingEnv", "allow_imports=true")


def test_make_env_refuses_what_says_nothing_of_an_env(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"max_steps=3 sets up a run.* transforms.step_counter.max_steps=3$"):
        envcli.make_env("env=pendulum", "max_steps=3")
    with envcli.make_env("transforms=[step_counter]", "transforms.step_counter.max_steps=3") as env:
        assert len(env.rollout(9)) == 3, "what the message says to type"
    for word in ("policy=zero", "recorder.type=none", "json=true"):
        with pytest.raises(ConfigError, match=rf"{word} sets up a run, not the env. Leave it out$"):
            envcli.make_env(word)


def test_make_env_leaves_hydra_alone() -> None:
    from hydra.core.global_hydra import GlobalHydra

    envcli.make_env("env=cartpole").close()
    assert not GlobalHydra.instance().is_initialized()


USER_APP = """
import hydra
from omegaconf import DictConfig

@hydra.main(version_base=None, config_path=None)
def app(cfg: DictConfig) -> None:
    import envcli
    from hydra.core.hydra_config import HydraConfig
    with envcli.make_env("env=pendulum", "seed=3") as env:
        print(env.rollout(5).shape)
    print(HydraConfig.get().job.name)

app()
"""


@pytest.mark.slow
def test_make_env_works_inside_a_hydra_application_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "my_app.py").write_text(USER_APP)
    env = {**os.environ, "PYTHONPATH": str(Path(envcli.__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, "my_app.py"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout.split("\n")[:2] == ["torch.Size([5])", "my_app"], done.stderr


def test_a_device_without_values_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"device\.name: found 'meta'"):
        build({"backend": {"type": "gym", "name": "CartPole-v1"}, "device": {"name": "meta"}})


THREE = {"type": "serial", "num_envs": 3}


def different(*gravities: int) -> dict[str, object]:
    """Pendulums that differ in their gravity alone."""
    envs = {f"g{g}": {"backend": {**PENDULUM["backend"], "options": {"g": g}}} for g in gravities}
    return {"env_list": list(envs), "envs": envs}


def test_a_batch_is_built_when_it_is_used() -> None:
    with build({**PENDULUM, "parallel": THREE}) as env:
        assert isinstance(env, envcli.SerialEnv)
        assert env.is_closed
        assert env.rollout(4).shape == (3, 4)


@pytest.mark.usefixtures("fork_server")
def test_a_batch_gives_the_same_bits_whoever_runs_it() -> None:
    nodes = {"count": {"type": "step_counter", "max_steps": 7}}
    cfg = {**PENDULUM, "seed": 3, "transforms": nodes, "outer_transforms": {"sum": {"type": "reward_sum"}}}
    runs = []
    for parallel in (THREE, {"type": "processes", "num_envs": 3, "num_workers": 2}):
        torch.manual_seed(0)
        with build({**cfg, "parallel": parallel}) as env:
            runs.append(env.rollout(20, break_when_any_done=False))
    assert (runs[0] == runs[1]).all()


def test_the_envs_of_a_batch_are_seeded_by_the_chain() -> None:
    with build({**PENDULUM, "seed": 3, "parallel": THREE}) as env:
        shown = env.reset()["observation"]
    for i, seed in enumerate(envcli.seeding.seed_chain(3, 2)):
        with build({**PENDULUM, "seed": seed}) as single:
            assert torch.equal(single.reset()["observation"], shown[i])


def test_outer_transforms_see_the_batch_and_follow_the_inner_ones() -> None:
    inner, outer = {"a": {"type": "step_counter"}}, {"a": {"type": "reward_sum"}}
    with build({**PENDULUM, "parallel": THREE, "transforms": inner, "outer_transforms": outer}) as env:
        assert isinstance(env, envcli.TransformedEnv)
        assert [type(t).__name__ for t in env.transform] == ["RewardSum"]  # type: ignore[attr-defined]
        assert isinstance(env.base_env, envcli.SerialEnv)
        assert {"step_count", "episode_reward"} <= set(env.rollout(2)["next"].keys())
    with build({**PENDULUM, "transforms": inner, "outer_transforms": outer}) as env:
        assert [type(t).__name__ for t in env.transform] == ["StepCounter", "RewardSum"]  # type: ignore[attr-defined]


def test_different_envs_stand_side_by_side_in_turn() -> None:
    with build({**different(5, 10), "parallel": {"type": "serial", "num_envs": 4}, "seed": 0}) as env:
        assert [unwrapped.g for unwrapped in env.unwrapped] == [5, 10, 5, 10]


def test_envs_that_do_not_fit_are_named() -> None:
    cartpole = {"backend": {"type": "gym", "name": "CartPole-v1"}}
    cfg = {"env_list": ["p", "c"], "envs": {"p": PENDULUM, "c": cartpole}, "parallel": {"type": "serial"}, "seed": 0}
    with pytest.raises(ConfigError, match=r"env_list=\[p,c\]: env 1 .* observation 'observation' is"):
        build(cfg)


@pytest.mark.parametrize("kind", ["vec_norm", "vec_norm_v2"])
@pytest.mark.parametrize("several", [False, True])
def test_shared_statistics_are_one_set(several: bool, kind: str) -> None:
    norm = {"type": kind, "decay": 1.0, "shared": True}
    cfg = {**(different(5, 10, 15) if several else PENDULUM), "parallel": THREE}
    for node in [cfg, *cfg.get("envs", {}).values()]:
        node["transforms"] = {"norm": norm}
    with build(cfg) as env:
        env.rollout(5)
        states = [state["transforms.0._extra_state"] for state in env.state_dict().values()]
    sums = kind == "vec_norm"
    counts = [state["td"]["observation_count"] if sums else state["count.-|-.observation"] for state in states]
    assert counts == [18, 18, 18]


@pytest.mark.usefixtures("fork_server")
def test_a_worker_gets_plain_dicts() -> None:
    cfg = OmegaConf.create({"n": 2, "parallel": {"type": "processes", "num_envs": "${n}"}, **PENDULUM})
    with build({"parallel": cfg.parallel, "backend": cfg.backend}) as env:
        assert env.rollout(2).shape == (2, 2)
        text = repr(env.create_env_kwargs)
    assert "DictConfig" not in text
    assert type(env.create_env_kwargs[0]["cfg"]["backend"]) is dict


def test_a_batch_hands_out_on_the_device() -> None:
    with build({**PENDULUM, "parallel": THREE, "device": {"name": "cpu"}}) as env:
        assert env.device == torch.device("cpu")
        assert env.reset().device == torch.device("cpu")


def test_the_clock_of_a_batch_is_that_of_its_envs() -> None:
    for parallel in ({"type": "none"}, THREE):
        with build({**PENDULUM, "parallel": parallel, "seed": 0}) as env:
            assert step_seconds(env) == pytest.approx(1 / 30)


@pytest.mark.parametrize("inner", [1, 3])
@pytest.mark.parametrize("outer", [1, 2])
def test_the_clock_counts_the_steps_that_transforms_repeat(inner: int, outer: int) -> None:
    for parallel in ({"type": "none"}, THREE):
        skips = {"transforms": inner, "outer_transforms": outer}
        cfg = {place: {"skip": {"type": "frame_skip", "frame_skip": n}} for place, n in skips.items()}
        with build({**PENDULUM, **cfg, "frame_skip": 2, "parallel": parallel, "seed": 0}) as env:
            assert step_seconds(env) == pytest.approx(2 * inner * outer / 30)
            assert frames_per_step(env) == 2 * inner * outer


@pytest.mark.usefixtures("fork_server")
def test_make_env_gives_the_batch() -> None:
    with envcli.make_env("env=pendulum", "parallel=processes", "parallel.num_envs=2") as env:
        assert isinstance(env, envcli.ParallelEnv)
        assert env.rollout(3).shape == (2, 3)
