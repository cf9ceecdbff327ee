"""Ray's part, played in this process: what comes and goes is pickled, and an actor can be lost at any call."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from envcli.ray.cluster import Gone

__all__ = ["StandInCluster"]


class StandInCluster:
    """As :class:`RayCluster`. ``plan`` says, by actor and number of its call for rows, who is lost then, or hangs."""

    plan: dict[tuple[int, int], str] = {}  # noqa: RUF012  # a test's
    hired = 0

    def __init__(self, actors: int, cpus: float, address: str | None, patience: float) -> None:
        self.is_open = True

    def hire(self, index: int, kind: type, *args: Any) -> Any:
        StandInCluster.hired += 1
        threads, state = torch.get_num_threads(), np.random.get_state()
        with torch.random.fork_rng():  # an actor makes a process its own, and this one is not
            actor = kind(*args)
        torch.set_num_threads(threads)
        np.random.set_state(state)
        return _Actor(index, actor)

    def first(self, refs: Sequence[Any], patience: float) -> list[Any]:
        ready = [ref for ref in refs if ref.fate != "hangs"]
        return ready[-1:]  # in an order that nobody should count on

    def fetch(self, ref: Any) -> Any:
        if ref.fate == "dies":
            raise Gone("its process died", "all that is known")
        return pickle.loads(ref.answer)

    def dismiss(self, actor: Any) -> None:
        actor.is_dead = True

    def close(self) -> None:
        self.is_open = False


class _Ref:
    def __init__(self, answer: bytes, fate: str = "") -> None:
        self.answer, self.fate = answer, fate


class _Method:
    def __init__(self, call: Callable[..., _Ref]) -> None:
        self.remote = call


class _Actor:
    def __init__(self, index: int, actor: Any) -> None:
        self.index, self.actor = index, actor
        self.calls, self.is_dead = 0, False
        self.say, self.make = _Method(self._say), _Method(self._make)

    def _say(self, text: bytes) -> _Ref:
        return _Ref(b"", "dies") if self.is_dead else _Ref(pickle.dumps(self.actor.say(text)))

    def _make(self, name: str, *args: Any) -> _Ref:
        fate = StandInCluster.plan.pop((self.index, self.calls), "")
        self.calls += 1
        self.is_dead = self.is_dead or fate == "dies"
        if self.is_dead or fate:
            return _Ref(b"", fate or "dies")
        return _Ref(pickle.dumps(self.actor.make(name, *pickle.loads(pickle.dumps(args)))))
