"""Hydra's loader of configurations, where files of a stranger may say what is run, but not what Hydra does.

Hydra builds objects and calls functions that its own node names (callbacks, launchers, loggers), sets environment
variables from it, and writes where it says. What is in that node must come from our files or from the command line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import CachingConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.override_parser.types import Override as HydraOverride
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from envcli import commands
from envcli.configuration.config_files import ConfigFiles, in_a_circle
from envcli.errors import ConfigError
from envcli.installed import extensions
from envcli.override import Override, parsed
from envcli.terminal.printable import printable
from envcli.vocabulary import catalog
from envcli.vocabulary.schema import doors, in_one_line

__all__ = ["ConfigLoader"]

_STRANGERS = ("command-line", "ENVCLI_CONFIG_PATH", "hydra.searchpath")  # Hydra's names for where a folder came from
_MAY = ("mode", "sweeper.params")  # a preset may be a sweep
_NOTES = ("overrides", "runtime", "job.override_dirname", "searchpath")  # what Hydra itself writes there
_CURE = "If you trust the file, add allow_imports=true."


class ConfigLoader(ConfigLoaderImpl):
    """Looks in more folders than ours, and refuses in files what only the command line may set.

    The folders of ``ENVCLI_CONFIG_PATH`` come before ours and can replace a file of ours. Those of installed packages
    come after ours and are trusted like ours. The files of all other folders may set nothing under ``hydra``, except
    that they are a sweep, and no key that must be typed. ``allow_imports=true`` on the command line lifts both.

    Raises:
        ConfigError: names the key.
    """

    _said: list[str] | None = None  # keys already reported on stderr, since each job of a sweep is composed
    _kept: tuple[str | None, list[str], DictConfig] | None = None  # see `_for_the_mode`

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        for place in reversed(catalog.extra_folders()):
            config_search_path.prepend(provider="ENVCLI_CONFIG_PATH", path=f"file://{place}")
        for place in extensions.folders():
            config_search_path.prepend("envcli.conf", f"file://{place}", SearchPathQuery(provider="schema"))
        super().__init__(config_search_path)
        self.repository = ConfigFiles(config_search_path)

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Compose the configuration of a run, or of a job of a sweep, see Hydra."""
        if not validate_sweep_overrides:
            return self._for_the_mode(config_name, overrides, run_mode, from_shell)
        return self._known(config_name, overrides, run_mode) or self._composed(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )

    def _for_the_mode(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode, from_shell: bool
    ) -> DictConfig:
        """Compose what Hydra reads ``hydra.mode`` from, and keep it: next it composes the same, which takes 0.15 s.

        Hydra allows defaults to be missing here. Where none is, and nothing typed is a sweep, both are the same.
        """
        if not any(override.is_sweep for override in parsed(overrides)):
            with suppress(HydraException):
                cfg = self._composed(config_name, overrides, RunMode.RUN, from_shell, True)
                self._kept = config_name, list(overrides), cfg
                return cfg
        return self._composed(config_name, overrides, run_mode, from_shell, False)

    def _known(self, config_name: str | None, overrides: list[str], run_mode: RunMode) -> DictConfig | None:
        kept, self._kept = self._kept, None
        if kept is None:
            return None
        name, words, cfg = kept
        mode = f"hydra.mode={run_mode.name}"  # Hydra adds it where no file says it
        if name == config_name and overrides == [*words, mode]:
            cfg.hydra.overrides.hydra.append(mode)
            cfg.hydra.mode = run_mode
            return cfg
        return cfg if (name, words) == (config_name, overrides) else None

    def _composed(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool,
        validate_sweep_overrides: bool,
    ) -> DictConfig:
        try:
            cfg = super().load_configuration(config_name, overrides, run_mode, from_shell, validate_sweep_overrides)
        except RecursionError as error:
            file = f"{in_a_circle(error)}.yaml"
            raise ConfigError(f"{file}: includes itself. Check its defaults list, and its anchors (&, *).") from error
        except ValueError as error:
            if not str(error).startswith("Invalid defaults list"):
                raise
            raise ConfigCompositionException(str(error)) from error
        if any(source.provider.startswith(_STRANGERS) for source in cfg.hydra.runtime.config_sources):
            typed = parsed(overrides)
            steered = self._steered(cfg, [override for override in typed if override.is_about_hydra], run_mode)
            if not _opened(typed):
                _require_typed(cfg, str(config_name), typed)
                if steered:
                    raise _refusal(steered[0])
            elif steered and steered != self._said:
                self._said = steered
                print(printable(f"allow_imports: a configuration file says {', '.join(steered)}"), file=sys.stderr)
        return cfg

    def _steered(self, cfg: DictConfig, overrides: list[Override], run_mode: RunMode) -> list[str]:
        """The keys under ``hydra`` that our files alone, with the same ``overrides``, would have left otherwise."""
        own = [str(override) for override in overrides if override.key != "hydra.searchpath"]
        try:
            ours = ConfigLoaderImpl(self._our_folders()).load_configuration(
                cfg.hydra.job.config_name, own, run_mode, validate_sweep_overrides=False
            )
        except HydraException:  # such as a choice that only their folder has
            return own
        return [f"hydra.{path}" for path in _differing(cfg, ours)]

    def _process_config_searchpath(
        self, config_name: str | None, parsed_overrides: list[HydraOverride], repo: CachingConfigRepository
    ) -> None:
        loaded = None if config_name is None else repo.load_config(config_path=config_name)
        if loaded is not None and loaded.provider.startswith(_STRANGERS):
            words = [word.input_line or "" for word in parsed_overrides]
            if OmegaConf.select(loaded.config, "hydra.searchpath") and not _opened(parsed(words)):
                raise _refusal("hydra.searchpath")
        super()._process_config_searchpath(config_name, parsed_overrides, repo)

    def _our_folders(self) -> ConfigSearchPathImpl:
        ours = ConfigSearchPathImpl()
        ours.config_search_path = [
            element
            for element in self.config_search_path.get_path()
            if not (element.provider or "").startswith(_STRANGERS)
        ]
        return ours


