"""What a command's configuration holds: its keys, their types, their defaults, and one line on each.

A command's ``Config`` is a dataclass made of these. Hydra merges YAML and overrides into it and so refuses unknown keys
and wrong types; what a type cannot say is checked in ``__post_init__``, which runs when the finished configuration
becomes an object. Nothing heavy is imported here: help and completion read these classes too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from envcli.errors import ConfigError

__all__ = ["MISSING", "Answer", "EnvConfig", "check_finite", "describe", "key"]

MISSING: Any = "???"  # OmegaConf's mark for "must be given"; Any because it stands in for a value of every type

T = TypeVar("T")


def key(default: T, help: str) -> T:
    """A key of the configuration: its default, and the line that help shows for it."""
    return field(default=default, metadata={"help": help})


def describe(config: type) -> Iterator[tuple[str, Any, str]]:
    """Name, default and help of each plain key of ``config``; nodes that a group fills are left out.

    >>> [name for name, _, _ in describe(Answer)]
    ['json']
    """
    for item in fields(config):
        if help := item.metadata.get("help"):
            yield item.name, item.default, help


# OmegaConf needs to see the value type of a node; a node that a group fills holds whatever its class takes, hence Any.
@dataclass
class Answer:
    """How a command answers."""

    json: bool = key(False, "print the answer as JSON and nothing else on stdout")


@dataclass
class EnvConfig(Answer):
    """What every command that builds an env reads."""

    backend: dict[str, Any] = field(default_factory=dict)
    transforms: dict[str, Any] = field(default_factory=dict)
    parallel: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    seed: int | None = key(None, "where all randomness comes from; null: drawn, and recorded")
    max_steps: int = key(1000, "length of a rollout in steps")
    frame_skip: int | None = key(None, "repeat each action as often, rewards summed; null: the simulator's own")
    from_pixels: bool = key(False, "observe rendered frames")
    pixels_only: bool = key(True, "with from_pixels: leave the state out")
    break_when_any_done: bool = key(False, "stop at the first end of an episode instead of resetting")
    allow_imports: bool = key(False, "let 'type: module:Class' import code of your own")

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_least("max_steps", self.max_steps, 1)
        at_least("frame_skip", self.frame_skip, 1)


def at_least(name: str, value: int | None, low: int) -> None:
    """Refuse a whole number below ``low``; None passes.

    >>> at_least("frame_skip", 0, 1)
    Traceback (most recent call last):
    envcli.errors.ConfigError: frame_skip: found 0, expected a whole number of at least 1.
    """
    if value is not None and value < low:
        raise ConfigError(f"{name}: found {value}, expected a whole number of at least {low}.")


def check_finite(node: object, where: str = "") -> None:
    """Refuse nan and infinity anywhere in ``node``, and say under which key they are.

    >>> check_finite({"transforms": {"clip": {"low": float("nan")}}})
    Traceback (most recent call last):
    envcli.errors.ConfigError: transforms.clip.low: found nan, expected a finite number (null where there is no limit).
    """
    if isinstance(node, float) and not math.isfinite(node):
        raise ConfigError(f"{where}: found {node}, expected a finite number (null where there is no limit).")
    if isinstance(node, Mapping):
        for name, value in node.items():
            check_finite(value, f"{where}.{name}" if where else str(name))
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for i, value in enumerate(node):
            check_finite(value, f"{where}[{i}]")
