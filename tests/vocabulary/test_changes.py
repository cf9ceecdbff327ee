"""What a saved configuration says otherwise than the defaults."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from omegaconf import OmegaConf

from envcli import commands
from envcli.configuration.composition import compose
from envcli.vocabulary.changes import changes, defaults

CONFIG = commands.find("rollout").Config


def without_empty(node: Any) -> Any:
    """Keys under which there is nothing are the same as no such keys."""
    if not isinstance(node, Mapping):
        return node
    return {name: kept for name, value in node.items() if (kept := without_empty(value)) != {}}


@pytest.mark.parametrize("command", ["rollout", "bench", "check", "render", "export", "doctor"])
def test_defaults_are_what_hydra_composes_of_no_word(command: str) -> None:
    composed = OmegaConf.to_container(compose(command), resolve=False)
    assert without_empty(defaults(command, commands.find(command).Config)) == without_empty(composed)


@pytest.fixture
def saved() -> dict[str, Any]:
    """As the defaults have it."""
    return copy.deepcopy(defaults("rollout", CONFIG))


def test_the_defaults_change_nothing(saved: dict[str, Any]) -> None:
    assert changes("rollout", CONFIG, saved) == {}


def test_what_is_changed_is_told_with_both_values_in_its_order(saved: dict[str, Any]) -> None:
    saved["backend"]["name"] = "Acrobot-v1"
    saved["max_steps"] = 50
    saved["transforms"] = {"clip": {"type": "clip", "low": -1.0}}
    assert list(changes("rollout", CONFIG, saved).items()) == [
        ("max_steps", (1000, 50)),
        ("backend.name", ("CartPole-v1", "Acrobot-v1")),
        ("transforms.clip.type", (None, "clip")),
        ("transforms.clip.low", (None, -1.0)),
    ]


def test_what_is_gone_comes_last(saved: dict[str, Any]) -> None:
    del saved["max_steps"]
    saved["break_when_any_done"] = True
    assert list(changes("rollout", CONFIG, saved).items()) == [
        ("break_when_any_done", (False, True)),
        ("max_steps", (1000, None)),
    ]


@pytest.mark.parametrize("name", ["seed", "json", "overwrite", "replay", "resume"])
def test_how_it_was_run_is_no_change(saved: dict[str, Any], name: str) -> None:
    assert changes("rollout", CONFIG, {**saved, name: "another"}) == {}
