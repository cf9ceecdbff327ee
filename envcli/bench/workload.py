"""What is to be done, the same for every contender."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envcli.errors import ConfigError
from envcli.processes import cores
from envcli.vocabulary import registry

__all__ = ["Unfit", "Workload"]

_ALE_FRAME_SKIP = 4  # the simulator's own, of every ALE/...-v5
_ENGINES = ("brax", "gymnasium_vector", "torch")  # and those with threads


class Unfit(ConfigError):
    """A contender has no way to do this work; it is left out, and the message says why."""


@dataclass(frozen=True)
class Workload:
    """Steps of one env or of a batch, episodes beginning anew where they end.

    A value that can be sent as JSON: each contender gets it in a process of its own.

    Args:
        cfg: the keys of `envcli.vocabulary.schema.EnvConfig`, resolved, as plain dicts.
        steps: of each env, in one pass.
        seed: of the first env, and of the actions.
        actions: a ``.npy`` file: ``[batch, time]`` numbers of discrete actions, or ``[batch, time, *value]``; None
            where the subject cannot say them, and everybody draws its own.
    """

    cfg: Mapping[str, Any]
    steps: int
    seed: int
    actions: str | None = None

    def __post_init__(self) -> None:
        if ":" in str(self.backend.get("name")):  # gymnasium, which some contenders call themselves, would import it
            registry.imported(self.backend["name"], "backend.name", bool(self.cfg.get("allow_imports")))

    @property
    def kind(self) -> str:
        """``"serial"``, ``"processes"``, ``"ray"``: a batch of ours; ``"none"``: one env, or a batch by nature."""
        return str(self._parallel.get("type", "none"))

    @property
    def envs(self) -> int:
        """How many."""
        return int(self._parallel.get("num_envs") or 1)

    @property
    def steps_at_once(self) -> bool:
        """Are they stepped by one engine, a batch by nature, however many they are? Of custom ones only several are."""
        engine = self.backend.get("type") in _ENGINES or "num_threads" in self.backend
        return self.kind == "none" and (engine or self.envs > 1)

    @property
    def workers(self) -> int:
        """How many processes, or threads, share the envs."""
        if self.kind in ("processes", "ray"):
            wanted = self._parallel.get("num_workers" if self.kind == "processes" else "num_actors")
        elif "num_threads" in self.backend:  # an engine that has some
            wanted = self.backend["num_threads"]
        else:
            wanted = 1
        return min(int(wanted or cores()), self.envs)

    @property
    def frames_per_step(self) -> int | None:
        """Frames of the simulator that a step takes, if the configuration tells it: some repeat by themselves."""
        node = self.backend
        own = _ALE_FRAME_SKIP if node.get("type") in ("ale", "ale_vector") else 1
        if own == 1 and (node.get("type") == "envpool" or str(node.get("name")).startswith("ALE/")):
            return None
        repeated = (node.get("frame_skip") or 1 for node in self.transforms if node["type"] == "frame_skip")
        return int(self.cfg.get("frame_skip") or own) * math.prod(map(int, repeated))

    @property
    def backend(self) -> dict[str, Any]:
        """Its node."""
        return dict(self.cfg.get("backend") or {})

    @property
    def transforms(self) -> list[dict[str, Any]]:
        """The nodes of all transforms, inner and outer, in order."""
        places = ("transforms", "outer_transforms")
        return [node for place in places for node in (self.cfg.get(place) or {}).values() if node]

    @property
    def _parallel(self) -> Mapping[str, Any]:
        return self.cfg.get("parallel") or {}
