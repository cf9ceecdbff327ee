"""The one door to OpenSpiel. The only file that imports it."""

from __future__ import annotations

from functools import cache
from typing import Any

from envcli.errors import MissingDependency

__all__ = ["observation_of", "open_spiel_library"]


@cache
def open_spiel_library() -> Any:  # Any: a module that is there for some only, and has no annotations
    """The module ``pyspiel``. Raises MissingDependency if OpenSpiel, or what it needs, is not installed."""
    try:
        import pyspiel
    except ModuleNotFoundError as missing:
        library = (missing.name or "pyspiel").partition(".")[0]
        library = "open_spiel" if library == "pyspiel" else library
        raise MissingDependency(library, "backend=open_spiel", "open-spiel") from missing
    return pyspiel


def observation_of(game: Any, perfect_recall: bool) -> Any:  # Any: as above
    """What players of ``game`` see: ``set_from(state, player)`` writes ``tensor``, float32 in memory that stays.

    It costs 0.3 us in chess, where ``state.observation_tensor(player)``, a list of the same numbers, costs 14.

    Args:
        game: a ``pyspiel.Game``.
        perfect_recall: all that a player has seen since the beginning (OpenSpiel's information state), and not now.
    """
    pyspiel = open_spiel_library()
    from open_spiel.python.observation import make_observation

    return make_observation(game, pyspiel.IIGObservationType(perfect_recall=True) if perfect_recall else None)
