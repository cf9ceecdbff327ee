"""Files that a run is given, such as a network: their paths, and hashes of their content."""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envcli.errors import ConfigError
from envcli.folders.json_file import read_json
from envcli.typed_word import word

__all__ = ["GivenFile", "given_files", "recorded_files"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 12  # digits of a hash that are shown


@dataclass(frozen=True)
class GivenFile:
    """A file that a run was given under one of its keys.

    Args:
        sha256: the hash of its content, 64 hexadecimal digits.
        path: its absolute path; None if an environment variable is part of it.
    """

    sha256: str
    path: str | None

    def again(self, key: str, value: str) -> str:
        """``value``, if that is this file, else the path that it had then.

        Raises:
            ConfigError: it is in neither place; says where it was looked for, and what was there instead.
        """
        places = dict.fromkeys(path for path in (value, self.path) if path is not None)
        found = {place: digest for place in places if (digest := _sha256(place)) is not None}
        for place, digest in found.items():
            if digest == self.sha256:
                return place
        if not found:
            looked = ", nor ".join(dict.fromkeys(str(_absolute(place)) for place in places))
            raise ConfigError(f"{key}: no file {looked}. Put it there, or type {key}=... for where it is")
        place, digest = next(iter(found.items()))
        raise ConfigError(
            f"{key}: {_absolute(place)} has changed since that run: found sha256 {digest[:_SHOWN]}, expected "
            f"{self.sha256[:_SHOWN]}. Restore it, or type {word(key, place)} if this one is wanted"
        )


def given_files(config: Mapping[str, Any], hidden: Collection[tuple[str, ...]] = ()) -> dict[str, GivenFile]:
    """Key -> file, for each value in a node that is the path of an existing file: ``policy.path=net.pt``.

    A word without a suffix or a slash, such as an env's name, is not taken for a path. The paths of the keys in
    ``hidden`` are not recorded.
    """
    found = {}
    for key, value in _texts(config, ()):
        named = len(key) > 1 and (Path(value).suffix or "/" in value)
        if named and (digest := _sha256(value)) is not None:
            found[".".join(key)] = GivenFile(digest, None if key in hidden else str(_absolute(value)))
    return found


def recorded_files(folder: Path) -> dict[str, GivenFile]:
    """Key -> file, from ``manifest.json`` of a run folder, without invalid entries: anybody may have written it."""
    written = read_json(folder / "manifest.json").get("files")
    found = {}
    for key, file in written.items() if isinstance(written, dict) else ():
        digest, path = (file.get("sha256"), file.get("path")) if isinstance(file, dict) else (None, None)
        if isinstance(digest, str) and _SHA256.fullmatch(digest) and isinstance(path, str | None):
            found[key] = GivenFile(digest, path)
    return found


def _texts(node: Any, key: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:  # Any: what a YAML holds
    if isinstance(node, str):
        yield key, node
    for name, value in node.items() if isinstance(node, Mapping) else ():
        yield from _texts(value, (*key, str(name)))


def _absolute(place: str) -> Path:
    return Path(place).expanduser().absolute()


def _sha256(place: str) -> str | None:
    """The hash of a file's content; None if there is no file that can be read."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # a name too long, an unknown ~user, a zero byte
        path = _absolute(place)
        if path.is_file():  # reading a pipe would wait
            with open(path, "rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
    return None
