"""What a saved configuration says otherwise than the defaults."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from omegaconf import OmegaConf

from envcli import commands
from envcli.configuration.composition import compose
from envcli.configuration.reading import read
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
        ("env", ("cartpole", "acrobot")),
        ("transforms.clip", (None, "clip")),
        ("transforms.clip.low", (-10.0, -1.0)),
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["env=pong"], {"env": ("cartpole", "pong")}),
        (["env=connect_four", "policy=zero"], {"env": ("cartpole", "connect_four"), "policy": ("random", "zero")}),
        (["backend.name=My-v1"], {"backend.name": ("CartPole-v1", "My-v1")}),
        (
            ["backend=dm_control", "backend.name=fish-swim", "backend.camera_id=1"],
            {
                "backend": ("gymnasium", "dm_control"),
                "backend.name": ("CartPole-v1", "fish-swim"),
                "backend.camera_id": (0, 1),
            },
        ),
        (["policy=module", "policy.path=net.pt"], {"policy": ("random", "module"), "policy.path": (None, "net.pt")}),
        (
            ["transforms=[resize,step_counter]", "transforms.resize.h=64"],
            {
                "transforms.resize": (None, "resize"),
                "transforms.resize.h": (84, 64),
                "transforms.step_counter": (None, "step_counter"),
            },
        ),
        (
            ["+transforms.cat={type: cat_frames, N: 3}"],
            {"transforms.cat": (None, "cat_frames"), "transforms.cat.N": (4, 3)},
        ),
        (
            ["+outer_transforms=gray_scale", "env_list=[pong,qbert]", "parallel=serial"],
            {
                "outer_transforms.gray_scale": (None, "gray_scale"),
                "parallel": ("none", "serial"),
                "parallel.num_envs": (None, 2),
                "env_list": (None, ["pong", "qbert"]),
            },
        ),
    ],
)
def test_what_is_chosen_is_told_by_its_choice_and_compared_with_its_defaults(
    words: list[str], told: dict[str, Any]
) -> None:
    saved = OmegaConf.to_container(OmegaConf.structured(read("rollout", words)))
    assert isinstance(saved, dict)
    assert changes("rollout", CONFIG, saved) == told


@pytest.mark.parametrize("kind", ["../../env/pong", "atari", "[", None, 3, {}])
def test_a_type_that_is_no_choice_is_told_as_it_is(kind: Any, saved: dict[str, Any]) -> None:
    saved["transforms"] = {"it": {"type": kind, "h": 3}}
    told = changes("rollout", CONFIG, saved)
    assert told["transforms.it.h"] == (None, 3)
    if isinstance(kind, str):
        assert told["transforms.it"] == (None, kind)


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
