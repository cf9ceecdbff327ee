"""The contract of a film format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from envcli.frames.image import Image

__all__ = ["Film"]


class Film(ABC):
    """A film that is being written.

    Args:
        folder: an existing folder to write to.
        fps: frames per second.

    Raises:
        MissingDependency: the format's library is not installed.
    """

    left_out = 0
    """How many frames the finished film does not have, since its format shows no more of them a second."""

    def __init__(self, folder: Path, fps: float) -> None:
        self.folder = folder
        self.fps = fps

    def room(self, image: Image) -> int | None:
        """How many frames like ``image`` the film takes; None: any number."""
        return None

    @abstractmethod
    def add(self, image: Image) -> None:
        """Add the next frame, uint8 ``[height, width, 3]``, of the size of the first one."""

    @abstractmethod
    def finish(self) -> Path:
        """Close the film, to which at least one frame was added. Returns the path of what was written."""
