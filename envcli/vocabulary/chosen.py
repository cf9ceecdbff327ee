"""What the overrides of a command choose, and what those choices bring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from envcli.override import parsed
from envcli.vocabulary import catalog

__all__ = ["Chosen"]

_PRESETS = ("experiment", "env")  # groups that choose in other groups; the first may choose the second
_CHOOSES = re.compile(r"^  - override /(?:\w+@)?(?P<group>\w+): (?P<value>[^#\n]*)", re.MULTILINE)
_BRINGS = re.compile(r"^  - (?P<choice>\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Chosen:
    """The choices in each group of a command, including those of presets and bundles, and the values that these set.

    Attributes:
        choices: group -> its choices that have keys.
        values: key -> the value that a preset, a bundle or an override gives it.
    """

    choices: dict[str, list[str]]
    values: dict[str, str]

    @classmethod
    def by(cls, command: str, words: Iterable[str], folders: Sequence[Path] = ()) -> Chosen:
        """The choices of the overrides ``words`` and, where they choose nothing, the defaults of ``command``.

        ``folders`` are those of ``--config-dir``.

        >>> chosen = Chosen.by("rollout", ["experiment=ppo_atari", "max_steps=64"])
        >>> chosen.choices["env"], chosen.choices["backend"], chosen.choices["parallel"]
        (['breakout'], ['ale'], ['processes'])
        >>> chosen.choices["transforms"][:2], chosen.values["max_steps"], chosen.values["backend.name"]
        (['noop_reset_env', 'gray_scale'], '64', 'Breakout')
        """
        typed = {override.key: override.text for override in parsed(words) if not override.removes}
        groups = {group.name: group for group in catalog.groups(command)}
        found = {name: _listed(typed.get(name, group.default)) for name, group in groups.items()}
        values: dict[str, str] = {}
        for preset in filter(found.__contains__, _PRESETS):
            brought: dict[str, list[str]] = {}
            for text in _texts(preset, found[preset], folders):
                for match in _CHOOSES.finditer(text):
                    brought.setdefault(match["group"], []).extend(_listed(match["value"]))
                values = {**catalog.values_in(text), **values}
            chosen = {name: list(dict.fromkeys(names)) for name, names in brought.items()}
            found |= {name: names for name, names in chosen.items() if name in groups and name not in typed}
        for name, group in groups.items():
            if group.many:
                for text in _texts(group.source, found[name], folders):
                    if _BRINGS.search(text):
                        values = {**catalog.values_in(text, name), **values}
                found[name] = list(_unbundled(group.source, found[name], folders))
        return cls(found, values | {key: value for key, value in typed.items() if key not in groups})

    def keys(self, group: catalog.Group) -> Iterator[catalog.NodeKey]:
        """The keys of the choices in ``group``, with their values."""
        for key in catalog.node_keys(group, self.choices[group.name]):
            yield replace(key, default=self.values.get(key.path, key.default))


def _listed(value: str) -> list[str]:
    words = (word.strip(" []'\"") for word in value.split(","))
    return [] if value == "null" else [word for word in words if word]


def _texts(source: str, choices: Sequence[str], folders: Sequence[Path]) -> Iterator[str]:
    for choice in choices:
        for place in (*folders, *catalog.places()):
            path = place / source / f"{choice}.yaml"
            if path.is_file():
                yield path.read_text(encoding="utf-8", errors="replace")
                break


def _unbundled(source: str, choices: Sequence[str], folders: Sequence[Path]) -> Iterator[str]:
    """``choices``, with each bundle replaced by the choices in it."""
    for choice in choices:
        brought = [match["choice"] for text in _texts(source, [choice], folders) for match in _BRINGS.finditer(text)]
        others = [name for name in brought if name != "_self_"]
        yield from _unbundled(source, others, folders) if others else [choice]
