"""Every YAML file composes, builds, and says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from envcli import catalog, commands, registry
from envcli.builder import build
from envcli.configuration.reading import read

CONF = catalog.folder()
COMMANDS = [name for name in commands.names() if hasattr(commands.find(name), "Config")]
CHOICES = [(group.name, choice) for group in catalog.groups("rollout") for choice in catalog.choices(group.name)]
NEEDS = {("policy", "module"): ["policy.path=x"]}  # what a choice leaves to the user
FAMILIES = {"transforms": "transforms", "policy": "policies", "recorder": "recorders"}
GIVEN = {"recorders": {"folder"}}  # what the program and not the YAML says


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_yaml_that_composes(command: str) -> None:
    assert isinstance(read(command, []), commands.find(command).Config)


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes_and_is_explained(group: str, choice: str) -> None:
    assert read("rollout", [f"{group}={choice}", *NEEDS.get((group, choice), [])])
    assert catalog.choices(group)[choice], f"conf/{group}/{choice}.yaml needs a first line that says what it is"


@pytest.mark.parametrize("preset", catalog.choices("env"))
def test_every_env_preset_builds_and_steps(preset: str) -> None:
    with build(vars(read("rollout", [f"env={preset}", "seed=0"]))) as env:
        assert env.rollout(3).shape[-1] > 0


@pytest.mark.parametrize("preset", catalog.choices("experiment"))
def test_every_experiment_builds_and_steps(preset: str) -> None:
    with build(vars(read("rollout", [f"experiment={preset}"]))) as env:
        assert env.rollout(3).shape[-1] > 0


@pytest.mark.parametrize("transform", catalog.choices("transforms"))
def test_every_transform_builds(transform: str) -> None:
    with build(vars(read("rollout", [f"transforms=[{transform}]"]))) as env:
        assert env.rollout(3).shape[-1] == 3


@pytest.mark.parametrize("group", FAMILIES)
def test_a_node_lists_exactly_the_arguments_of_its_class(group: str) -> None:
    """So that the shell can set each of them, and refuses any other, before torch is imported."""
    family = FAMILIES[group]
    for choice in catalog.choices(group):
        content = yaml.safe_load((CONF / group / f"{choice}.yaml").read_text())
        for node in content.values() if group == "transforms" else [content]:
            arguments = set(registry.arguments(registry.find(family, node["type"]))) - GIVEN.get(family, set())
            assert set(node) - {"type"} == arguments, f"conf/{group}/{choice}.yaml"


@pytest.mark.parametrize("group", FAMILIES)
def test_every_member_can_be_chosen(group: str) -> None:
    texts = "".join((CONF / group / f"{choice}.yaml").read_text() for choice in catalog.choices(group))
    for member in registry.members(FAMILIES[group]):
        assert f"type: {member}\n" in texts, f"conf/{group}/ has nothing for {member}"


def test_no_group_is_named_like_a_plain_value() -> None:
    """A folder ``conf/frame_skip/`` would make ``frame_skip=3`` fail."""
    for command in COMMANDS:
        from envcli.schema import describe

        plain = {name for name, _, _ in describe(commands.find(command).Config)}
        folders = {path.name for path in CONF.iterdir() if path.is_dir()}
        assert not plain & folders


def test_files_are_short_and_name_no_class_to_import() -> None:
    for path in Path(CONF).rglob("*.yaml"):
        text = path.read_text()
        assert len(text.splitlines()) <= 40, path
        assert "_target_" not in text or path.name == "command.yaml", path
