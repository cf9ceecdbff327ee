"""A sweep as one HTML file without scripts or external files, for any screen, light or dark, and for screen readers."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path

import envcli
from envcli.reports.chip import chip
from envcli.reports.figures import figures
from envcli.reports.gallery import gallery
from envcli.reports.html_tables import jobs, means
from envcli.reports.job import Job, shown
from envcli.reports.markup import Markup, join, tag
from envcli.reports.section import section
from envcli.reports.sweep import Sweep

__all__ = ["page"]

# Besides escaping: the browser must load and run nothing, whatever a name or a message holds.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_MOST_NAMES = 8  # jobs listed that failed with the same message


def page(sweep: Sweep) -> str:
    """The whole file."""
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    title = _title(sweep)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} - envcli"),
        tag("style", Markup(style)),
    )
    parts = (_header(sweep, title), _failures(sweep), means(sweep), *figures(sweep), _films(sweep), jobs(sweep))
    body = tag("body", tag("main", *(part for part in parts if part), _common(sweep)), _footer())
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _title(sweep: Sweep) -> str:
    names = list(dict.fromkeys(job.name for job in sweep.jobs))
    of = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    commands = {job.command for job in sweep.jobs if job.command}
    runs = commands.pop() if len(commands) == 1 else "run"
    return f"{len(sweep.jobs)} {runs}s of {of}" if len(sweep.jobs) > 1 else f"A {runs} of {of}"


def _header(sweep: Sweep, title: str) -> Markup:
    chips = [tag("li", chip(state, f"{count} {state}")) for state, count in sweep.states.items()]
    commands = {tuple(map(shown, argv)) for job in sweep.jobs if isinstance(argv := job.manifest.get("argv"), list)}
    typed = shlex.join(("envcli", *commands.pop())) if len(commands) == 1 else ""  # several in a tree
    return tag(
        "header",
        tag("h1", title),
        tag("ul", *chips, class_="chips", aria_label="states"),
        tag("p", _when(sweep), class_="faint"),
        tag("pre", tag("code", typed)) if typed else Markup(),
    )


def _when(sweep: Sweep) -> str:
    stamps = (job.status.get(key) for job in sweep.jobs for key in ("started", "ended"))
    times = sorted(found for stamp in stamps if (found := _time(stamp)) is not None)
    if not times:
        return ""
    seconds = round((times[-1] - times[0]).total_seconds())
    took = f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
    return f"{times[0]:%Y-%m-%d %H:%M} {times[0].tzname() or ''}, within {took}"


def _time(stamp: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(stamp))
    except ValueError:
        return None
    return found if found.tzinfo else None  # without a time zone it is not from envcli, and cannot be compared


def _failures(sweep: Sweep) -> Markup | None:
    """What went wrong, with jobs of the same message together."""
    if not sweep.failed:
        return None
    by_error: dict[str, list[Job]] = {}
    for job in sweep.failed:
        by_error.setdefault(job.error or job.state, []).append(job)
    items = []
    for error, alike in by_error.items():
        names = ", ".join(map(sweep.label, alike[:_MOST_NAMES]))
        more = f" and {len(alike) - _MOST_NAMES} more" if len(alike) > _MOST_NAMES else ""
        jobs_are = "jobs" if len(alike) > 1 else "job"
        items.append(tag("li", tag("strong", f"{jobs_are} {names}{more}"), ": ", tag("span", error, class_="error")))
    return section("What went wrong", tag("ul", *items, class_="failures"))


def _films(sweep: Sweep) -> Markup | None:
    found = gallery(sweep)
    return None if found is None else section("Films", found)


def _common(sweep: Sweep) -> Markup:
    """What all jobs have in common: overrides, versions, the machine."""
    pairs = list(sweep.shared.items())
    for key, words in (("versions", _versions), ("platform", shown), ("git", _commit)):
        said = {words(job.manifest.get(key)) for job in sweep.jobs if job.manifest.get(key)}
        pairs += [(key, text) for text in sorted(said) if text]
    rows = [join(tag("dt", key), tag("dd", value or "-")) for key, value in pairs]
    return section("In common", tag("dl", *rows)) if rows else Markup()


def _versions(value: object) -> str:
    return ", ".join(f"{shown(k)} {shown(v)}" for k, v in value.items()) if isinstance(value, dict) else ""


def _commit(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    return shown(value.get("sha")) + (", with changes that were not committed" if value.get("dirty") is True else "")


def _footer() -> Markup:
    return tag("footer", f"Made by envcli {envcli.__version__}. The same in sweep.json and sweep.csv beside this file.")
