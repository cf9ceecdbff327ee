"""Every film format, opened again with a foreign library."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from PIL import Image as Pillow

from envcli.errors import ConfigError, StoreError, UnknownName
from envcli.vocabulary import registry

FRAMES = [np.full((31, 41, 3), value, dtype=np.uint8) for value in range(0, 250, 10)]


def film(name: str, folder: Path, fps: float = 25.0) -> Path:
    if name == "mp4":
        pytest.importorskip("imageio_ffmpeg")
    written = registry.construct("films", {"type": name}, "format", folder=folder, fps=fps)
    for frame in FRAMES:
        written.add(frame)
    path = written.finish()
    assert isinstance(path, Path)
    return path


def played(path: Path) -> str:
    """What ffmpeg says of an MP4 that it plays from beginning to end."""
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "null", "-"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("name", ["gif", "webp"])
def test_an_animation_plays_all_frames_at_its_pace_again_and_again(name: str, tmp_path: Path) -> None:
    with Pillow.open(film(name, tmp_path)) as shown:
        assert shown.n_frames == len(FRAMES)
        assert shown.size == (41, 31)
        assert shown.info["loop"] == 0
        shown.seek(3)
        shown.load()
        assert shown.info["duration"] == 40
        assert abs(int(np.asarray(shown.convert("RGB"))[5, 5, 0]) - 30) <= 8


@pytest.mark.parametrize(("name", "room"), [("gif", 3), ("webp", 3), ("png", None)])
def test_only_films_that_are_held_in_memory_have_no_room_for_more(
    name: str, room: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envcli.films.animation._HELD", 3 * FRAMES[0].nbytes + 1)
    new = registry.construct("films", {"type": name}, "format", folder=tmp_path, fps=25.0)
    assert new.room(FRAMES[0]) == room


def test_a_fast_gif_leaves_frames_out_and_keeps_its_pace(tmp_path: Path) -> None:
    with Pillow.open(film("gif", tmp_path, fps=100.0)) as shown:
        assert shown.n_frames == 12
        shown.seek(1)
        assert shown.info["duration"] == 20


def durations(path: Path) -> list[int]:
    with Pillow.open(path) as shown:
        found = []
        for i in range(shown.n_frames):
            shown.seek(i)
            shown.load()
            found.append(shown.info["duration"])
        return found


@pytest.mark.parametrize("fps", [24.0, 29.97, 30.0, 40.0, 45.0, 60.0, 64.0, 144.0, 0.3])
@pytest.mark.parametrize("name", ["gif", "webp"])
def test_an_animation_lasts_as_long_as_it_should(name: str, fps: float, tmp_path: Path) -> None:
    found = durations(film(name, tmp_path, fps))
    assert sum(found) == pytest.approx(1000 * len(FRAMES) / fps, abs=5 if name == "gif" else 1)
    assert max(found) - min(found) <= (10 if name == "gif" else 1)
    assert min(found) >= 20 or name == "webp"


@pytest.mark.parametrize("fps", [60.0, 100.0, 240.0])
def test_a_fast_gif_ends_with_the_last_frame(fps: float, tmp_path: Path) -> None:
    with Pillow.open(film("gif", tmp_path, fps)) as shown:
        for place, frame in ((0, FRAMES[0]), (shown.n_frames - 1, FRAMES[-1])):
            shown.seek(place)
            assert abs(int(np.asarray(shown.convert("RGB"))[5, 5, 0]) - int(frame[5, 5, 0])) <= 2


@pytest.mark.parametrize(("name", "fps"), [("gif", 1e-4), ("webp", 1e-5)])
def test_a_frame_that_would_be_shown_too_long_is_said(name: str, fps: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fps: found .*, but video.\w+ shows a frame for at most \d+ seconds"):
        film(name, tmp_path, fps)


def test_png_loses_nothing(tmp_path: Path) -> None:
    folder = film("png", tmp_path)
    files = sorted(folder.iterdir())
    assert len(files) == len(FRAMES)
    with Pillow.open(files[7]) as image:
        assert (np.asarray(image) == FRAMES[7]).all()


def test_mp4_is_padded_to_even_sizes_and_every_player_shows_it(tmp_path: Path) -> None:
    path = film("mp4", tmp_path)
    told = played(path)
    assert re.search(r"h264.*yuv420p.*42x32.*25 fps", told), told
    assert re.findall(r"frame=\s*(\d+)", told)[-1] == str(len(FRAMES))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("fps", [29.97, 0.3, 15.0, 100.0])
def test_mp4_keeps_any_pace(fps: float, tmp_path: Path) -> None:
    hours, minutes, seconds = re.findall(r"time=(\d+):(\d+):([\d.]+)", played(film("mp4", tmp_path, fps)))[-1]
    assert (int(hours) * 60 + int(minutes)) * 60 + float(seconds) == pytest.approx(len(FRAMES) / fps, abs=0.011)


def test_an_mp4_that_ctrl_c_stopped_within_a_frame_plays(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    written = registry.construct("films", {"type": "mp4"}, "format", folder=tmp_path, fps=30.0)
    large = np.random.default_rng(0).integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    written.add(large)

    def stop(number: int, at: FrameType | None) -> None:
        raise KeyboardInterrupt

    usual, added = signal.signal(signal.SIGALRM, stop), 1
    signal.setitimer(signal.ITIMER_REAL, 1)  # by then ffmpeg is behind, and a frame is waiting
    try:
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                written.add(large)
                added += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, usual)
    told = played(written.finish())
    assert int(re.findall(r"frame=\s*(\d+)", told)[-1]) in (added, added + 1)


def test_an_mp4_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    with pytest.raises(StoreError, match=r"video\.mp4: ffmpeg could not write it: .*No such file"):
        film("mp4", tmp_path / "nowhere")


def test_a_typo_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="mp4"):
        registry.construct("films", {"type": "mp5"}, "format", folder=tmp_path, fps=1.0)
