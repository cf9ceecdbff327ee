"""Every YAML file composes, builds, and says what it is."""

from __future__ import annotations

import importlib.util
import inspect
from copy import deepcopy
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from envcli import commands
from envcli.builder import build
from envcli.configuration.reading import read
from envcli.errors import EnvcliError, MissingDependency
from envcli.vocabulary import catalog, registry, signature

CONF = catalog.folder()
COMMANDS = [name for name in commands.names() if hasattr(commands.find(name), "Config")]
GROUPS = [group for group in catalog.groups("rollout") if group.source not in ("env", "experiment", "transforms")]
BESIDE = [  # one choice of each group that no test below composes
    [f"{group.name}={choice}" for group, choice in zip(GROUPS, row, strict=True) if choice]
    for row in zip_longest(*(catalog.choices(group.source) for group in GROUPS))
]
NEEDS = {("policy", "module"): ["policy.path=x"]}  # what a choice leaves to the user
for images in (
    "atari",
    "center_crop",
    "crop",
    "gray_scale",
    "permute",
    "pixels",
    "resize",
    "to_tensor_image",
):
    NEEDS["transforms", images] = ["env=pong"]
NEEDS["transforms", "action_discretizer"] = NEEDS["transforms", "action_scaling"] = ["env=pendulum"]
NEEDS["transforms", "expand_as"] = [f"transforms.expand_as.{word}" for word in ("in_key=reward", "ref_key=observation")]
NEEDS["transforms", "gsde_noise"] = [f"transforms.gsde_noise.{word}" for word in ("state_dim=4", "action_dim=2")]
NEEDS["transforms", "flatten_action"] = ["env=pendulum", "transforms.flatten_action.first_dim=-1"]
NEEDS["transforms", "module_transform"] = ["transforms.module_transform.module=net.pt"]
NEEDS["transforms", "rnd"] = [f"transforms.rnd.{name}_network=net.pt" for name in ("target", "predictor")]
SWITCH = "transforms.conditional_policy_switch"
NEEDS["transforms", "conditional_policy_switch"] = [
    f"{SWITCH}.policy=my_rules:idle",
    f"{SWITCH}.condition=my_rules:odd",
]
SKIP = "transforms.conditional_skip.cond"
NEEDS["transforms", "conditional_skip"] = [f"{SKIP}=my_rules:odd"]
NEEDS["transforms", "terminate"] = ["transforms.terminate.stop=my_rules:reached"]
NEEDS["transforms", "success_reward"] = ["transforms.success_reward.success_key=terminated"]
NEEDS["transforms", "unary"] = [f"transforms.unary.{name}=[observation]" for name in ("in_keys", "out_keys")]
NEEDS["transforms", "unary"] += ["transforms.unary.fn=my_rules:doubled"]
NEEDS["transforms", "stack"] = ["transforms.stack.in_keys=[observation,observation]", "transforms.stack.out_key=both"]
REFUSED = {
    "action_mask": "'action_mask'. do not exist",
    "module_transform": "no file /.*/net.pt",
    "rnd": "target_network: no file /.*/net.pt",
    "random_truncation": r"no step count 'step_count'. Put StepCounter\(\) before it",
    "conditional_policy_switch": f"{SWITCH}.policy: 'my_rules:idle' would import external code",
    "conditional_skip": f"{SKIP}: 'my_rules:odd' would import external code",
    "terminate": "transforms.terminate.stop: 'my_rules:reached' would import external code",
    "unary": "transforms.unary.fn: 'my_rules:doubled' would import external code",
}  # by every env that is here
NEEDS["transforms", "unsqueeze"] = ["transforms.unsqueeze.in_keys=[observation]"]
NEEDS["transforms", "cat_frames"] = ["env=pong", "transforms.cat_frames.dim=-1"]
NEEDS["transforms", "squeeze"] = ["env=pong", "transforms.squeeze.dim=-1", "backend.obs_type=grayscale"]
NEEDS["transforms", "frame_skip"] = ["env=pendulum"]  # long enough
NEEDS["transforms", "end_of_life"] = ["env=pong", "backend.lives=true"]
SINGLE = [path.stem for path in catalog.files("transforms") if "\ndefaults:" not in path.read_text()]  # no bundles
FAMILIES = {"transforms": "transforms", "policy": "policies", "recorder": "recorders", "tracker": "trackers"}
GIVEN = {"folder", "allow_imports"}  # what the program and not the YAML says


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_yaml_that_composes(command: str) -> None:
    module = commands.find(command)
    must = [f"{module.POSITIONAL}=outputs"] if hasattr(module, "POSITIONAL") else []
    assert isinstance(read(command, must), module.Config)


@pytest.mark.parametrize("words", BESIDE, ids=" ".join)
def test_every_choice_composes(words: list[str]) -> None:
    """Those of env, transforms and experiment are built as well: below, and in test_experiments."""
    needs = [word for choice in words for word in NEEDS.get(tuple(choice.split("=")), [])]
    assert read("rollout", [*words, *needs])


@cache
def nodes(group: str) -> dict[str, Any]:
    """Of every transform that is no bundle, as ``group`` composes them."""
    needs = [word for name in SINGLE for word in NEEDS.get(("transforms", name), []) if word.startswith("transforms.")]
    words = [f"{group}=[{','.join(SINGLE)}]", *(word.replace("transforms.", f"{group}.", 1) for word in needs)]
    return dict(getattr(read("rollout", words), group))


def test_transforms_are_the_same_around_the_whole_batch() -> None:
    assert nodes("outer_transforms") == nodes("transforms")
    assert set(nodes("transforms")) == set(SINGLE) - {"none"}


