"""Many envs from YAML: keys, defaults, different envs side by side, transforms at two places."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.configuration.reading import read
from envcli.errors import ConfigError
from envcli.ray.ray_env import RayEnv
from envcli.vocabulary import catalog, signature
from envcli.vocabulary.schema import settled_parallel

BATCHES: dict[str, Any] = {"processes": ParallelEnv, "ray": RayEnv, "serial": SerialEnv}
GIVEN = {"create_env_fn", "create_env_kwargs", "device"}  # what the program and not the YAML says
TORCHRLS = {
    "allow_step_when_done", "consolidate", "daemon", "memmap", "metadata_from_workers", "mp_start_method",
    "non_blocking", "num_sub_threads", "num_threads", "pin_memory", "policy_proof", "serial_for_single",
    "share_individual_td", "shared_memory", "shutdown_timeout", "use_buffers",
}  # fmt: skip
"""What is taken for the sake of programs, and no key."""
NAMED = {"processes": {"start_method": "forkserver"}}  # what None stands for, spelled out in a YAML


@pytest.mark.parametrize("choice", BATCHES)
def test_a_node_lists_exactly_the_arguments_of_its_class(choice: str) -> None:
    node = yaml.safe_load((catalog.folder() / "parallel" / f"{choice}.yaml").read_text())
    arguments = signature.arguments(BATCHES[choice])
    assert node.pop("type") == choice
    others = {"num_workers"} if choice == "serial" else set()  # its name in TorchRL for num_envs
    assert set(node) == set(arguments) - GIVEN - TORCHRLS - others
    defaults = {name: p.default for name, p in arguments.items() if name in node and p.default is not p.empty}
    assert {name: node[name] for name in defaults} == defaults | NAMED.get(choice, {})


def test_there_is_a_choice_for_each() -> None:
    assert set(catalog.choices("parallel")) == {"none", *BATCHES}


def test_the_number_of_envs_is_settled_and_so_recorded() -> None:
    assert read("rollout", ["parallel=serial"]).parallel["num_envs"] == max(2, len(os.sched_getaffinity(0)))
    assert read("rollout", ["parallel=serial", "parallel.num_envs=1"]).parallel["num_envs"] == 1
    assert read("rollout", ["parallel=serial", "env_list=[pong,qbert,pong]"]).parallel["num_envs"] == 3


@pytest.mark.parametrize("command", ["check", "render", "rollout", "spec"])
def test_outer_transforms_are_the_same_group_at_a_second_place(command: str) -> None:
    cfg = read(command, ["transforms=pixels", "outer_transforms=[gray_scale,resize]", "outer_transforms.resize.h=32"])
    assert list(cfg.transforms) == ["to_tensor_image", "resize", "gray_scale"]
    assert list(cfg.outer_transforms) == ["gray_scale", "resize"]
    assert (cfg.transforms["resize"]["h"], cfg.outer_transforms["resize"]["h"]) == (84, 32)


@pytest.mark.parametrize(
    ("words", "nodes"),
    [
        (["outer_transforms=state"], ["double_to_float", "cat_tensors"]),
        (["+outer_transforms=sign"], ["sign"]),
        (["outer_transforms=[sign,resize]", "~outer_transforms.sign"], ["resize"]),
        (["transforms@outer_transforms=[sign]"], ["sign"]),
        ([], []),
    ],
)
def test_outer_transforms_are_edited_as_transforms_are(words: list[str], nodes: list[str]) -> None:
    cfg = read("rollout", words)
    assert (list(cfg.outer_transforms), cfg.transforms) == (nodes, {})


def test_each_of_an_env_list_is_composed_as_it_would_be_alone() -> None:
    words = ["transforms=[resize]", "transforms.resize.h=32", "frame_skip=3", "backend.repeat_action_probability=0.0"]
    several = read("rollout", ["env_list=[air_raid,pong]", "parallel=processes", *words])
    assert list(several.envs) == several.env_list == ["air_raid", "pong"]
    for name, node in several.envs.items():
        alone = read("rollout", [f"env={name}", *words])
        assert node == {key: getattr(alone, key) for key in node}
    assert several.env_name == "air_raid, pong"


def test_envs_of_an_env_list_may_have_no_preset() -> None:
    words = ["backend=dm_control", "parallel=serial", "frame_skip=2"]
    envs = read("rollout", ["env_list=[walker-walk,cheetah_run]", *words[1:], words[0]]).envs
    for name, alone in (("walker-walk", "backend.name=walker-walk"), ("cheetah_run", "env=cheetah_run")):
        assert envs[name]["backend"] == read("rollout", [alone, *words[::2], *words[:1]]).backend
        assert envs[name]["frame_skip"] == 2
    with pytest.raises(ConfigError, match=r"backend.name=Taxi-v3 and env_list=\[CartPole-v1\] cannot be combined"):
        read("rollout", ["env_list=[CartPole-v1]", "parallel=serial", "backend.name=Taxi-v3"])
    with pytest.raises(ConfigError, match=r"no env 'walker'\..* or of the backend: CartPole-v1"):
        read("rollout", ["env_list=[walker-walk,walker]", *words])


def test_a_preset_of_a_folder_of_ones_own_can_stand_in_an_env_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "taxi_pixels.yaml").write_text(
        "# @package _global_\nfrom_pixels: true\nbackend: {name: Taxi-v3}\n"
    )
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(tmp_path))
    envs = read("rollout", ["env_list=[taxi_pixels,cartpole]", "parallel=serial"]).envs
    assert [(node["backend"]["name"], node["from_pixels"]) for node in envs.values()] == [
        ("Taxi-v3", True),
        ("CartPole-v1", False),
    ]


def test_an_experiment_may_hold_an_env_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /parallel: serial\nenv_list: [cartpole, {}]\n"
    (tmp_path / "experiment" / "two.yaml").write_text(text.format("acrobot"))
    (tmp_path / "experiment" / "wrong.yaml").write_text(text.format("acrobat"))
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(tmp_path))
    assert list(read("rollout", ["experiment=two"]).envs) == ["cartpole", "acrobot"]
    with pytest.raises(ConfigError, match=r"env_list: no env 'acrobat'. Did you mean 'acrobot'"):
        read("rollout", ["experiment=wrong"])
    with pytest.raises(ConfigError, match=r"env=pong and env_list=\['cartpole', 'acrobot'\] cannot be combined"):
        read("rollout", ["experiment=two", "env=pong"])


@pytest.mark.parametrize(
    ("parallel", "message"),
    [
        ({"num_envs": 0}, "parallel.num_envs: found 0, expected a whole number from 1 to"),
        ({"num_envs": "4"}, "parallel.num_envs: found '4'"),
        ({"num_workers": 0}, "parallel.num_workers: found 0"),
        ({"step_timeout": -1}, "parallel.step_timeout: found -1, expected seconds, or 0"),
    ],
)
def test_what_is_out_of_range_is_named(parallel: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settled_parallel({"type": "processes", **parallel})
