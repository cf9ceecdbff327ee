"""The keys of a command's configuration: their types, their defaults, and one line on each.

A command's ``Config`` is a dataclass made of these. Hydra merges YAML and overrides into it and so refuses unknown keys
and wrong types; what a type cannot say is checked in ``__post_init__``, which runs when the finished configuration
becomes an object. Nothing heavy is imported here: help and completion read these classes too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

from envcli.errors import ConfigError
from envcli.processes import cores

__all__ = [
    "MISSING", "ONE_ENV", "WHOLE_ENV", "WORKLOAD", "Answer", "EnvConfig", "at_least", "check_finite",
    "describe", "doors", "in_one_line", "key", "settled_parallel", "whole",
]  # fmt: skip

MISSING: Any = "???"  # OmegaConf's mark for "must be given"; Any because it stands in for a value of every type

ONE_ENV = ("backend", "transforms", "frame_skip", "from_pixels", "pixels_only")
"""The keys that describe a single env of a batch."""

WHOLE_ENV = (*ONE_ENV, "parallel", "outer_transforms", "device", "env_list", "envs", "seed")
"""The keys that describe what is built."""

WORKLOAD = (*WHOLE_ENV, "policy", "max_steps")
"""The keys that describe what is built and run."""

_MOST_THREADS = 4096
_MOST_ENVS = 2**20  # that are objects of their own; an engine may have any number
_WORD = re.compile(r"[A-Za-z_][\w-]*", re.ASCII)
_PLAIN = re.compile(r"[^\"\\\x00-\x1f\x7f]*")  # between quotes, the same text for Hydra and for YAML
_NO_WORDS = ("true", "false", "null", "nan", "inf", "on", "off", "yes", "no")  # in Hydra or in YAML

T = TypeVar("T")


def key(default: T, help: str, typed: bool = False) -> T:
    """A field of a ``Config``: its default, and the line that help shows for it.

    ``typed``: no file may set it, only the command line, because it allows imports or replaces something.
    """
    return field(default=default, metadata={"help": help, "typed": typed})


def describe(config: type) -> Iterator[tuple[str, Any, str]]:
    """Name, default and help of each plain key of ``config``, without the nodes that a group fills.

    >>> [name for name, _, _ in describe(Answer)]
    ['json']
    """
    for item in fields(config):
        if help := item.metadata.get("help"):
            yield item.name, item.default, help


def doors(config: type) -> list[Field[Any]]:
    """The keys of ``config`` that no file may set, see :func:`key`.

    >>> [door.name for door in doors(EnvConfig)]
    ['allow_imports']
    """
    return [item for item in fields(config) if item.metadata.get("typed")]


# OmegaConf needs the value type of a node; one that a group fills holds whatever its class takes, hence Any.
@dataclass
class Answer:
    """The keys about how a command answers."""

    json: bool = key(False, "print the answer as JSON, and nothing else, on stdout")


@dataclass
class EnvConfig(Answer):
    """The keys of every command that builds an env."""

    backend: dict[str, Any] = field(default_factory=dict)
    transforms: dict[str, Any] = field(default_factory=dict)
    parallel: dict[str, Any] = field(default_factory=dict)
    outer_transforms: dict[str, Any] = field(default_factory=dict)
    device: dict[str, Any] = field(default_factory=dict)
    policy: dict[str, Any] = field(default_factory=dict)
    envs: dict[str, Any] = field(default_factory=dict)  # the ONE_ENV keys of each name in env_list
    env_list: list[str] | None = key(  # noqa: RUF009  # key() makes a field, like the others
        None, "different envs to batch, in turn, by preset or backend.name: env_list=[air_raid,pong]"
    )
    seed: int | None = key(None, "random seed; null: draw one and record it")
    max_steps: int = key(1000, "steps of the rollout, for each env")
    frame_skip: int | None = key(
        None, "repeat each action this many times and sum the rewards; null: the simulator's default"
    )
    from_pixels: bool = key(False, "observe rendered frames, as pixels")
    pixels_only: bool = key(True, "with from_pixels: observe the frames only, not the state")
    break_when_any_done: bool = key(False, "stop when the first episode ends, instead of resetting")
    threads: int = key(1, "threads that torch may use for one operation; more pay only with large tensors")
    allow_imports: bool = key(False, "allow 'type: module:Class' and the like to import your own code", typed=True)

    def __post_init__(self) -> None:
        at_least("seed", self.seed, 0)
        at_least("threads", self.threads, 1, _MOST_THREADS)
        if self.seed is not None and self.seed >= 2**64:
            raise ConfigError(f"seed: found {self.seed}, expected a whole number below 2**64, the limit of torch.")
        at_least("max_steps", self.max_steps, 1)
        at_least("frame_skip", self.frame_skip, 1)
        self.parallel = settled_parallel(self.parallel, self.env_list)

    def settle_torch(self) -> None:
        """Give torch, in this process as a whole, the seed and the threads.

        Actions are drawn from its global generator. Tensors of RL are small: with several threads, which torch takes
        by default, an operation mostly waits for them, and on busy cores it takes three times as long.
        """
        import torch

        assert self.seed is not None  # drawn by then
        torch.manual_seed(self.seed)
        torch.set_num_threads(self.threads)

    @property
    def env_name(self) -> str:
        """The name of the env, or of each one; for people."""
        return ", ".join(self.env_list) if self.env_list else str(self.backend.get("name"))


def settled_parallel(parallel: Mapping[str, Any], env_list: Sequence[str] | None = None) -> dict[str, Any]:
    """``parallel`` with ``num_envs`` filled in: one for each name, or else for each core, at least 2.

    Nothing is filled in if ``type`` is none: the backend itself may then be several envs.

    >>> settled_parallel({"type": "serial"}, ["air_raid", "pong"])
    {'type': 'serial', 'num_envs': 2}
    """
    if env_list is not None and not env_list:
        raise ConfigError("env_list: found [], expected env names: 'env_list=[air_raid,pong]'")
    if parallel.get("type", "none") == "none":
        if env_list:
            raise ConfigError("env_list: several envs need a batch. Add parallel=processes or parallel=serial.")
        at_least("parallel.num_envs", parallel.get("num_envs"), 1)
        return {name: value for name, value in parallel.items() if value is not None}
    num_envs = parallel.get("num_envs")
    if num_envs is None:
        num_envs = len(env_list or ()) or max(2, cores())
    at_least("parallel.num_envs", num_envs, 1, _MOST_ENVS)
    for name in ("num_workers", "num_actors"):
        at_least(f"parallel.{name}", parallel.get(name), 1)
    for name in (name for name in parallel if name.endswith("_timeout")):
        timeout(f"parallel.{name}", parallel[name])
    if env_list and num_envs % len(env_list):
        raise ConfigError(
            f"parallel.num_envs: found {num_envs}, expected a multiple of {len(env_list)}, the length of env_list."
        )
    return {**parallel, "num_envs": num_envs}


def whole(name: str, value: object, low: int, high: int | None = None) -> int:
    """``value``. Raises `ConfigError` unless it is a whole number of at least ``low`` and at most ``high``.

    >>> whole("frame_skip", 0, 1)
    Traceback (most recent call last):
    envcli.errors.ConfigError: frame_skip: found 0, expected a whole number of at least 1.
    """
    most = float("inf") if high is None else high
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= most:
        bounds = f"of at least {low}" if high is None else f"from {low} to {high:,}"
        raise ConfigError(f"{name}: found {value!r}, expected a whole number {bounds}.")
    return value


def timeout(name: str, value: object) -> float:
    """``value``, a number of seconds; 0, which is no limit, for infinity. Raises `ConfigError` for anything else.

    >>> timeout("step_timeout", None)
    Traceback (most recent call last):
    envcli.errors.ConfigError: step_timeout: found None, expected seconds, or 0 for no limit.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigError(f"{name}: found {value!r}, expected seconds, or 0 for no limit.")
    return 0 if value == float("inf") else value


def at_least(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raise `ConfigError` unless ``value`` is None or a whole number as :func:`whole` takes it."""
    if value is not None:
        whole(name, value, low, high)


def in_one_line(value: object) -> str:
    """``value``, which YAML can hold, on one line that Hydra reads after ``key=`` as well; numbers are finite.

    Only YAML reads back texts with ``"``, a backslash or a line break; Hydra keeps their escapes.

    >>> in_one_line({"type": "resize", "size": [84, 84], "out_keys": None, "note": "a b", "name": "true"})
    '{type: resize, size: [84, 84], out_keys: null, note: "a b", name: "true"}'
    """
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {in_one_line(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(in_one_line, value)) + "]"
    if isinstance(value, str) and _WORD.fullmatch(value) and value.lower() not in _NO_WORDS:
        return value
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return f'"{value}"'
    return json.dumps(value)


def check_finite(node: object, where: str = "") -> None:
    """Raise `ConfigError` for nan or infinity anywhere in ``node``, with the key under which it is.

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
