"""The base of the formats that Pillow writes."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from PIL import Image as Pillow

from envcli.errors import ConfigError
from envcli.films.film import Film
from envcli.frames.image import Image

__all__ = ["Animation"]

_HELD = 2**30  # bytes of frames at most; Pillow needs up to twice that to write them


class Animation(Film, ABC):
    """All frames in one file that plays in a loop. They are held in memory until the end.

    Raises:
        ConfigError: the format cannot show a frame for as long as ``fps`` says.
    """

    name: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    tick: ClassVar[int]  # the format's unit of time, in milliseconds
    ticks: ClassVar[int]  # the longest time for one frame, in ticks

    def __init__(self, folder: Path, fps: float) -> None:
        super().__init__(folder, fps)
        longest = self.tick * self.ticks / 1000
        if fps * longest < 1:
            raise ConfigError(
                f"fps: found {fps}, but {self.name} shows a frame for at most {longest:.0f} seconds. Type: format=mp4"
            )
        self._frames: list[Pillow.Image] = []

    def room(self, image: Image) -> int:
        """See :class:`Film`: as many as make 1 GiB."""
        return max(_HELD // image.nbytes, 1)

    def add(self, image: Image) -> None:
        """See :class:`Film`."""
        self._frames.append(Pillow.fromarray(image))

    def finish(self) -> Path:
        """See :class:`Film`."""
        path, shown = self.folder / self.name, self._shown()
        self.left_out = len(self._frames) - len(shown)
        first, *others = (self._frames[i] for i in shown)
        durations = self._durations(len(shown))
        first.save(path, save_all=True, append_images=others, duration=durations, loop=0, **self.options)
        return path

    def _shown(self) -> Sequence[int]:
        """The indices of the frames that are written, all shown equally long."""
        return range(len(self._frames))

    def _durations(self, count: int) -> list[int]:
        """Milliseconds for each of ``count`` frames, in ticks. Each begins at the nearest one, so no error adds up."""
        each = 1000 * len(self._frames) / self.fps / count
        begins = (round(each * i / self.tick) for i in range(count + 1))
        return [(following - begin) * self.tick for begin, following in pairwise(begins)]
