"""The page as a browser shows it. Needs Chromium."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from envcli.reports import report
from envcli.reports.sweep import Sweep
from tests.reports.runs import write_run, write_sweep

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]

pytestmark = [
    pytest.mark.slow,  # a browser's start is a second or two
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install --no-install-recommends chromium"),
]


def shot(page: Path, folder: Path, width: int, height: int, dark: bool) -> npt.NDArray[np.uint8]:
    """The page on a screen of that size, [height, width, 3]."""
    picture = folder / f"{width}.png"
    words = [
        str(CHROMIUM),
        *FLAGS,
        f"--user-data-dir={folder / f'profile-{width}'}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        f"--screenshot={picture}",
        f"--window-size={width},{height}",
        page.as_uri(),
    ]
    subprocess.run(words, capture_output=True, timeout=200, check=True)
    return np.asarray(Image.open(picture).convert("RGB"))


@pytest.mark.parametrize(("width", "dark"), [(1400, False), (390, True)], ids=["wide-light", "narrow-dark"])
def test_the_page_fills_the_screen_and_keeps_inside(tmp_path: Path, width: int, dark: bool) -> None:
    folder = write_sweep(tmp_path / "sweep")
    write_run(folder / "12_x", "failed", "a" * 300, ("env=" + "x" * 200, "frame_skip=2", "seed=0"))
    found = shot(report.write(Sweep.of(folder)), tmp_path, width, 2400, dark)
    assert found.shape == (2400, width, 3)
    page = np.median(found[:, :8].reshape(-1, 3), axis=0)
    assert page.mean() < 60 if dark else page.mean() > 230
    for edge in (found[:, :8], found[:, -8:]):  # what is too wide scrolls within itself, and never the whole page
        assert (np.abs(edge - page) < 2).all()
    inside = np.abs(found[:, 20:-20].astype(int) - page).max(-1)
    assert (inside > 100).mean() > 0.01, "there is text"
    coloured = found.max(-1).astype(int) - found.min(-1)
    assert (coloured > 60).mean() > 0.002, "there are figures"
