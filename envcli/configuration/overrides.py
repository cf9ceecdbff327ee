"""Checks overrides before Hydra sees them, for mistakes that Hydra explains at length, or wrongly.

Hydra advises to add ``+`` before an unknown key, and then accepts the misspelt key silently; here the nearest known
name is given instead. Values beyond a plain word, a list or several with commas are left to Hydra's grammar.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from envcli import commands
from envcli.configuration.checker import Checker, known_to
from envcli.configuration.conflicts import refuse_conflicts
from envcli.configuration.env_list import SELECTING, first_env
from envcli.errors import ConfigError
from envcli.folders.given_file import recorded_files
from envcli.folders.sweep_plan import SweepPlan
from envcli.override import Override, parsed
from envcli.typed_word import quoted
from envcli.vocabulary import catalog

__all__ = ["as_typed", "check", "named", "resumed", "resumed_place"]


def check(command: str, words: Iterable[str], multirun: bool, folders: Iterable[Path] = ()) -> list[str]:
    """The overrides ``words`` as Hydra is to get them. Raises `ConfigError` for the first that must be a mistake.

    >>> check("rollout", ["env=blackjak"], multirun=False)
    Traceback (most recent call last):
    envcli.errors.ConfigError: env: no choice 'blackjak'. Did you mean 'blackjack'? ...
    """
    overrides = parsed(named(command, words))
    checker = Checker(command, multirun, folders)
    checked = [checker.checked(override) for override in _joined(overrides, checker.groups.values())]
    files = _files_of_the_earlier_run(overrides)
    checked = [replace(one, sign="++") if one.key in files and not one.sign else one for one in checked]
    refuse_conflicts(command, overrides, files)
    return [str(override.readable) for override in checked] + [
        str(env.readable) for env in first_env(overrides, folders)
    ]


def named(command: str, words: Iterable[str]) -> list[str]:
    """``words`` with the first that is not an override made one, if the command has a key whose name may be left out.

    >>> named("show", ["outputs/it's", "json=true"])
    ["folder='outputs/it\\\\'s'", 'json=true']
    """
    words, place = list(words), getattr(commands.find(command), "POSITIONAL", None)
    if place is None:
        return words
    keys = known_to(command)
    for i, override in enumerate(parsed(words)):
        meant = override.head in keys or override.is_about_hydra
        if override.value is None or (not meant and Path(words[i]).exists()):
            words[i] = f"{place}={quoted(words[i])}"
            break
    return words


def as_typed(words: Iterable[str]) -> list[str]:
    """The words that :func:`check` was given, from those that it returned.

    >>> as_typed(["env_list=[pong,qbert]", "transforms@outer_transforms=[sign]", "env=pong"])
    ['env_list=[pong,qbert]', 'outer_transforms=[sign]']
    """
    plain = [replace(one, key=one.package, package=None) if one.package else one for one in parsed(words)]
    several = any(override.key == "env_list" for override in plain)
    return [str(override) for override in plain if not (several and override.key in SELECTING)]


def resumed(words: Iterable[str]) -> str | None:
    """The folder in ``resume=<folder>``; None where nothing is resumed.

    >>> resumed(["resume='a b'", "json=true"]), resumed(["resume=null"])
    ('a b', None)
    """
    folder = next((override.unquoted for override in reversed(parsed(words)) if override.key == "resume"), "null")
    return None if folder == "null" else folder


def resumed_place(words: Iterable[str], multirun: bool) -> list[str]:
    """With ``resume=<folder>``, the override that makes Hydra work in that folder; else none.

    >>> resumed_place(["resume=."], multirun=False)
    ["hydra.run.dir='.'"]
    """
    folder = resumed(words)
    if folder is None:
        return []
    if Path(folder).is_file():
        raise ConfigError(f"resume: found the file {folder}, expected its run folder: resume={Path(folder).parent}")
    if multirun and Path(folder).exists():
        raise ConfigError(f"resume: with -m, expected the folder of a sweep, but {folder} is a run. Leave out -m.")
    if not Path(folder).is_dir():
        raise ConfigError(f"resume: no folder {folder}")
    if SweepPlan.read(Path(folder)):
        raise ConfigError(f"resume: {folder} is a sweep. To go on with all of its jobs, add -m.")
    return [f"hydra.run.dir={quoted(folder)}"]


def _joined(overrides: Sequence[Override], groups: Iterable[catalog.Group]) -> list[Override]:
    """``+transforms=b`` beside ``transforms=a``, which Hydra would silently drop, becomes ``transforms=[a,b]``.

    >>> words = ["transforms=atari,[]", "seed=1", "+transforms=[sign,clip]"]
    >>> [str(one) for one in _joined(parsed(words), catalog.groups("rollout"))]
    ['transforms=[atari,sign,clip],[sign,clip]', 'seed=1']
    """
    chosen = {one.key for one in overrides if not one.sign} & {group.name for group in groups if group.many}
    found = [one for one in overrides if not (one.sign == "+" and one.key in chosen)]
    for added in (one for one in overrides if one.sign == "+" and one.key in chosen):
        place = next(i for i, one in enumerate(found) if one.key == added.key and not one.sign)
        found[place] = _with_choices(found[place], added)
    return found


def _with_choices(chosen: Override, added: Override) -> Override:
    """``chosen``, one list of choices or several of a sweep, with those of ``added`` at the end of each."""
    lists = re.findall(r"\[[^]]*\]|[^,\[\]]+", chosen.text)
    if any("(" in choices for choices in lists):
        raise ConfigError(f"{added} cannot be added to {chosen}. Write it into each choice.")
    joined = (",".join(filter(None, (choices.strip("[]"), added.text.strip("[]")))) for choices in lists)
    return replace(chosen, value=",".join(f"[{names}]" for names in joined))


def _files_of_the_earlier_run(overrides: Iterable[Override]) -> Collection[str]:
    """The keys by which the run to be replayed or resumed was given files; another file may be typed for each."""
    typed = {override.key: override for override in overrides}
    earlier = typed.get("replay", typed.get("resume"))
    if earlier is None or earlier.is_sweep or not Path(earlier.unquoted).is_dir():
        return ()
    return recorded_files(Path(earlier.unquoted))
