"""The posters of jobs that have one, each a link to its film."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from urllib.parse import quote

from envcli.reports.job import Job, shown
from envcli.reports.markup import Markup, tag
from envcli.reports.sweep import Sweep

__all__ = ["film_of", "gallery", "link"]

_FILMS = ("video.mp4", "video.webp", "video.gif", "frames")  # the files that `envcli.films` writes
_WIDTH = 240  # pixels
_LARGEST = 64_000_000  # pixels of a poster: a small file can hold a huge picture
_MOST = 200  # posters of about 5 KB each: a page of a megabyte


def gallery(sweep: Sweep) -> Markup | None:
    """Small posters, embedded in the page; None if no job has one. A file that is not a picture is left out."""
    items = []
    for job in sweep.jobs[:_MOST]:
        if (picture := _poster(job.folder / "poster.png")) is None:
            continue
        label = ", ".join(f"{k}={v}" for k, v in sweep.settings(job).items() if v) or job.name
        label += f", seed {job.seed}" if sweep.several_seeds and job.seed else ""
        image = tag("img", src=picture, alt=f"a frame of {label}", width=_WIDTH, loading="lazy")
        film = film_of(job)
        shown_as = image if film is None else tag("a", image, href=link(sweep.where(job) / film.name))
        items.append(tag("li", tag("figure", shown_as, tag("figcaption", label, _kind(film)))))
    return tag("ul", *items, class_="gallery") if items else None


def film_of(job: Job) -> Path | None:
    """The film of a job, found by its name, because its metrics may name any file."""
    return next((job.folder / name for name in _FILMS if os.path.exists(job.folder / name)), None)


def link(path: Path) -> str:
    """A relative path as an address; a name such as ``javascript:x`` stays a name."""
    return "./" + quote(os.fsencode(path))


def _kind(film: Path | None) -> str:
    return f" ({shown(film.suffix.lstrip('.') or film.name)})" if film else ""


def _poster(path: Path) -> str | None:
    """The picture as a JPEG in a ``data:`` address."""
    if not os.path.isfile(path) or path.is_symlink():  # raises without permission
        return None
    from PIL import Image, UnidentifiedImageError

    file = io.BytesIO()
    try:
        with Image.open(path, formats=("PNG",)) as image:
            if image.width * image.height > _LARGEST:
                return None
            small = image.convert("RGB")
        small.thumbnail((_WIDTH * 2, _WIDTH * 2))
        small.save(file, "JPEG", quality=80)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, UnidentifiedImageError):
        return None  # not a picture, or an incomplete one, which the page need not report
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
