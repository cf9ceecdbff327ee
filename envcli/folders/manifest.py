"""``manifest.json`` in a run folder: what a run was made with, so that a replay can tell whether something changed."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from envcli.folders.given_file import GivenFile
from envcli.folders.json_file import read_json, write_json
from envcli.installed.provenance import commit, versions

__all__ = ["note_resumption", "write_manifest"]

_NAME = "manifest.json"


def write_manifest(
    folder: Path,
    command: str,
    overrides: Sequence[str],
    seed: int | None,
    started: str,
    files: Mapping[str, GivenFile],
) -> None:
    """Record versions, platform, seed, git commit, the command line, and the files that the run reads, by their key."""
    manifest = {
        "command": command,
        "argv": [command, *sys.argv[1:]],
        "overrides": overrides,
        "seed": seed,
        "started": started,
        "versions": versions(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "git": commit(),
        "files": _data(files),
    }
    write_json(folder / _NAME, manifest)


def note_resumption(folder: Path, command: str, started: str, files: Mapping[str, GivenFile]) -> None:
    """Add to the manifest of a run that it was resumed, when and with what."""
    manifest = read_json(folder / _NAME)
    again = {"started": started, "versions": versions(), "argv": [command, *sys.argv[1:]], "files": _data(files)}
    write_json(folder / _NAME, {**manifest, "resumed": [*manifest.get("resumed", []), again]})


def _data(files: Mapping[str, GivenFile]) -> dict[str, object]:
    return {key: asdict(file) for key, file in files.items()}
