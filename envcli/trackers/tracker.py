"""The contract of a tracker: an experiment tracker that is told how a run went."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["Tracker", "following"]


class Tracker(ABC):
    """Is told, in this order: the configuration, each episode, the files and the numbers of the run, that it is over.

    It is made first of all, and writes nothing until :meth:`begin`, when the env has been built: of a run that fails
    before, it hears nothing, and leaves nothing.

    Only :meth:`log` must be written. Weights & Biases, for one::

        class WandbTracker(Tracker):
            def begin(self, config):
                self.run = wandb.init(dir=self.folder, config=config)

            def log(self, values, step):
                self.run.log(values, step=step)

            def end(self, metrics):
                self.run.summary.update(metrics)

            def close(self, error=None):
                self.run.finish(exit_code=0 if error is None else 1)

    It is chosen by ``tracker.type=my_module:WandbTracker allow_imports=true``, or by the name under which a package
    gives it out as an entry point of the group ``envcli.trackers``.

    Args:
        folder: the run's own folder; what a tracker writes belongs below it.

    Raises:
        MissingDependency: the tracker's library is not installed.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    def begin(self, config: Mapping[str, Any]) -> None:  # noqa: B027  # Any: what JSON can hold
        """The configuration that is about to run, resolved, seed and all."""

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int) -> None:
        """An episode has ended: its ``return`` and ``length``, after so many env steps of all envs together.

        Called in the order of ``step``, which may stand still: envs of a batch can end at once.
        """

    def episodes(self, ended: Iterable[tuple[int, float, int]]) -> None:
        """All episodes as they ended: step, return, length. One that takes many at once may write this instead."""
        for step, returned, length in ended:
            self.log({"return": returned, "length": length}, step)

    def keep(self, path: Path) -> None:  # noqa: B027
        """A file has been written: a film, a poster, a contact sheet."""

    def end(self, metrics: Mapping[str, Any]) -> None:  # noqa: B027  # Any: what JSON can hold
        """What ``metrics.json`` holds. Not called of a run that failed."""

    def close(self, error: BaseException | None = None) -> None:  # noqa: B027
        """It is over, by itself or by ``error``; the last call, whatever happened since it began."""

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(error)


@contextlib.contextmanager
def following(tracker: Tracker, config: Mapping[str, Any]) -> Iterator[None]:  # Any: what JSON can hold
    """``tracker`` begins, and is closed whatever happens. The run does not miss what it draws of torch's numbers."""
    import torch

    with tracker:
        with torch.random.fork_rng(devices=[]):
            tracker.begin(config)
        yield
