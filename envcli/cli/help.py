"""The help texts, for the whole tool and for one subcommand."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

import envcli
from envcli import commands
from envcli.cli import arguments
from envcli.cli.arguments import FLAGS
from envcli.vocabulary import catalog, schema

__all__ = ["command_help", "main_help"]

_MANY = 24  # of more choices, only the names are listed


def main_help() -> str:
    """What ``envcli --help`` prints."""
    lines = [f"envcli {envcli.__version__}: reinforcement-learning environments from one line of YAML", ""]
    lines += ["  envcli COMMAND [group=choice ...] [key=value ...] [flags]", "", "Commands"]
    lines += _rows((name, commands.summary(name)) for name in commands.names())
    lines += ["", "Each command has its own help: envcli rollout --help", "", "The first minute"]
    lines += _rows(
        [
            ("envcli rollout", "run CartPole at random; saves to outputs/"),
            ("envcli list pend", "find envs by name"),
            ("envcli spec env=pendulum", "show what goes in and what comes out"),
            ("envcli rollout -m env=pendulum,cartpole seed=1,2", "a sweep: four runs, a table and a report"),
        ]
    )
    return "\n".join(lines)


def command_help(command: str, words: Sequence[str] = ()) -> str:
    """What ``envcli <command> <words> --help`` prints: groups, choices and keys, one line each.

    The keys of a choice are listed if the words, or the defaults, choose it, with the values that they would have.
    """
    from envcli.configuration import overrides  # the main help, shown most often, needs none of these
    from envcli.configuration.checker import known_to
    from envcli.vocabulary.chosen import Chosen

    module = commands.find(command)
    lines = [*_prose(f"envcli {command}: {inspect.getdoc(module)}"), ""]
    if not hasattr(module, "Config"):
        return "\n".join(lines).rstrip()
    given = arguments.parse(words, known_to(command))
    folders, typed = given.config_dirs, [word for word in given.overrides if "=" in word]
    groups = catalog.groups(command)
    for group in groups:
        lines += [_title(f"{group.name}={group.default}", group.help), *_choices(group, folders), ""]
    checked = overrides.check(command, typed, multirun=True, folders=folders)
    chosen = Chosen.by(command, overrides.as_typed(checked), folders)
    described = schema.describe(module.Config)
    lines += ["Keys", *_rows((f"{n}={chosen.values.get(n, _yaml(d))}", h) for n, d, h in described), ""]
    for group in groups:
        if keys := list(chosen.keys(group)):
            lines += _prose(f"Keys of {group.name}: {', '.join(chosen.choices[group.name])}")
            lines += [*_rows((f"{key.path}={key.default}", key.help) for key in keys), ""]
    if groups:
        lines += [
            "For the keys of other choices, add --help",
            f"  envcli {command} env=pong transforms=atari --help",
            "",
        ]
    lines += ["Flags"]
    lines += _rows((f"{', '.join(f.names)} {f.value}".rstrip(), _flag_help(f.help, f.choices)) for f in FLAGS)
    return "\n".join(lines)


def _prose(text: str) -> list[str]:
    """The paragraphs of a docstring, wrapped; indented examples are left as they are."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        kept = paragraph.startswith(" ")
        lines += [*(paragraph.splitlines() if kept else textwrap.wrap(paragraph, _width())), ""]
    return lines[:-1]


def _flag_help(text: str, choices: tuple[str, ...]) -> str:
    return f"{text}: {', '.join(choices)}" if choices else text


def _choices(group: catalog.Group, folders: Sequence[Path]) -> list[str]:
    if group.name != group.source:
        return [f"  same choices as {group.source}"]
    found = catalog.choices(group.source, folders)
    if len(found) > _MANY:
        return textwrap.wrap(", ".join(found), _width(), initial_indent="  ", subsequent_indent="  ")
    return _rows(found.items())


def _title(left: str, right: str) -> str:
    return f"{left}  ({right})" if right else left


def _rows(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Two columns, the right one wrapped to the width of the terminal."""
    pairs = list(pairs)
    margin = min(max((len(left) for left, _ in pairs), default=0), 34) + 4
    lines = []
    for left, right in pairs:
        first = f"  {left}".ljust(margin)
        if len(left) + 4 > margin:
            lines.append(first.rstrip())
            first = " " * margin
        lines += textwrap.wrap(right, _width(), initial_indent=first, subsequent_indent=" " * margin) or [
            first.rstrip()
        ]
    return lines


def _yaml(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _width() -> int:
    return max(60, min(shutil.get_terminal_size().columns, 120))
