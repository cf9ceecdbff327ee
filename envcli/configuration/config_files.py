"""Hydra's collection of YAML files, with errors that name the file."""

from __future__ import annotations

import codecs
from pathlib import Path

from hydra._internal.config_repository import ConfigRepository
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig

from envcli.errors import ConfigError

__all__ = ["ConfigFiles", "in_a_circle"]


class ConfigFiles(ConfigRepository):
    """Also reads files with a byte order mark.

    Raises:
        ConfigError: a file cannot be read, is not UTF-8, or holds no keys.
    """

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Load one file, see Hydra's ``ConfigRepository``."""
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        if source is None or source.scheme() != "file":
            return super().load_config(config_path)
        file = Path(source.path, source._normalize_file_name(config_path))
        try:
            found = super().load_config(config_path)
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file}: not UTF-8, {error.reason} at byte {error.start}. Save it as UTF-8.") from error
        except OSError as error:
            raise ConfigError(f"{file}: cannot be read, {(error.strerror or str(error)).lower()}.") from error
        assert found is not None  # its source was found
        if not isinstance(found.config, DictConfig):
            raise ConfigError(f"{file}: found a list, expected keys, such as max_steps: 1000")
        if file.read_bytes().startswith(codecs.BOM_UTF8):  # Hydra does not see the first line after it
            found.header = ConfigSource._get_header_dict(file.read_text(encoding="utf-8-sig"))
        return found


def in_a_circle(error: RecursionError) -> str:
    """The name of a file that includes itself, directly or through others; found in the frames of the traceback."""
    name, trace = "", error.__traceback__
    while trace is not None:
        node = getattr(trace.tb_frame.f_locals.get("root"), "node", None)  # a node of Hydra's tree of files
        name = node.get_config_path() if node is not None else name
        trace = trace.tb_next
    return name
