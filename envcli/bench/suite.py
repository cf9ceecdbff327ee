"""Workloads with promised ratios: each is measured by its own command, and all are in one table."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli.bench.report import percent
from envcli.errors import ConfigError
from envcli.override import Override, parsed
from envcli.terminal.answer import three_digits
from envcli.terminal.table import empty_table
from envcli.typed_word import quoted
from envcli.vocabulary.schema import in_one_line

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Entry", "Row", "entries", "measured", "table"]

_FAILED = ("not measured", "bold red")
_ABSENT = "not installed"  # part of every message about a missing library


@dataclass(frozen=True)
class Entry:
    """One workload and its promises.

    Attributes:
        name: the name of the workload.
        words: what is typed after ``envcli bench``.
        against: peer -> the least ratio of our speed to its speed. The peer ``variant`` is the subject itself with the
            keys of ``variant={...}``, which is then among ``words``; it shows, for example, that a step does not cost
            more in a longer rollout.
        memory: peer -> the least ratio of its memory to ours.
    """

    name: str
    words: Sequence[str]
    against: Mapping[str, float]
    memory: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One promise and its measurement; microseconds are of one env step.

    ``ratio`` is None if it could not be measured, and ``reason`` says why. ``failed`` says that this is because the
    workload's command failed, for example because its words are wrong, and not because a library is missing or the
    peer cannot do the work.
    """

    workload: str
    subject: str
    peer: str
    promised: float
    ratio: float | None = None
    spread: float | None = None
    ours_us: float | None = None
    theirs_us: float | None = None
    clock: str = ""
    reason: str = ""
    failed: bool = False

    @property
    def kept(self) -> bool | None:
        """Whether the promise is kept; None if it could not be measured."""
        return None if self.ratio is None else self.ratio >= self.promised


def entries(suite: Mapping[str, Any], doors: Collection[str] = ()) -> list[Entry]:  # Any: what a YAML holds
    """The workloads of ``conf/suite/<name>.yaml``; those set to null are left out.

    ``doors`` are keys that only the user may type.

    Raises:
        ConfigError: a workload is malformed, or sets what a file must not set.
    """
    found = []
    for name, node in suite.items():
        if node is None:
            continue
        if not isinstance(node, Mapping) or not {"words", "against"} <= set(node) <= {"words", "against", "memory"}:
            raise ConfigError(
                f"suite.{name}: found {node!r}, expected {{words: [env=..., ...], against: {{PEER: RATIO}}}}."
            )
        words = list(map(str, node["words"]))
        strange = [] if re.fullmatch(r"\w+", str(name)) else [str(name)]
        strange += [word for word in words if word.startswith("-") or _opens(Override.parse(word), doors)]
        if strange:
            raise ConfigError(f"suite.{name}: found {strange[0]!r}, which a file must not set. Leave it out.")
        found.append(Entry(name, words, dict(node["against"]), dict(node.get("memory") or {})))
    return found


def _opens(override: Override, doors: Collection[str]) -> bool:
    return override.is_about_hydra or override.head in ("", *doors)


def measured(entry: Entry, settings: Sequence[str], folder: Path) -> Iterator[Row]:
    """Measure ``entry`` and yield a row for each of its promises; the command's run folder is below ``folder``."""
    own = {override.key for override in parsed(entry.words)}
    shared = [str(override) for override in parsed(settings) if override.key not in own]
    peers = [peer for peer in entry.against if peer != "variant"]
    words = ["bench", *entry.words, *shared, f"peers=[{','.join(peers)}]", "json=true"]
    program = f"import sys; sys.path[:] = {sys.path!r}; from envcli.cli import main; sys.exit(main(sys.argv[1:]))"
    place = f"hydra.run.dir={quoted(str(folder / entry.name))}"
    env = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}  # one line, no traceback
    command = [sys.executable, "-c", program, *words, place]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    failed = _failure(done.stderr, done.returncode) if done.returncode else ""
    result = {} if failed else json.loads(done.stdout)
    for peer, promised in entry.against.items():
        data = result.get("contenders", {}).get(peer)
        if data is None:
            reason = failed or {**result["left_out"], **result["failed"]}.get(peer, "")
            broken = bool(failed) and _ABSENT not in failed
            yield Row(entry.name, result.get("subject", ""), peer, promised, reason=reason, failed=broken)
            continue
        subject, clock = result["subject"], result["clock"]
        changed = [f"{name}={in_one_line(value)}" for name, value in (result["variant"] or {}).items()]
        shown = " ".join(changed) if peer == "variant" else peer
        ratio, cost = data["subject_is"][clock], f"{clock}_us_per_step"
        each = (result["contenders"][subject][cost], data[cost])
        yield Row(entry.name, subject, shown, promised, ratio["median"], ratio["spread"], *each, clock)
        if peer in entry.memory:
            theirs, ours = (result["contenders"][one]["memory"]["anonymous"] for one in (peer, subject))
            share = None if theirs is None or ours is None else theirs / ours
            reason = "" if share is not None else "this platform does not report the memory of a single process"
            yield Row(entry.name, subject, shown, entry.memory[peer], share, clock="memory", reason=reason)


def _failure(stderr: str, code: int) -> str:
    """The line on stderr that says why a command failed; more lines may follow it."""
    lines = stderr.strip().splitlines() or [f"its command ended with {code}"]
    return next((line.removeprefix("error: ") for line in lines if line.startswith("error: ")), lines[-1])


def table(rows: Sequence[Row], below: Sequence[str] = ()) -> RenderableType:
    """A row for each promise, then the lines ``below``."""
    from rich.console import Group
    from rich.text import Text

    numbers = ("us/step", "theirs", "ratio", "±", "at least")
    drawn = empty_table("workload", "contender", "against", "by", *numbers, "", right=numbers, title="Speed ratios")
    said = {True: ("ok", "green"), False: ("missed", "bold red"), None: ("left out", "yellow")}
    for row in rows:
        costs = ["" if cost is None else three_digits(cost) for cost in (row.ours_us, row.theirs_us)]
        ratio = "" if row.ratio is None else three_digits(row.ratio)
        spread = "" if row.spread is None else percent(row.spread)
        mark = Text.assemble(_FAILED if row.failed else said[row.kept], f": {row.reason}" if row.reason else "")
        names = map(Text, (row.workload, row.subject, row.peer, row.clock, *costs, ratio, spread, f"{row.promised:g}"))
        drawn.add_row(*names, mark)
    return Group(drawn, *map(Text, below))
