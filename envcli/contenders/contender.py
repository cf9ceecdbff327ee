"""The contract of what takes part in a measurement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from envcli.bench.workload import Unfit, Workload

__all__ = ["Contender", "Unfit", "refuse_transforms"]

Array = NDArray[Any]  # of whatever dtype the actions have


class Contender(ABC):
    """One way of doing a workload: built once, then timed again and again, in a process of its own.

    A subclass must write :meth:`run`. It may extend ``__init__`` (import its library, build its envs, seed them),
    ``env_steps``, ``envs``, ``frames_per_step``, ``actions`` and ``close``. Its docstring says what is and what is not
    the same work. Libraries that not everybody has are imported in ``__init__``, so that the file can be read without
    them.

    Raises:
        MissingDependency: from ``__init__``: the library is not installed.
        Unfit: from ``__init__``: it cannot do this work.
    """

    takes_different_envs: ClassVar[bool] = False
    """Whether ``env_list``, a batch of different envs, is something it can do."""

    def __init__(self, work: Workload) -> None:
        self.work = work
        if work.cfg.get("env_list") and not self.takes_different_envs:
            raise Unfit("it has no batches of different envs (env_list)")

    @abstractmethod
    def run(self) -> None:
        """One pass: ``work.steps`` steps, beginning with a reset, and with a reset wherever an episode ends."""

    @property
    def envs(self) -> int:
        """How many there are. Asked of the subject."""
        return self.work.envs

    @property
    def env_steps(self) -> int:
        """Env steps in one pass."""
        return self.work.steps * self.envs

    @property
    def frames_per_step(self) -> int | None:
        """Frames of the simulator that a step takes; None if it cannot say. Asked of the subject."""
        return self.work.frames_per_step

    def actions(self) -> Array | None:
        """``[batch, time, *value]``: what it acts with in each pass; None if it cannot say. Asked of the subject."""
        return None

    def close(self) -> None:
        """End what was started."""
        return None

    def given_actions(self) -> Array | None:
        """Those of the subject, as :meth:`actions` gave them."""
        return None if self.work.actions is None else np.load(self.work.actions)


def refuse_transforms(work: Workload, why: str, but: Collection[str] = ()) -> None:
    """Raise `Unfit` if the work has transforms other than ``but``."""
    if others := [node["type"] for node in work.transforms if node["type"] not in but]:
        raise Unfit(f"{', '.join(others)}: {why}")
