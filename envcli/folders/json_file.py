"""JSON files that are replaced as a whole, so that a reader never sees half of one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envcli.errors import StoreError

__all__ = ["plain", "read_json", "require_file", "write_bytes", "write_json", "write_text"]


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty if there is no such file."""
    try:
        require_file(path)
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{path}: cannot be read, {error}.") from error
    if not isinstance(found, dict):
        raise StoreError(f"{path}: found {type(found).__name__}, expected a JSON object.")
    return found


def require_file(path: Path) -> None:
    """Raise OSError for a pipe or a device at ``path``: who opens a pipe waits until somebody writes."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError("it is no file")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replace ``path`` as a whole; nan and infinity, which JSON lacks, become null."""
    write_text(path, json.dumps(plain(content), indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` as a whole; a link there is replaced, not followed. If that fails, ``path`` is unchanged."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """See :func:`write_text`."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    try:
        with open(part, "xb") as stream:  # "x" follows no link either
            stream.write(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def plain(value: Any) -> Any:  # Any: whatever JSON can hold
    """``value`` as JSON can hold it: nan and infinity become null, tuples lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value
