"""Sorts the words after the subcommand into overrides and flags.

Hydra's parser refuses overrides on both sides of a flag (``env=x -m seed=1,2``); here a flag may stand anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from envcli.errors import ConfigError, nearest
from envcli.vocabulary.catalog import existing_folder

__all__ = ["FLAGS", "Arguments", "parse"]


@dataclass(frozen=True)
class Flag:
    """A flag that is passed on to Hydra; ``value`` names its value, in brackets if it is optional."""

    names: tuple[str, ...]
    help: str
    value: str = ""
    choices: tuple[str, ...] = ()


FLAGS = (
    Flag(("-m", "--multirun"), "a sweep: one job for each combination of values such as a,b or range(0,3)"),
    Flag(("-c", "--cfg"), "print the configuration instead of running it", "PART", ("job", "hydra", "all")),
    Flag(("--resolve",), "with --cfg: replace interpolations with their values"),
    Flag(("-p", "--package"), "with --cfg: print only a part, such as backend", "KEY"),
    Flag(
        ("-i", "--info"),
        "show how the configuration is composed",
        "[PART]",
        ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    ),
    Flag(("-cd", "--config-dir"), "a folder with your own choices", "FOLDER"),
    Flag(("--hydra-help",), "show Hydra's own help"),
    Flag(("-h", "--help"), "show this help"),
)

_BY_NAME = {name: flag for flag in FLAGS for name in flag.names}

# Each would replace the subcommand's configuration, and --experimental-rerun also unpickles a file.
_REFUSED = {"--config-path", "-cp", "--config-name", "-cn", "--experimental-rerun", "--shell-completion", "-sc"}


@dataclass
class Arguments:
    """The words, sorted; ``flags`` as Hydra is to get them."""

    overrides: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        """Whether the flag was given, under any of its names."""
        return any(word.split("=")[0] in _BY_NAME[name].names for word in self.flags)

    def values(self, name: str) -> list[str]:
        """The values given with the flag, under any of its names."""
        found = []
        for i, word in enumerate(self.flags):
            typed, _, value = word.partition("=")
            if typed in _BY_NAME[name].names:
                found.append(value or self.flags[i + 1])
        return found

    @property
    def config_dirs(self) -> list[Path]:
        """The folders given with ``--config-dir``."""
        return [existing_folder(folder, "--config-dir") for folder in self.values("--config-dir")]


def parse(words: Sequence[str], keys: Collection[str] = ()) -> Arguments:
    """Sort ``words``. A flag that is named like one of ``keys`` was probably meant as an override.

    Raises `ConfigError` for an unknown flag, and for a flag without its value.

    >>> parse(["env=pendulum", "-m", "seed=1,2"])
    Arguments(overrides=['env=pendulum', 'seed=1,2'], flags=['-m'])
    """
    found = Arguments()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, glued, value = word.partition("=")
        if not word.startswith("-"):
            found.overrides.append(word)
            continue
        key = name.removeprefix("--").replace("-", "_")
        if name not in {*_BY_NAME, *_REFUSED} and key != name and key.split(".")[0] in keys:
            following = rest[0] if rest and not rest[0].startswith("-") and "=" not in rest[0] else "..."
            raise ConfigError(
                f"no flag {name!r}. Keys are written without dashes: {key}={value if glued else following}"
            )
        flag = _flag(name)
        if glued and not flag.value:
            raise ConfigError(f"{word}: {name} takes no value.")
        if glued and (not value or (flag.choices and value not in flag.choices)):
            raise _missing(flag, name, value)
        found.flags.append(word)
        if flag.value and not glued:
            found.flags.extend(_value(flag, name, rest))
    return found


def _value(flag: Flag, name: str, rest: list[str]) -> list[str]:
    optional = flag.value.startswith("[")
    if rest and not rest[0].startswith("-") and (not flag.choices or rest[0] in flag.choices):
        return [rest.pop(0)]
    if optional:
        return []
    raise _missing(flag, name, rest[0] if rest else "")


def _missing(flag: Flag, name: str, typed: str) -> ConfigError:
    expected = " or ".join(flag.choices) or f"a value, {flag.value}"
    return ConfigError(f"{name}: found {repr(typed) if typed else 'nothing'}, expected {expected}.")


def _flag(name: str) -> Flag:
    if name in _REFUSED:
        raise ConfigError(f"{name}: not supported here. Add choices of your own with --config-dir FOLDER.")
    if name not in _BY_NAME:
        raise ConfigError(f"no flag {name!r}. {nearest(name, [n for n in _BY_NAME if n.startswith('--')])}")
    return _BY_NAME[name]