def _differing(cfg: DictConfig, ours: DictConfig) -> Iterator[str]:
    found, expected = (dict(_leaves(OmegaConf.to_container(node.hydra, resolve=False))) for node in (cfg, ours))
    for path in sorted(found.keys() | expected.keys()):
        known = any(path == name or path.startswith(f"{name}.") for name in (*_MAY, *_NOTES))
        if not known and found.get(path) != expected.get(path):
            yield path


def _require_typed(cfg: DictConfig, command: str, overrides: list[Override]) -> None:
    """Raise `ConfigError` if a file sets what must be typed, directly or by defining a sweep."""
    if sorted([*cfg.hydra.overrides.hydra, *cfg.hydra.overrides.task]) != sorted(map(str, overrides)):
        raise _refusal("hydra.overrides")
    closed = {door.name: door.default for door in doors(commands.find(command).Config)}
    typed = {override.key for override in overrides}
    for name, default in closed.items():
        if name not in typed and cfg.get(name) != default:
            raise _refusal(name, f"If you want that, type it: {name}={in_one_line(cfg[name])}")
    for swept in parsed(map(str, OmegaConf.select(cfg, "hydra.sweeper.params") or {})):
        if swept.is_about_hydra or swept.key in closed:
            raise _refusal(f"hydra.sweeper.params: {swept}")


def _refusal(key: str, cure: str = _CURE) -> ConfigError:
    return ConfigError(f"{key}: is set by a configuration file, but may only be set on the command line. {cure}")


def _opened(overrides: list[Override]) -> bool:
    typed = (override for override in overrides if override.key == "allow_imports" and not override.removes)
    return any(override.text.strip().lower() == "true" for override in typed)


def _leaves(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # Any: what YAML can hold
    if isinstance(node, Mapping) and node:
        for name, value in node.items():
            yield from _leaves(value, f"{path}.{name}" if path else str(name))
    else:
        yield path, node
