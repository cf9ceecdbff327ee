"""Show what a run folder contains.

Shows what ran and how it ended, which keys differ from the defaults, the episodes, every entry of the data with its
shape, dtype and size, and the films. verify=true also reads all of the data and verifies its checksums.

  envcli show outputs/rollout/CartPole-v1/2025-01-31_...
  envcli show outputs/rollout/CartPole-v1/2025-01-31_... verify=true
  envcli show folder=outputs/render/Pong/2025-01-31_... json=true
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli import commands
from envcli.errors import MissingRun
from envcli.folders.json_file import read_json
from envcli.folders.run_status import run_state
from envcli.folders.saved_config import saved_config
from envcli.terminal.answer import answer, number, relative_path
from envcli.terminal.episode_lines import episode_lines, restarts_line
from envcli.terminal.printable import printable
from envcli.terminal.summary import summary
from envcli.terminal.table import empty_table
from envcli.typed_word import word
from envcli.vocabulary.catalog import existing_folder
from envcli.vocabulary.changes import changes
from envcli.vocabulary.schema import MISSING, Answer, key

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["POSITIONAL", "Config", "run"]

POSITIONAL = "folder"

_FILMS = ("*.mp4", "*.gif", "*.webp", "video.png", "poster.png", "contact_sheet.png")
_SPREADS = [f"{name}_{kind}" for name in ("return", "length") for kind in ("mean", "min", "max")]
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass
class Config(Answer):
    """What ``envcli show`` reads."""

    folder: str = key(MISSING, "the run folder; 'folder=' may be left out")
    verify: bool = key(False, "read all of the data and verify its checksums")


def run(cfg: Config) -> None:
    """Read, report. Raises MissingRun if there is no run, and StoreError if its data is not what was written."""
    existing_folder(cfg.folder, "folder")
    folder = Path(cfg.folder)
    status = read_json(folder / "status.json")
    data = _data(folder, cfg.verify)
    if not status and data is None:
        raise MissingRun(f"{folder}: no run here. {_runs_below(folder)}")
    found = {
        "folder": str(folder),
        "run": _run(folder, status),
        "changes": _changes(folder),
        "metrics": read_json(folder / "metrics.json"),
        "data": data,
        "films": [{"file": path.name, "bytes": path.stat().st_size} for path in _films(folder)],
    }
    answer(found, lambda: _drawing(found), cfg.json)


def _runs_below(folder: Path) -> str:
    below = [path.parent for path in folder.glob("**/status.json")]
    if not below:
        return "Expected a run folder such as outputs/rollout/CartPole-v1/..."
    last = max(below, key=lambda run: (str(read_json(run / "status.json").get("started") or ""), run))
    return f"There are {len(below)} below it, the last {relative_path(last)}"


def _run(folder: Path, status: dict[str, Any]) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    state = run_state(folder, status)
    taken = {name: manifest.get(name) for name in ("command", "seed", "versions", "git", "resumed")}
    return {"state": state, "error": status.get("error"), **{n: status.get(n) for n in ("started", "ended")}, **taken}


def _changes(folder: Path) -> dict[str, dict[str, Any]]:
    command = read_json(folder / "manifest.json").get("command")
    if not (folder / "config.yaml").is_file() or command not in commands.names() or not commands.keeps(command):
        return {}
    from omegaconf import OmegaConf

    saved: Any = OmegaConf.to_container(saved_config(folder), resolve=False)
    differing = changes(command, commands.find(command).Config, saved) if isinstance(saved, dict) else {}
    return {path: {"default": before, "value": now} for path, (before, now) in differing.items()}


def _data(folder: Path, verify: bool) -> dict[str, Any] | None:
    """A description of the rollout in ``folder``; None if there is none."""
    from envcli.episodes import Episodes
    from envcli.shards.loading import load_rollout, read_manifest, rollout_folder
    from envcli.shards.sharded_rollout import ShardedRollout

    if not any(
        (place / name).exists() for place in (folder, folder / "rollout") for name in ("shards.json", "meta.json")
    ):
        return None
    rollout, manifest = load_rollout(folder, verify), read_manifest(rollout_folder(folder))
    episodes = Episodes()
    for piece in rollout.shards() if isinstance(rollout, ShardedRollout) else [rollout]:
        episodes.add(piece)
    entries = [
        {
            "key": list(e.key),
            "dtype": e.dtype,
            "shape": list(e.shape),
            "bytes": e.row_bytes * manifest.steps,
            "joined": bool(manifest.shards) and all(i in shard.joined for shard in manifest.shards),
        }
        for i, e in enumerate(manifest.entries)
    ]
    return {
        "steps": rollout.numel(),
        "batch_size": list(manifest.batch_size),
        "planned": manifest.planned * math.prod(manifest.batch_size),
        "complete": manifest.finished,
        "shards": 0 if manifest.one_piece else len(manifest.shards),
        "bytes": manifest.bytes,
        "verified": verify,
        "entries": entries,
        "episodes": episodes.metrics(),
    }


def _films(folder: Path) -> Iterator[Path]:
    for pattern in _FILMS:
        yield from sorted(folder.glob(pattern))


def _drawing(found: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    parts: list[RenderableType] = [summary(_summary(found))]
    if found["changes"]:
        differing = empty_table("key", "default", "this run", title="Changed from the defaults")
        for path, pair in found["changes"].items():
            differing.add_row(path, *("-" if value is None else str(value) for value in pair.values()))
        parts += ["", differing]
    if found["data"] is not None:
        entries = empty_table("entry", "dtype", "shape per step", "size", right=["size"], title="Data")
        for entry in found["data"]["entries"]:
            shape = "x".join(map(str, entry["shape"])) or "-"
            room = f"in {'.'.join(entry['key'][1:])}" if entry["joined"] else size(entry["bytes"])
            entries.add_row(".".join(entry["key"]), entry["dtype"], shape, room)
        parts += ["", entries]
    return Group(*parts)


def _summary(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    run, data = found["run"], found["data"]
    if run["state"]:
        state, said = str(run["state"]), str(run["error"] or "")  # whoever wrote them
        how = said if said.startswith(state) else f"{state}: {said}".rstrip(": ")
        yield "run", f"{run['command']}, {how}"
        yield "started", f"{run['started']}" + (f", ended {run['ended']}" if run["ended"] else "")
        yield "seed", str(run["seed"])
    if data is not None:
        yield from _data_rows(found["folder"], data, _reward_transforms(found["metrics"]))
    else:
        yield from _metrics_rows(found["metrics"])
    if isinstance(restarts := found["metrics"].get("restarts"), int) and restarts > 0:
        yield "restarts", restarts_line(restarts)
    for film in found["films"]:
        yield "film", f"{relative_path(Path(found['folder']) / film['file'])}, {size(film['bytes'])}"


def _reward_transforms(metrics: dict[str, Any]) -> list[str]:
    """The transforms of the rewards, from the metrics, where a file may hold anything."""
    told = metrics.get("reward_transforms")
    return [name for name in told if isinstance(name, str) and name.isidentifier()] if isinstance(told, list) else []


def _data_rows(folder: str, data: dict[str, Any], reward_transforms: list[str]) -> Iterator[tuple[str, str]]:
    envs, counted = data["batch_size"], data["episodes"]
    of_each = f", of {'x'.join(map(str, envs))} envs together" if envs else ""
    yield "steps", number(data["steps"]) + of_each
    if not data["complete"]:
        cure = f"of {number(data['planned'])}. To go on, type: envcli rollout {word('resume', folder)}"
        yield "unfinished", cure
    yield from episode_lines(counted, reward_transforms)
    pieces = f" in {number(data['shards'])} shard{'s' * (data['shards'] > 1)}" if data["shards"] else " in one piece"
    checked = ", every checksum right" if data["verified"] else ""
    yield "data", f"{size(data['bytes'])}{pieces}{checked}"


def _metrics_rows(metrics: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a rollout left of its result where it kept no data, from the metrics, where a file may hold anything."""
    counted = _numbers(metrics)
    if counted.get("steps") is None:
        return
    envs = counted.get("envs") or 1
    yield "steps", number(counted["steps"]) + (f", of {number(envs)} envs together" if envs > 1 else "")
    if not {"episodes", "unfinished_episodes", *_SPREADS} <= counted.keys():
        return
    groups = metrics.get("group_returns")
    for group, told in groups.items() if isinstance(groups, dict) else ():
        spread = _numbers(told) if isinstance(told, dict) else {}
        if {"mean", "min", "max"} <= spread.keys():
            counted.setdefault("group_returns", {})[printable(group)] = spread
    paid = counted["return_mean"] is not None or "group_returns" in counted
    for label, text in episode_lines(counted, _reward_transforms(metrics)):
        if label != "return" or paid:  # a mean of NaN is null too, so nobody knows why there is none
            yield label, text


def _numbers(found: dict[str, Any]) -> dict[str, Any]:
    """The entries that are null or a number that can be shown."""
    return {
        key: value
        for key, value in found.items()
        if value is None or (isinstance(value, int | float) and abs(value) < 2**63)
    }


def size(count: int) -> str:
    """A number of bytes for people.

    >>> size(512), size(2236416), size(3 * 2**40)
    ('512 bytes', '2.13 MiB', '3 TiB')
    """
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.3g} {_UNITS[unit]}" if value < 1000 else f"{value:,.0f} {_UNITS[unit]}"
