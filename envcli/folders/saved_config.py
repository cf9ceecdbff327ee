"""The configuration in a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from envcli.errors import StoreError
from envcli.folders.json_file import require_file

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = ["saved_config"]


def saved_config(folder: Path) -> DictConfig:
    """The content of ``config.yaml`` in ``folder``; empty if there is no such file, or ``folder`` is not a folder.

    Raises:
        StoreError: it cannot be read, or holds no keys. Names the file.
    """
    from omegaconf import DictConfig, OmegaConf
    from yaml import YAMLError

    file = folder / "config.yaml"
    try:
        require_file(file)
        found = OmegaConf.load(file)
    except (FileNotFoundError, NotADirectoryError):
        return OmegaConf.create({})
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "problem", None) or str(error)
        raise StoreError(f"{file}: cannot be read, {reason.lower()}.") from error
    if not isinstance(found, DictConfig):
        raise StoreError(f"{file}: found a list, expected keys.")
    if not found:
        raise StoreError(f"{file}: is empty. Restore it, or make the run anew.")
    return found
