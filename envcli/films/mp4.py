"""MP4, H.264."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from envcli.errors import MissingDependency
from envcli.films.film import Film
from envcli.frames.image import Image

__all__ = ["Mp4Film"]


class Mp4Film(Film):
    """``video.mp4``: H.264 in yuv420p, which every player and browser shows, its index in front so that it streams.

    Odd sizes are padded by a line, not scaled: pixels stay what they are.
    """

    def __init__(self, folder: Path, fps: float) -> None:
        super().__init__(folder, fps)
        try:
            import imageio_ffmpeg
        except ImportError:
            raise MissingDependency("imageio-ffmpeg", "format=mp4", extra="video") from None
        self._ffmpeg = imageio_ffmpeg
        self._path = folder / "video.mp4"
        self._pipe: Generator[None, Any, None] | None = None

    def add(self, image: Image) -> None:
        """See :class:`Film`."""
        if self._pipe is None:
            self._pipe = self._ffmpeg.write_frames(
                str(self._path),
                (image.shape[1], image.shape[0]),
                fps=self.fps,
                codec="libx264",
                macro_block_size=1,
                output_params=["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-movflags", "+faststart", "-crf", "18"],
                ffmpeg_log_level="error",
            )
            self._pipe.send(None)
        self._pipe.send(image)

    def finish(self) -> Path:
        """See :class:`Film`."""
        if self._pipe is not None:
            self._pipe.close()
        return self._path
