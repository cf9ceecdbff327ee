"""What can be typed, held against what a YAML parser reads in the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from envcli.errors import ConfigError
from envcli.vocabulary import catalog
from envcli.vocabulary.catalog import Group

GROUPS = {group.name: group for command in ("rollout", "bench", "render") for group in catalog.groups(command)}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own folder."""
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", f"{tmp_path}:")
    (tmp_path / "transforms").mkdir()
    return tmp_path


def test_groups_are_those_of_the_primary_file_in_its_order() -> None:
    read = yaml.safe_load((catalog.folder() / "rollout.yaml").read_text(encoding="utf-8"))
    entries = [item for item in read["defaults"] if isinstance(item, dict)]
    names = [name.rpartition("@")[2] for item in entries for name in item]
    assert catalog.group_names("rollout") == names
    assert all(group.help for group in catalog.groups("rollout"))


def test_two_groups_may_share_a_folder() -> None:
    inner, outer = GROUPS["transforms"], GROUPS["outer_transforms"]
    assert (inner.source, inner.package, inner.many) == ("transforms", None, True)
    assert (outer.source, outer.package, outer.many) == ("transforms", "outer_transforms", True)
    assert not GROUPS["parallel"].many


@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_keys_and_their_defaults_are_those_that_yaml_reads(group: Group) -> None:
    expected: dict[str, Any] = {}
    for path in catalog.files(group.source):
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
        if "defaults" not in node and "@package" not in path.read_text(encoding="utf-8"):
            for key, value in _leaves(node, group.name):
                expected.setdefault(key, value)
    found = list(catalog.node_keys(group))
    assert {key.path: yaml.safe_load(key.default) for key in found} == expected
    assert len({key.path for key in found}) == len(found), "each once"


def _leaves(node: dict[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        path = f"{prefix}.{name}"
        if isinstance(value, dict) and value and name != "hidden":  # the one that stands in one line
            yield from _leaves(value, path)
        elif name != "type":
            yield path, value


def test_what_is_said_of_a_key_is_the_comment_beside_it() -> None:
    keys = {key.path: key for key in catalog.node_keys(GROUPS["transforms"])}
    found = keys["transforms.step_counter.max_steps"]
    assert (found.default, found.help) == ("null", "truncate an episode after this many steps; null: never")


def test_a_users_own_choices_stand_beside_ours_and_win(own: Path) -> None:
    (own / "transforms" / "mine.yaml").write_text("# @package _global_\n# Of my own\nmine: {}\n")
    (own / "transforms" / "clip.yaml").write_text("# Another one\nclip: {}\n")
    found = catalog.choices("transforms")
    assert (found["mine"], found["clip"]) == ("Of my own", "Another one")
    assert found["step_counter"].startswith("Count the steps")
    assert list(found) == sorted(found)


def test_a_choice_that_says_nothing_is_one_all_the_same(own: Path) -> None:
    (own / "transforms" / "silent.yaml").write_bytes(b"silent: {name: \xff}\n")
    assert catalog.choices("transforms")["silent"] == ""


def test_a_folder_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", "nowhere")
    with pytest.raises(ConfigError, match=r"ENVCLI_CONFIG_PATH: no folder nowhere"):
        catalog.extra_folders()
    (tmp_path / "nowhere").mkdir()
    assert catalog.extra_folders() == [tmp_path / "nowhere"]


def test_a_preset_stands_for_a_backend_and_a_name() -> None:
    found = catalog.presets()
    assert found["gymnasium", "CartPole-v1"] == "cartpole"
    assert found["ale", "Pong"] == "pong"
