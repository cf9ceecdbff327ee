"""The contract of a film format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from envcli.frames.image import Image

__all__ = ["Film"]


class Film(ABC):
    """A film that is being written.

    Args:
        folder: where to; it exists.
        fps: frames a second.

    Raises:
        MissingDependency: the format's library is not installed.
    """

    left_out = 0
    """How many frames the finished film does not have, since its format shows no more of them a second."""

    def __init__(self, folder: Path, fps: float) -> None:
        self.folder = folder
        self.fps = fps

    @abstractmethod
    def add(self, image: Image) -> None:
        """The next frame, ``[height, width, 3]``, as large as the first one."""

    @abstractmethod
    def finish(self) -> Path:
        """Close the film; at least one frame was added. Returns what was written."""
