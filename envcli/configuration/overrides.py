"""Checks overrides before Hydra sees them, for the mistakes whose explanation Hydra makes long, or wrong.

Hydra advises to add ``+`` before an unknown key, and then accepts the misspelt key silently; here the nearest known
name is given instead. What is more than a plain word, a list or a comma list is left to Hydra's own grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from envcli import catalog, commands
from envcli.errors import ConfigError, nearest

__all__ = ["check"]

_OVERRIDE = re.compile(r"(?P<sign>\+\+|\+|~)?(?P<key>[^=]*)(?P<equals>=)?(?P<value>.*)", re.DOTALL)
_WORD = re.compile(r"[\w./:+-]+")
_SWEEP = re.compile(r"(range|choice|glob|interval|shuffle|sort|tag)\(")


class Checker:
    """What one command knows: its groups and keys."""

    def __init__(self, command: str, multirun: bool, folders: Iterable[Path]) -> None:
        self.command = command
        self.multirun = multirun
        self.folders = list(folders)
        self.groups = {group.name: group for group in catalog.groups(command)}
        self.keys = [item.name for item in fields(commands.find(command).Config)]

    def check(self, override: str) -> str:
        """The override as Hydra is to get it, or a `ConfigError`."""
        match = _OVERRIDE.fullmatch(override)
        assert match is not None  # every part is optional
        sign, key, value = match["sign"] or "", match["key"].strip(), match["value"]
        head = key.split(".")[0]
        if not match["equals"] and sign != "~":
            raise ConfigError(self.no_override(override))
        if head == "hydra" or key.startswith("hydra/") or "@" in key:
            return override
        if key in self.groups:
            self.check_choice(key, sign, value)
        elif head not in self.keys:
            raise ConfigError(self.unknown(key, head))
        elif not self.multirun and is_sweep(value):
            raise ConfigError(f"{key}: found several values, {value}. Add -m to run a job for each.")
        if ".options." in key and not sign:  # an open node: its keys are the simulator's, no YAML lists them
            return "++" + override
        return override

    def check_choice(self, group: str, sign: str, value: str) -> None:
        """Refuse a choice that no file stands for."""
        known = catalog.choices(group, self.folders)
        if sign == "~" and not value:
            return
        bracketed = value.startswith("[") and value.endswith("]")
        if bracketed and not self.groups[group].many:
            raise ConfigError(
                f"{group}: found {value}, expected one choice: {group}={value[1:-1].split(',')[0] or '...'}"
            )
        several = not bracketed and "," in value
        if several and not self.multirun and not _SWEEP.match(value):
            cure = f" Or to have them all at once: '{group}=[{value}]'." if self.groups[group].many else ""
            raise ConfigError(f"{group}: found several choices, {value}. Add -m to run a job for each.{cure}")
        for name in (value[1:-1] if bracketed else value).split(","):
            name = name.strip()
            if name in known or (name == "null" and self.groups[group].default == "null"):
                continue
            if name and not _WORD.fullmatch(name):
                return  # quotes, glob(...), choice(...): Hydra reads them
            raise ConfigError(self.no_choice(group, name, known))

    def no_choice(self, group: str, name: str, known: Iterable[str]) -> str:
        """The message for ``parallel=4`` and ``env=pendulm``."""
        keys = {key.path.removeprefix(f"{group}.") for key in catalog.node_keys(group)}
        if not name or re.fullmatch(r"[\d.]+|true|false|null", name, re.IGNORECASE):
            cure = f" Or set one of its keys: {group}.{min(keys)}=..." if keys and not self.groups[group].many else ""
            found = f"found {name}" if name else "found nothing"
            return f"{group} is a group: {found}, expected one of {', '.join(known)}.{cure}"
        cure = ""
        if group == "env":
            cure = f" Any env that a backend knows works without a preset: backend.name={name} (see envcli list)."
        elif group == "device":
            cure = f" Any other device: device.name={name}."
        return f"{group}: no choice {name!r}. {nearest(name, known)}{cure}"

    def unknown(self, key: str, head: str) -> str:
        """The message for a key, or a group, that this command does not have."""
        if head in self.groups and "." in key:  # a preset sets keys elsewhere and has none of its own
            return f"{head} is a preset and has no keys; found {key}. The env itself is under backend: backend.name=..."
        known = [*self.keys, *self.groups]
        others = [name for name in commands.names() if name != self.command and (head in _names(name))]
        cure = f" It belongs to {', '.join(others)}." if others else ""
        return f"no key {key!r} in {self.command}. {nearest(head, known)}{cure} See envcli {self.command} --help."

    def no_override(self, word: str) -> str:
        """The message for a word without ``=``."""
        for group in self.groups:
            if word in catalog.choices(group, self.folders):
                return f"found {word!r}, expected key=value. Did you mean '{group}={word}'?"
        if word in self.keys:
            return f"{word}: found no value, expected {word}=value."
        return f"found {word!r}, expected key=value. See envcli {self.command} --help."


def check(command: str, overrides: Iterable[str], multirun: bool, folders: Iterable[Path] = ()) -> list[str]:
    """The overrides as Hydra is to get them. Raises `ConfigError` at the first that cannot be meant.

    >>> check("rollout", ["env=blackjak"], multirun=False)
    Traceback (most recent call last):
    envcli.errors.ConfigError: env: no choice 'blackjak'. Did you mean 'blackjack'? ...
    """
    checker = Checker(command, multirun, folders)
    checked = [checker.check(override) for override in overrides]
    _refuse_launcher_alone(overrides, multirun)
    _refuse_with_replay(overrides)
    return checked


def is_sweep(value: str) -> bool:
    """Whether Hydra would run a job for each of several values.

    >>> is_sweep("1,2"), is_sweep("range(0,3)"), is_sweep("[1,2]"), is_sweep("'a,b'")
    (True, True, False, False)
    """
    if _SWEEP.match(value):
        return True
    plain = re.sub(r"'[^']*'|\"[^\"]*\"|\[[^]]*\]|\{[^}]*\}|\([^)]*\)", "", value)
    return "," in plain


def _names(command: str) -> set[str]:
    module = commands.find(command)
    config = getattr(module, "Config", None)
    return {item.name for item in fields(config)} | set(catalog.group_names(command)) if config else set()


def _refuse_launcher_alone(overrides: Iterable[str], multirun: bool) -> None:
    for override in overrides:
        if override.startswith("hydra/launcher=") and not multirun:  # Hydra would ignore it without a word
            raise ConfigError(f"{override} has no effect on a single run. Add -m.")


def _refuse_with_replay(overrides: Iterable[str]) -> None:
    names = [re.split(r"[=@]", override.lstrip("+~"))[0] for override in overrides]
    if "replay" not in names:
        return
    for name, override in zip(names, overrides, strict=True):
        if name not in ("replay", "json", "allow_imports") and not name.startswith("hydra"):
            raise ConfigError(
                f"replay runs exactly what was saved, so it takes no {override!r}. Leave one of them out."
            )
