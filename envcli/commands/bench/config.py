"""The keys of ``envcli bench``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from envcli.errors import ConfigError, UnknownName
from envcli.vocabulary import registry
from envcli.vocabulary.schema import EnvConfig, at_least, key

__all__ = ["SHARED", "Config"]

SHARED = ("repetitions", "warm_up", "seconds", "threads", "timeout", "seed")
"""The keys about how to measure, which all workloads of a suite share."""

_OURS = ("envcli", "envcli_memmap", "envcli_step")


@dataclass
class Config(EnvConfig):
    """What ``envcli bench`` reads."""

    suite: dict[str, Any] = field(default_factory=dict)  # Any: see `envcli.bench.suite`
    subject: str = key("envcli", "the contender to compare with the others: envcli, envcli_step or any of the peers")
    peers: list[str] | None = key(  # noqa: RUF009 - it is a field
        None,
        "contenders to compare with; null: native only. Also: native_processes, by_hand, envcli_step, envcli_memmap, "
        "gymnasium_sync, gymnasium_async, gymnasium_vector, sb3, torchrl, torchrl_collector, ale_vector, envpool",
    )
    # Any: a dict; but to one that a schema has OmegaConf lets nobody add
    variant: Any = key(  # noqa: RUF009 - it is a field
        None, "keys that change the workload, to time the subject on both in turn: 'variant={max_steps: 10}'"
    )
    of_variant: dict[str, Any] = field(default_factory=dict)  # the keys of that work
    repetitions: int = key(9, "timed rounds, in which each contender runs once")
    warm_up: int = key(1, "untimed rounds before those")
    seconds: float = key(0.3, "minimum duration of one repetition in seconds")
    clock: str = key("wall", "time that speeds and ratios are computed from: wall, or cpu (summed over all processes)")
    timeout: float = key(600.0, "seconds allowed for a contender to get ready, and for each repetition")
    baseline: str | None = key(None, "an earlier run of envcli bench to compare with: its folder, or its bench.json")
    max_slowdown: float = key(1.1, "with baseline: fail if a step takes more than this many times as long")
    strict: bool = key(
        False, "with suite: fail if a ratio is missed or a workload fails, but not if a library is missing"
    )
    tune: bool = key(False, "search for the numbers of envs and processes with the most steps per second")
    budget: float | None = key(
        None, "with tune: seconds for the search; one measurement of the typed setting may overrun it; null: 60"
    )
    profile: bool = key(False, "show where the time of a step goes, layer by layer, and what to change first")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_numbers()
        self._check_work()
        if self.peers is None:
            self.peers = [] if self.profile or self.variant else ["native"]
        for name in (self.subject, *self.peers):
            if name not in registry.members("contenders"):
                raise UnknownName("contender", name, registry.members("contenders"), "(peers)")
        self._check_search()

    def _check_numbers(self) -> None:
        at_least("repetitions", self.repetitions, 1)
        at_least("warm_up", self.warm_up, 0)
        for name in ("seconds", "timeout", "max_slowdown", "budget"):
            if (getattr(self, name) or 0) < 0:
                raise ConfigError(f"{name}: found {getattr(self, name)}, expected a number of at least 0.")
        if self.clock not in ("wall", "cpu"):
            raise UnknownName("clock", self.clock, ("wall", "cpu"))

    def _check_work(self) -> None:
        if not isinstance(self.variant, Mapping | None):
            raise ConfigError(f"variant: found {self.variant!r}, expected keys and values: 'variant={{max_steps: 10}}'")
        if self.break_when_any_done:
            raise ConfigError(
                "break_when_any_done: found true, but a benchmark continues after an episode ends. Leave it out."
            )

    def _check_search(self) -> None:
        """Check what ``tune`` and ``profile`` cannot be combined with."""
        for name in ("profile", "tune"):
            if getattr(self, name) and self.subject not in _OURS:
                raise ConfigError(f"{name}: {self.subject} is not from envcli. Expected subject={' or '.join(_OURS)}.")
        if self.budget is not None and not self.tune:
            raise ConfigError(
                "budget: applies only to a search. Add tune=true; or for a shorter run: repetitions=3 seconds=0.1"
            )
        if self.tune and (self.profile or self.baseline is not None):
            raise ConfigError("tune: measures settings other than those typed. Leave profile and baseline out.")
        if (self.tune or self.profile) and self.parallel.get("type") == "ray":
            raise ConfigError("tune and profile work only on local processes. Type: parallel=processes")
        if self.tune and self.env_list:
            raise ConfigError("tune: env_list fixes the number of envs. Leave env_list out.")
