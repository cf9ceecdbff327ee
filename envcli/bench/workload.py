"""The work that every contender does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from envcli.errors import ConfigError
from envcli.processes import cores
from envcli.vocabulary.imported import imported

__all__ = ["Unfit", "Workload"]

_ALE_FRAME_SKIP = 4  # the default of every ALE/...-v5
# and backends with threads
_ENGINES = ("brax", "gymnasium_vector", "gymnax", "jumanji", "mujoco_playground", "torch", "vmas")


class Unfit(ConfigError):
    """A contender cannot do this work; it is left out, and the message says why."""


@dataclass(frozen=True)
class Workload:
    """Steps of one env or of a batch, with a reset after each end of an episode.

    It is a value that can be sent as JSON, because each contender runs in its own process.

    Args:
        cfg: the keys of `envcli.vocabulary.schema.EnvConfig`, resolved, as plain dicts.
        steps: steps of each env in one pass.
        seed: the seed of the first env and of the actions.
        actions: a ``.npy`` file: ``[batch, time]`` numbers of discrete actions, or ``[batch, time, *value]``; None
            if the subject's actions cannot be known, so each contender draws its own.
    """

    cfg: Mapping[str, Any]
    steps: int
    seed: int
    actions: str | None = None

    def __post_init__(self) -> None:
        if ":" in str(self.backend.get("name")):  # gymnasium, which some contenders call directly, would import it
            imported(self.backend["name"], "backend.name", bool(self.cfg.get("allow_imports")))

    @property
    def kind(self) -> str:
        """``"serial"``, ``"processes"`` or ``"ray"`` for a batch of ours; ``"none"`` for one env or an engine."""
        return str(self._parallel.get("type", "none"))

    @property
    def envs(self) -> int:
        """The number of envs."""
        return int(self._parallel.get("num_envs") or 1)

    @property
    def steps_at_once(self) -> bool:
        """Whether one engine steps all envs in one call, even if there is only one; a custom backend needs several."""
        engine = self.backend.get("type") in _ENGINES or "num_threads" in self.backend
        return self.kind == "none" and (engine or self.envs > 1)

    @property
    def workers(self) -> int:
        """The number of processes or threads that share the envs."""
        if self.kind in ("processes", "ray"):
            wanted = self._parallel.get("num_workers" if self.kind == "processes" else "num_actors")
        elif "num_threads" in self.backend:  # an engine with threads
            wanted = self.backend["num_threads"]
        else:
            wanted = 1
        return min(int(wanted or cores()), self.envs)

    @property
    def frames_per_step(self) -> int | None:
        """Simulator frames in a step; None if the configuration does not tell, as some skip frames by themselves."""
        node = self.backend
        own = _ALE_FRAME_SKIP if node.get("type") in ("ale", "ale_vector") else 1
        if own == 1 and (node.get("type") == "envpool" or str(node.get("name")).startswith("ALE/")):
            return None
        repeated = (node.get("frame_skip") or 1 for node in self.transforms if node["type"] == "frame_skip")
        return int(self.cfg.get("frame_skip") or own) * math.prod(map(int, repeated))

    @property
    def backend(self) -> dict[str, Any]:
        """The node of the backend."""
        return dict(self.cfg.get("backend") or {})

    @property
    def transforms(self) -> list[dict[str, Any]]:
        """The nodes of all transforms, inner and outer, in order."""
        places = ("transforms", "outer_transforms")
        return [node for place in places for node in (self.cfg.get(place) or {}).values() if node]

    @property
    def _parallel(self) -> Mapping[str, Any]:
        return self.cfg.get("parallel") or {}
