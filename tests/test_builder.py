from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import envcli
from envcli.builder import build
from envcli.errors import ConfigError, UnknownName

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
        ({"backend": {}}, "backend: found {}, expected a node with a type"),
        ({"backend": {"type": "gym"}}, "backend.name: nothing found"),
        (
            {**PENDULUM, "transforms": {"a": {"type": "step_counter", "max_step": 3}}},
            r"transforms.a.max_step: no such key",
        ),
        (
            {**PENDULUM, "transforms": {"a": {"type": "step_counter", "max_steps": float("nan")}}},
            "transforms.a.max_steps: found nan",
        ),
        ({**PENDULUM, "device": {"name": "abacus"}}, "device.name: found 'abacus', which cannot be used here"),
        ({**PENDULUM, "parallel": {"type": "processes"}}, "parallel.type: found 'processes'"),
    ],
)
def test_a_mistake_names_its_place(cfg: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build(cfg)


def test_an_unknown_env_gets_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"CartPole-v1"):
        build({"backend": {"type": "gym", "name": "CartPol-v1"}})


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
    with pytest.raises(UnknownName, match=r"Did you mean 'rollout'"):
        envcli.make_env(config="rolout")


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
