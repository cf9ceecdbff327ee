"""The contract of contenders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from envcli.bench.workload import Unfit, Workload

__all__ = ["Contender", "Unfit", "refuse_transforms"]

Array = NDArray[Any]  # of the dtype that the actions have


class Contender(ABC):
    """One way of doing a workload: built once, then timed repeatedly, in its own process.

    A subclass must write :meth:`run`. It may extend ``__init__`` (import its library, build its envs, seed them),
    ``env_steps``, ``envs``, ``frames_per_step``, ``actions`` and ``close``. Its docstring says which work is the same
    as ours and which is not. Optional libraries are imported in ``__init__``, so that the file can be imported without
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
        """One pass: a reset, then ``work.steps`` steps, with a reset after each end of an episode."""

    @property
    def envs(self) -> int:
        """The number of envs. Only the subject is asked."""
        return self.work.envs

    @property
    def env_steps(self) -> int:
        """The number of env steps in one pass."""
        return self.work.steps * self.envs

    @property
    def frames_per_step(self) -> int | None:
        """Simulator frames in a step; None if that is not known. Only the subject is asked."""
        return self.work.frames_per_step

    def actions(self) -> Array | None:
        """The actions of each pass, ``[batch, time, *value]``; None if not known. Only the subject is asked."""
        return None

    def close(self) -> None:
        """End everything that was started."""
        return None

    def given_actions(self) -> Array | None:
        """The actions of the subject, from its :meth:`actions`."""
        return None if self.work.actions is None else np.load(self.work.actions)


def refuse_transforms(work: Workload, why: str, but: Collection[str] = ()) -> None:
    """Raise `Unfit` if the work has transforms other than ``but``."""
    if others := [node["type"] for node in work.transforms if node["type"] not in but]:
        raise Unfit(f"{', '.join(others)}: {why}")
