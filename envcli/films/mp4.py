"""MP4, H.264."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from pathlib import Path
from queue import Queue

from envcli.errors import MissingDependency, StoreError
from envcli.films.film import Film
from envcli.frames.image import Image

__all__ = ["Mp4Film"]

_WAITING = 2  # frames waiting for ffmpeg, at most


class Mp4Film(Film):
    """``video.mp4``: H.264 in yuv420p, which every player and browser shows, with its index in front for streaming.

    Odd sizes are padded by a line, not scaled, so pixels keep their values. A thread passes frames to ffmpeg, so Ctrl-C
    cannot cut one in half: when finished, all frames added until then are a complete film.

    Raises:
        StoreError: ffmpeg cannot write it; includes ffmpeg's message.
    """

    def __init__(self, folder: Path, fps: float) -> None:
        super().__init__(folder, fps)
        try:
            import imageio_ffmpeg
        except ImportError:
            raise MissingDependency("imageio-ffmpeg", "format=mp4", extra="video") from None
        self._ffmpeg: str = imageio_ffmpeg.get_ffmpeg_exe()
        self._path = folder / "video.mp4"
        self._frames: Queue[bytes | None] = Queue(_WAITING)
        self._writer: threading.Thread | None = None
        self._failure: str | None = None

    def add(self, image: Image) -> None:
        """See :class:`Film`."""
        if self._writer is None:
            height, width = image.shape[:2]
            writer = threading.Thread(target=self._write, args=(width, height), name="ffmpeg", daemon=True)
            self._writer = writer
            writer.start()
        self._raise_failure()
        self._frames.put(image.tobytes())

    def finish(self) -> Path:
        """See :class:`Film`."""
        if self._writer is not None:
            self._frames.put(None)
            self._writer.join()
            self._writer = None
        self._raise_failure()
        return self._path

    def _write(self, width: int, height: int) -> None:
        """Pass frames to ffmpeg until there are no more, then wait for it to end. Runs in the thread."""
        frame: bytes | None = b""
        with tempfile.TemporaryFile() as said:
            try:
                with subprocess.Popen(
                    self._command(width, height),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    start_new_session=True,  # a terminal sends Ctrl-C to its whole session
                ) as ffmpeg:
                    assert ffmpeg.stdin is not None
                    while (frame := self._frames.get()) is not None:
                        ffmpeg.stdin.write(frame)
                failed, reason = ffmpeg.returncode != 0, ""
            except OSError as error:  # it did not start, or has ended
                failed, reason = True, str(error)
            if not failed:
                return
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
        self._failure = lines[-1] if lines else reason or "no reason given"
        while frame is not None:
            frame = self._frames.get()

    def _command(self, width: int, height: int) -> list[str]:
        frames = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", repr(float(self.fps))]
        shown = ["-c:v", "libx264", "-crf", "18", "-pix_fmt", "yuv420p", "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"]
        said = ["-y", "-loglevel", "error"]
        return [self._ffmpeg, *said, *frames, "-i", "-", *shown, "-movflags", "+faststart", str(self._path)]

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise StoreError(f"{self._path}: ffmpeg could not write it: {self._failure}")