@cache
def workload(*words: str) -> dict[str, Any]:
    return vars(read("rollout", words))


def with_transform(name: str) -> dict[str, Any]:
    needs = NEEDS.get(("transforms", name), [])
    if name not in SINGLE:
        return vars(read("rollout", [f"transforms=[{name}]", *needs]))
    rest = workload(*(word for word in needs if not word.startswith("transforms.")))
    return deepcopy({**rest, "transforms": {key: node for key, node in nodes("transforms").items() if key == name}})


@pytest.mark.parametrize("group", catalog.groups("rollout"), ids=lambda group: group.name)
def test_every_choice_is_explained(group: catalog.Group) -> None:
    for choice, explained in catalog.choices(group.source).items():
        assert explained, f"conf/{group.source}/{choice}.yaml needs a first line that says what it is"


@pytest.mark.parametrize("preset", catalog.choices("env"))
def test_every_env_preset_builds_and_steps(preset: str) -> None:
    cfg = vars(read("rollout", [f"env={preset}", "seed=0"]))
    if (kind := cfg["backend"]["type"]) in ("brax", "mujoco_playground"):
        pytest.skip(f"takes a minute to compile, where it is installed: see tests/backends/test_{kind}.py")
    if cfg["backend"]["type"] == "pettingzoo":
        pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (extra pettingzoo)")
        if cfg["backend"]["name"].startswith("mpe/"):
            pytest.importorskip("mpe2", reason="mpe2 is not installed (extra pettingzoo)")
    for kind, library, extra in (
        ("gymnax", "gymnax", "gymnax"),
        ("jumanji", "jumanji", "jumanji"),
        ("mo_gym", "mo_gymnasium", "mo-gymnasium"),
        ("open_spiel", "pyspiel", "open-spiel"),
        ("vmas", "vmas", "vmas"),
    ):
        if cfg["backend"]["type"] == kind and importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed (extra {extra})")
    with build(cfg) as env:
        assert env.rollout(3).shape[-1] > 0


@pytest.mark.parametrize("transform", REFUSED)
def test_a_transform_that_fits_none_of_these_envs_says_so(transform: str) -> None:
    with pytest.raises(EnvcliError, match=REFUSED[transform]):
        build(with_transform(transform))


@pytest.mark.parametrize("transform", [name for name in catalog.choices("transforms") if name not in REFUSED])
def test_every_transform_builds(transform: str) -> None:
    with build(with_transform(transform)) as env:
        assert env.rollout(3, break_when_any_done=False).shape[-1] == 3


@pytest.mark.parametrize("group", FAMILIES)
def test_a_node_lists_exactly_the_arguments_of_its_class(group: str) -> None:
    """So that the shell can set each of them, and refuses any other, before torch is imported."""
    family = FAMILIES[group]
    for choice in catalog.choices(group):
        content = yaml.safe_load((CONF / group / f"{choice}.yaml").read_text())
        if "defaults" in content:  # a bundle of nodes that are spelled out in files of their own
            continue
        for node in content.values() if group == "transforms" else [content]:
            cls = registry.find(family, node["type"])
            arguments = set(signature.arguments(cls)) - GIVEN
            assert set(node) - {"type", *signature.listed(cls)} == arguments, f"conf/{group}/{choice}.yaml"


@pytest.mark.parametrize("choice", catalog.choices("backend"))
def test_a_backends_node_lists_what_its_from_name_takes(choice: str) -> None:
    """But for what stands elsewhere in a configuration; and with the same defaults."""
    node = yaml.safe_load((CONF / "backend" / f"{choice}.yaml").read_text())
    try:
        from_name = registry.find("backends", node["type"]).from_name
        taken = signature.arguments(from_name)
    except MissingDependency as error:
        pytest.skip(str(error))
    elsewhere = {"frame_skip", "from_pixels", "pixels_only", "device", "num_envs"}
    nested = {name for name, p in taken.items() if "Mapping" in str(p.annotation)}  # under options
    absorbed = {"native_transforms"}
    torchrls = {"allow_done_after_reset", "batch_size", "convert_actions_to_numpy", "spec_locked"}  # for programs' sake
    torchrls |= {*getattr(from_name, "without_effect", ())}
    assert set(node) - {"type", "options"} - absorbed == set(taken) - elsewhere - nested - torchrls
    for name in set(node) & set(taken):
        default = taken[name].default
        if default is not inspect.Parameter.empty and not isinstance(default, torch.dtype):
            assert node[name] == (list(default) if isinstance(default, tuple) else default), name


@pytest.mark.parametrize("group", FAMILIES)
def test_every_member_can_be_chosen(group: str) -> None:
    texts = "".join((CONF / group / f"{choice}.yaml").read_text() for choice in catalog.choices(group))
    for member in registry.members(FAMILIES[group]):
        assert f"type: {member}\n" in texts, f"conf/{group}/ has nothing for {member}"


def test_no_group_is_named_like_a_plain_value() -> None:
    """A folder ``conf/frame_skip/`` would make ``frame_skip=3`` fail."""
    for command in COMMANDS:
        from envcli.vocabulary.schema import describe

        plain = {name for name, _, _ in describe(commands.find(command).Config)}
        folders = {path.name for path in CONF.iterdir() if path.is_dir()}
        assert not plain & folders


def test_files_are_short_and_name_no_class_to_import() -> None:
    for path in Path(CONF).rglob("*.yaml"):
        text = path.read_text()
        assert len(text.splitlines()) <= 40, path
        hydras_own = path.name == "command.yaml" or path.parent.name == "launcher"
        assert "_target_" not in text or hydras_own, path
