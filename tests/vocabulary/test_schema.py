"""The keys of a configuration, and what is said of their values."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from omegaconf import OmegaConf

from envcli.errors import ConfigError
from envcli.processes import cores
from envcli.vocabulary.schema import (
    Answer,
    EnvConfig,
    at_least,
    check_finite,
    describe,
    in_one_line,
    key,
    settled_parallel,
    whole,
)


@dataclass
class Config(Answer):
    """Of a command."""

    count: int = key(3, "how many")
    plain: int = 7


def test_keys_are_told_in_their_order_and_what_has_no_line_is_left_out() -> None:
    assert list(describe(Config)) == [
        ("json", False, "print the answer as JSON, and nothing else, on stdout"),
        ("count", 3, "how many"),
    ]
    assert Config().count == 3


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"seed": -1}, r"seed: found -1, expected a whole number of at least 0\."),
        ({"seed": 2**64}, r"seed: found 18446744073709551616, expected a whole number below 2\*\*64"),
        ({"max_steps": 0}, r"max_steps: found 0, expected a whole number of at least 1\."),
        ({"max_steps": True}, r"max_steps: found True, expected a whole number"),
        ({"frame_skip": 1.5}, r"frame_skip: found 1\.5, expected a whole number of at least 1\."),
    ],
)
def test_numbers_that_cannot_be_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        EnvConfig(**keys)


def test_an_env_is_called_as_it_was_chosen() -> None:
    assert EnvConfig(backend={"name": "CartPole-v1"}).env_name == "CartPole-v1"
    several = EnvConfig(env_list=["pong", "qbert"], parallel={"type": "serial"})
    assert (several.env_name, several.parallel["num_envs"]) == ("pong, qbert", 2)


@pytest.mark.parametrize(
    ("parallel", "names", "settled"),
    [
        ({}, None, {}),
        ({"type": "none", "num_envs": None}, None, {"type": "none"}),
        ({"type": "none", "num_envs": 8}, None, {"type": "none", "num_envs": 8}),
        ({"type": "serial", "num_envs": 3}, None, {"type": "serial", "num_envs": 3}),
        ({"type": "serial"}, None, {"type": "serial", "num_envs": max(2, cores())}),
        ({"type": "processes", "num_workers": None}, ["a"], {"type": "processes", "num_workers": None, "num_envs": 1}),
        ({"type": "serial", "num_envs": 4}, ["a", "b"], {"type": "serial", "num_envs": 4}),
        ({"type": "ray", "step_timeout": 0}, ["a"], {"type": "ray", "step_timeout": 0, "num_envs": 1}),
    ],
)
def test_a_batch_has_a_number_of_envs(
    parallel: dict[str, Any], names: list[str] | None, settled: dict[str, Any]
) -> None:
    before = dict(parallel)
    assert settled_parallel(parallel, names) == settled
    assert parallel == before, "what was given stays as it is"


@pytest.mark.parametrize(
    ("parallel", "names", "said"),
    [
        ({"type": "serial"}, [], r"env_list: found \[\], expected env names: 'env_list=\[air_raid,pong\]'"),
        ({"type": "none"}, ["a"], r"env_list: several envs need a batch. Add parallel=processes or parallel=ser"),
        (
            {"type": "serial", "num_envs": 3},
            ["a", "b"],
            r"parallel.num_envs: found 3, expected a multiple of 2, the length",
        ),
        ({"type": "none", "num_envs": 0}, None, r"parallel.num_envs: found 0, expected a whole number of at least 1"),
        ({"type": "serial", "num_envs": 10**12}, None, r"num_envs: found 1000000000000, expected .* 1 to 1,048,576\.$"),
        ({"type": "processes", "num_workers": 0}, None, r"parallel.num_workers: found 0, expected a whole number"),
        ({"type": "ray", "num_actors": "2"}, None, r"parallel.num_actors: found '2', expected a whole number"),
        ({"type": "processes", "close_timeout": -1}, None, r"close_timeout: found -1, expected seconds, or 0 for no l"),
        ({"type": "processes", "step_timeout": True}, None, r"parallel.step_timeout: found True, expected seconds"),
    ],
)
def test_a_batch_that_cannot_be_is_refused(parallel: dict[str, Any], names: list[str] | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        settled_parallel(parallel, names)


def test_whole_numbers_from_there_on_pass() -> None:
    assert [whole("steps", value, 0) for value in (0, 7)] == [0, 7]
    assert [whole("steps", value, 0, 7) for value in (0, 7)] == [0, 7]
    with pytest.raises(ConfigError, match=r"^steps: found 8, expected a whole number from 0 to 7\.$"):
        whole("steps", 8, 0, 7)


@pytest.mark.parametrize("value", [None, -1, True, 0.0, "1"])
def test_what_is_none_is_refused_and_none_where_that_is_not_allowed(value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^steps: found {value!r}, expected a whole number of at least 0\.$"):
        whole("steps", value, 0)
    with contextlib.nullcontext() if value is None else pytest.raises(ConfigError):
        at_least("steps", value, 0)


@pytest.mark.parametrize(
    "value",
    [
        "word",
        "a-b",
        "a.b",
        "a b",
        "ALE/Pong-v5",
        "",
        "true",
        "Null",
        "nan",
        "1",
        "1e5",
        'a "quoted" word',
        "it's",
        "[a, b]",
        "a: b",
        "a=b",
        "~",
        True,
        None,
        0,
        -3,
        1e-5,
        1e22,
        [],
        {},
        [1, ["a", None], {"type": "clip", "low": -1.5}],
        {"type": "resize", "size": [84, 84], "out_keys": None},
    ],
)
def test_one_line_is_read_as_the_same_by_hydra_and_in_a_file(value: object) -> None:
    line = in_one_line(value)
    assert "\n" not in line
    typed = OverridesParser.create().parse_override(f"key={line}").value()
    assert (plain := _plain(typed)) == value, "typed"
    written = OmegaConf.to_container(OmegaConf.create(f"key: {line}"))
    assert isinstance(written, dict)
    assert written["key"] == value, "written"
    assert type(plain) is type(written["key"]) is type(value)


def _plain(typed: object) -> object:
    """Without Hydra's marks of what was quoted."""
    if isinstance(typed, QuotedString):
        return typed.text
    if isinstance(typed, dict):
        return {str(name): _plain(item) for name, item in typed.items()}
    return [_plain(item) for item in typed] if isinstance(typed, list) else typed


@pytest.mark.parametrize(
    ("node", "where"),
    [
        ({"a": {"b": math.inf}}, "a.b: found inf"),
        ({"a": [1.0, {"b": math.nan}]}, r"a\[1\].b: found nan"),
        ({"a": [[-math.inf]]}, r"a\[0\]\[0\]: found -inf"),
    ],
)
def test_what_is_no_number_is_found_wherever_it_is(node: object, where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        check_finite(node)


def test_numbers_words_and_nothing_are_finite() -> None:
    check_finite({"a": [1, 2.5, None, "nan", {"b": True}]})
