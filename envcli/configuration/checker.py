"""Checks one override against the groups and keys of a command, and says what was probably meant."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import fields, replace
from pathlib import Path

from envcli import commands
from envcli.configuration import env_list, launchers
from envcli.configuration.meant import meant
from envcli.errors import ConfigError, nearest
from envcli.override import Override
from envcli.typed_word import word
from envcli.vocabulary import catalog

__all__ = ["Checker", "known_to"]

_NO_NAME = re.compile(r"[\d.]+|true|false|null", re.IGNORECASE)  # what is typed for a key, and is no choice
_OPEN = re.compile(r"\.options(\.|$)")  # a node whose keys are the simulator's, in no YAML of ours


def known_to(command: str) -> set[str]:
    """The keys and the groups of a command."""
    config = getattr(commands.find(command), "Config", None)
    return {item.name for item in fields(config)} | set(catalog.group_names(command)) if config else set()


class Checker:
    """Knows the groups and the keys of one command.

    Args:
        command: the command.
        multirun: whether several values may be typed, for a job each.
        folders: those that ``--config-dir`` names, with more choices.
    """

    def __init__(self, command: str, multirun: bool, folders: Iterable[Path]) -> None:
        self.command = command
        self.multirun = multirun
        self.folders = list(folders)
        self.groups = {group.name: group for group in catalog.groups(command)}
        self.keys = [item.name for item in fields(commands.find(command).Config)]

    def checked(self, override: Override) -> Override:
        """The override as Hydra is to get it, or a `ConfigError`."""
        if override.value is None and not override.removes:
            raise ConfigError(self._not_an_override(str(override)))
        if override.key not in self.groups and not override.text.strip() and not override.removes:
            raise ConfigError(
                f"{override.key}: found nothing after the equals sign. Is a variable of the shell empty? For an empty "
                f"text, type: {word(override.key, '')}"
            )
        if override.key == "hydra/launcher":
            if not self.multirun:  # Hydra would ignore it and say nothing
                raise ConfigError(f"{override} has no effect on a single run. Add -m.")
            return replace(override, value=launchers.preset(override.text, self.folders))
        if override.is_about_hydra or override.package is not None:
            return override
        if group := self.groups.get(override.key):
            self._check_choice(group, override)
            return replace(override, key=group.source, package=group.package)
        if override.key == "env_list":
            if not self.multirun:  # in a multirun each job checks its own
                env_list.require_list(override, self.folders)
        elif override.head not in self.keys:
            raise ConfigError(self._unknown(override))
        elif not self.multirun and override.is_sweep:
            if Path(override.text).exists():
                typed = word(override.key, override.text)
                raise ConfigError(f"{override.key}: the comma in {override.text} divides values. Type: {typed}")
            raise ConfigError(f"{override.key}: found several values, {override.text}. Add -m to run a job for each.")
        return replace(override, sign="++") if _OPEN.search(override.key) and not override.sign else override

    def _check_choice(self, group: catalog.Group, override: Override) -> None:
        """Raise `ConfigError` for a choice that no file stands for."""
        value, known = override.text, catalog.choices(group.source, self.folders)
        if override.removes and group.many:  # nothing that Hydra could delete, whatever was chosen
            cure = f"For none: {group.name}=none. For one less: ~{group.name}.NAME"
            raise ConfigError(f"{override}: found nothing of that name to remove. {cure}")
        if override.removes and not value:
            return
        bracketed = value.startswith("[") and value.endswith("]")
        if bracketed and not group.many:
            first = value[1:-1].split(",")[0] or "..."
            cure = f". To run them side by side: 'env_list={value}'" if group.name == "env" else ""
            raise ConfigError(f"{group.name}: found {value}, expected one choice: {group.name}={first}{cure}")
        several = not bracketed and "," in value
        if several and not self.multirun and not override.is_function:
            cure = f" To apply them all: '{group.name}=[{value}]'." if group.many else ""
            raise ConfigError(f"{group.name}: found several choices, {value}. Add -m to run a job for each.{cure}")
        names = [name.strip() for name in (value[1:-1] if bracketed else value).split(",")]
        for i, name in enumerate(names):
            if bracketed and name in names[:i]:
                raise ConfigError(
                    f"{group.name}: {name} is listed twice, but each choice is one node. "
                    f"For a second: '+{group.name}.{name}_2={{type: {name}}}', with its keys in there"
                )
            if name in known or (name == "null" and group.default == "null"):
                continue
            if name and not env_list.PLAIN.fullmatch(name):
                return  # quotes, glob(...), choice(...): Hydra reads them
            raise ConfigError(self._no_choice(group, name, known))

    def _no_choice(self, group: catalog.Group, name: str, known: Collection[str]) -> str:
        """The message for ``parallel=4`` and ``env=pendulm``."""
        if not name or _NO_NAME.fullmatch(name):
            keys = {key.path for key in catalog.node_keys(group)}
            cure = f" Or set one of its keys: {min(keys)}=..." if keys and not group.many else ""
            if group.name == "parallel":
                cure = f" For the number of envs: parallel=processes parallel.num_envs={name or '...'}"
            found = f"found {name}" if name else "found nothing"
            cure += f" For none: {group.name}=none" if group.many and not name else ""
            return f"{group.name} is a group: {found}, expected one of {', '.join(known)}.{cure}"
        cure = ""
        if group.name == "env":
            cure = f" Any env that a backend knows works without a preset: backend.name={name} (see envcli list)."
        elif group.name == "device":
            cure = f" Any other device: device.name={name}."
        elif group.name == "policy" and Path(name).suffix:
            cure = f" A network in a file: policy=module policy.path={name}"
        near = nearest(name, known)
        if near.endswith(f"There are {len([*known])}.") and not cure:  # none is near, and they are too many to list
            cure = f" They are in envcli {self.command} --help."
        return f"{group.name}: no choice {name!r}. {near}{cure}"

    def _unknown(self, override: Override) -> str:
        """The message for a key, or a group, that this command does not have."""
        key, head = override.key, override.head
        if head in self.groups and "." in key:  # a preset sets keys elsewhere and has none of its own
            return f"{head} is a preset and has no keys; found {key}. The env itself is under backend: backend.name=..."
        others = [name for name in commands.names() if name != self.command and head in known_to(name)]
        cure = f" It is a key of envcli {', '.join(others)}." if others else ""
        near = meant(key, self.command, [*self.keys, *self.groups])
        return f"no key {key!r} in {self.command}. {near}{cure} See envcli {self.command} --help."

    def _not_an_override(self, word: str) -> str:
        """The message for a word without ``=``."""
        for group in self.groups.values():
            if word in catalog.choices(group.source, self.folders):
                return f"found {word!r}, expected key=value. Did you mean '{group.name}={word}'?"
        if "rollout" in self.keys and Path(word).is_dir():
            return f"found {word!r}, expected key=value. Did you mean 'rollout={word}'?"
        if word in self.keys or word in self.groups:
            return f"{word}: found no value, expected {word}=value, without spaces."
        return f"found {word!r}, expected key=value. See envcli {self.command} --help."
