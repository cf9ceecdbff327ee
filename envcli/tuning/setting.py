"""How a workload is spread over envs and processes, which `envcli bench tune=true` chooses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from envcli.bench.workload import Workload
from envcli.vocabulary.schema import in_one_line

__all__ = ["Setting"]

_KINDS = ("none", "serial", "processes")
_PLACES = ("transforms", "outer_transforms")


@dataclass(frozen=True)
class Setting:
    """A number of envs, in one process or in several.

    ``moved`` is the number of transforms, counted from the last, that run on all envs at once in the main process.
    """

    kind: str
    envs: int = 1
    workers: int = 1
    moved: int = 0

    @classmethod
    def of(cls, work: Workload) -> Setting:
        """The setting of ``work``."""
        return cls(work.kind, work.envs, work.workers, len(_nodes(work, "outer_transforms")))

    @property
    def simplicity(self) -> tuple[int, int, int, int]:
        """Of two equally fast settings, the one with the smaller value is better."""
        return _KINDS.index(self.kind), self.workers, self.envs, self.moved

    def can_be_typed(self, work: Workload) -> bool:
        """Whether overrides can make its transforms from those of ``work``: they only append, each under a new name."""
        inner, outer = (_nodes(work, place) for place in _PLACES)
        if self.moved > len(outer):
            return not outer
        return self.moved == len(outer) or not inner.keys() & outer.keys()

    def applied(self, work: Workload, steps: int) -> Workload:
        """``work`` in this setting, which can be typed, with ``steps`` of each env in a pass."""
        parallel = {name: value for name, value in (work.cfg.get("parallel") or {}).items() if self.kind == work.kind}
        if self.kind != "none":
            parallel["num_envs"] = self.envs
        if self.kind == "processes":
            parallel["num_workers"] = self.workers
        inner, outer = self._places(work)
        cfg = {**work.cfg, "parallel": {**parallel, "type": self.kind}, "transforms": inner, "outer_transforms": outer}
        return replace(work, cfg=cfg, steps=steps, actions=None)

    def words(self, work: Workload) -> list[str]:
        """The overrides to add to those of ``work`` for this setting."""
        found = [f"parallel={self.kind}"]
        if self.kind != "none":
            found.append(f"parallel.num_envs={self.envs}")
        if self.kind == "processes":
            found.append(f"parallel.num_workers={self.workers}")
        for place, wanted in zip(_PLACES, self._places(work), strict=True):
            given = _nodes(work, place)
            found += [f"~{place}.{name}" for name in given if name not in wanted]
            found += [f"+{place}.{name}={in_one_line(node)}" for name, node in wanted.items() if name not in given]
        return [shlex.quote(word) for word in found]

    def yaml(self, work: Workload) -> str:
        """The same as a preset: a file in ``conf/experiment``."""
        numbers = {} if self.kind == "none" else {"num_envs": self.envs}
        numbers |= {"num_workers": self.workers} if self.kind == "processes" else {}
        lines = ["# @package _global_", "defaults:", f"  - override /parallel: {self.kind}"]
        lines += [f"parallel: {in_one_line(numbers)}"] if numbers else []
        for place, wanted in zip(_PLACES, self._places(work), strict=True):
            given = _nodes(work, place)
            changed = {name: None for name in given if name not in wanted}
            changed |= {name: node for name, node in wanted.items() if name not in given}
            lines += [f"{place}:"] if changed else []
            lines += [f"  {name}: {in_one_line(node)}" for name, node in changed.items()]
        return "\n".join(lines)

    def __str__(self) -> str:
        moved = f", {self.moved} transforms outside" if self.moved else ""
        if self.kind == "none":
            return "one env"
        where = f"in {self.workers} workers" if self.workers > 1 else "in a worker"
        return f"{self.envs} envs {where if self.kind == 'processes' else 'one after the other'}{moved}"

    def _places(self, work: Workload) -> tuple[dict[str, Any], dict[str, Any]]:
        """The inner and the outer transforms."""
        nodes = [item for place in _PLACES for item in _nodes(work, place).items()]
        at = len(nodes) - self.moved
        return dict(nodes[:at]), dict(nodes[at:])


def _nodes(work: Workload, place: str) -> dict[str, Mapping[str, Any]]:
    return {name: node for name, node in (work.cfg.get(place) or {}).items() if node}
