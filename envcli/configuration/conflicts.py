"""Overrides that are right one by one but not together: one of them would silently have no effect."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from envcli import commands
from envcli.errors import ConfigError
from envcli.override import Override

__all__ = ["PASSED_ON", "refuse_beside", "refuse_conflicts"]

PASSED_ON = ("json", "allow_imports")
"""Keys that may be typed beside ``replay`` and ``resume``, since they change nothing of the run."""

_EXACT = {"replay": "runs exactly what was saved", "resume": "continues exactly what was started"}


def refuse_conflicts(command: str, overrides: Sequence[Override], files: Collection[str]) -> None:
    """Raise `ConfigError` for the first two that conflict.

    ``files`` are the keys by which the run to be replayed or resumed was given files; another file may be typed for
    each.
    """
    _refuse_with_replay(overrides, files)
    _refuse_with_rollout(command, overrides)
    _refuse_two_lengths(overrides)


def _refuse_with_replay(overrides: Sequence[Override], files: Collection[str]) -> None:
    typed = {override.key for override in overrides}
    if "replay" in typed:
        refuse_beside("replay", overrides, lambda one: one.key in ("overwrite", *files) or one.is_about_hydra)
    if "resume" in typed:
        refuse_beside("resume", overrides, lambda one: one.key in files)


def refuse_beside(word: str, overrides: Sequence[Override], but: Callable[[Override], bool]) -> None:
    """Raise `ConfigError` for the first of ``overrides`` that would change what ``word`` repeats, ``but`` for some."""
    for override in overrides:
        if override.key not in (word, *PASSED_ON) and not but(override):
            raise ConfigError(f"{word} {_EXACT[word]}, so it takes no {str(override)!r}. Leave one of them out.")


def _refuse_with_rollout(command: str, overrides: Sequence[Override]) -> None:
    """A command that is given a recorded rollout builds no env, so overrides about an env would have no effect."""
    beside = getattr(commands.find(command), "BESIDE_ROLLOUT", None)
    typed = {override.key: override.text for override in overrides}
    if beside is None or typed.get("rollout", "null") == "null":
        return
    for override in overrides:
        if override.head not in ("rollout", *beside) and not override.is_about_hydra:
            raise ConfigError(f"rollout films a recorded run, so it takes no {str(override)!r}. Leave one of them out.")


def _refuse_two_lengths(overrides: Sequence[Override]) -> None:
    """``total_steps`` takes the place of a default or a preset's ``max_steps``, but not of one that is typed."""
    typed = {override.key: override for override in overrides}
    steps, total = typed.get("max_steps"), typed.get("total_steps")
    if steps is not None and total is not None and total.text != "null":
        raise ConfigError(
            f"{steps} has no effect beside {total}, which replaces it. Leave it out; "
            "or leave out total_steps to get a rollout in one piece."
        )
