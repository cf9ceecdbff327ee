"""OpenSpiel's games: which there are, what is known of each, and how one is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envcli.errors import ConfigError, UnknownName, described, nearest
from envcli.open_spiel.library import open_spiel_library

__all__ = ["facts", "load", "names", "require_playable", "reseeded"]

_SEEDS = ("rng_seed", "seed")  # what games call the seed of a generator of their own


def names() -> list[str]:
    """Every game that can be played, sorted. Raises MissingDependency if OpenSpiel is not installed."""
    return sorted(name for name, kind in _kinds().items() if not _unplayable(kind))


def facts(name: str) -> str:
    """What is known of a game that is not loaded: its players, whether they act at once, chance, what options it needs.

    Empty where there is no such game.
    """
    kind, modes = _kinds().get(name), open_spiel_library().GameType
    if kind is None:
        return ""
    if not kind.default_loadable:
        taken = list(kind.parameter_specification)
        return f"needs options: {', '.join(taken[:3])}{', ...' * (len(taken) > 3)}"
    said = [_players(kind)]
    if kind.dynamics == modes.Dynamics.SIMULTANEOUS:
        said.append("at once")
    if kind.chance_mode != modes.ChanceMode.DETERMINISTIC:
        said.append("chance")
    return ", ".join(said)


def load(game_string: str, options: Mapping[str, Any]) -> Any:  # Any: a pyspiel.Game
    """The game of ``game_string`` with ``options``, which come first.

    Args:
        game_string: ``"hex"``, or with parameters ``"hex(board_size=5)"``.
        options: parameters of the game. One that is a game itself is a string of this kind.

    Raises:
        UnknownName: there is no such game; says the nearest.
        ConfigError: the game does not take a parameter, or that value of it; or it needs one; or cannot be played here:
            see :func:`require_playable`.
        MissingDependency: OpenSpiel is not installed.
    """
    given = _parsed(game_string)
    name = given.pop("name")
    kind = _kinds()[name]
    if reason := _unplayable(kind):
        raise ConfigError(f"{name} {reason}")
    taken = kind.parameter_specification
    given |= {option: _fitting(name, option, value, taken) for option, value in options.items()}
    if not kind.min_num_players <= given.get("players", kind.min_num_players) <= kind.max_num_players:
        raise ConfigError(f"options: {name}: players: expected {_players(kind)}, found {given['players']}")
    if not kind.default_loadable and not given:
        raise ConfigError(
            f"options: {name} is made of parameters, and none are given. It takes {', '.join(taken)}. "
            f"Type: {_example(taken)}"
        )
    try:
        game = open_spiel_library().load_game(name, given)
    except Exception as error:  # SpielError, IndexError, whatever a game raises
        raise ConfigError(f"options: {name} cannot be made with {_listed(given)}: {described(error)}") from error
    require_playable(game)
    return game


def require_playable(game: Any) -> None:
    """Raise ConfigError for a mean-field game, and one whose actions are not numbers."""
    if reason := _unplayable(game.get_type()):
        raise ConfigError(f"{game.get_type().short_name} {reason}")


def reseeded(game: Any, seed: int) -> Any:
    """``game``; where it draws from a generator of its own, which it does instead of showing chance, one with ``seed``.

    Where that game has no parameter for a seed, it is ``game`` all the same.
    """
    kind = game.get_type()
    pyspiel = open_spiel_library()
    if kind.chance_mode != pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC:
        return game
    own = next((name for name in _SEEDS if name in kind.parameter_specification), None)
    return game if own is None else pyspiel.load_game(kind.short_name, {**game.get_parameters(), own: seed % 2**31})


def _kinds() -> dict[str, Any]:
    """Name -> its ``pyspiel.GameType``."""
    return {kind.short_name: kind for kind in open_spiel_library().registered_games()}


def _players(kind: Any) -> str:
    few, many = kind.min_num_players, kind.max_num_players
    return "1 player" if many == 1 else f"{few} players" if few == many else f"{few} to {many} players"


def _unplayable(kind: Any) -> str:
    if kind.dynamics == open_spiel_library().GameType.Dynamics.MEAN_FIELD:
        return (
            "is a mean-field game: its chances depend on what a whole population does, which an env does not know. "
            "Type: envcli list open_spiel, for those that can be played"
        )
    if getattr(kind, "action_structs_only", False):
        return "has actions that are not numbers. Type: envcli list open_spiel, for those that can be played"
    return ""


def _parsed(game_string: str) -> dict[str, Any]:
    """The parameters of a game as its string says them, and its ``"name"``."""
    known = _kinds()
    name = game_string.partition("(")[0].strip()
    if name not in known:
        raise UnknownName("game of OpenSpiel", name, names())
    if game_string.count("(") != game_string.count(")"):
        raise ConfigError(f"{game_string!r}: a bracket is not closed. Type: hex(board_size=5), for example")
    try:
        found = dict(open_spiel_library().game_parameters_from_string(game_string))
    except Exception as error:  # SpielError
        raise ConfigError(f"{game_string!r} is no game with its parameters: {described(error)}") from error
    taken = known[name].parameter_specification
    return {"name": name, **{k: _fitting(name, k, v, taken) for k, v in found.items() if k != "name"}}


def _fitting(name: str, option: str, value: Any, taken: Mapping[str, Any]) -> Any:
    """``value``, as OpenSpiel takes it: it also prints what it refuses, so what can be known is refused before."""
    if option not in taken:
        raise ConfigError(f"options: {name} has no parameter {option!r}. {nearest(option, taken)}")
    usual = taken[option]
    if isinstance(usual, dict):
        return _parsed(value) if isinstance(value, str) else value
    if isinstance(usual, float) and type(value) is int:
        return float(value)
    if isinstance(usual, str) and type(value) in (int, float):
        return str(value)
    if type(value) is not type(usual):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}.get(type(usual), "a text")
        raise ConfigError(f"options: {name}: {option}: expected {expected}, found {value!r}")
    return value


def _example(taken: Mapping[str, Any]) -> str:
    first = next((name for name, usual in taken.items() if isinstance(usual, dict)), next(iter(taken)))
    kinds: dict[type[Any], str] = {dict: "kuhn_poker", str: "FILE"}
    value = kinds.get(type(taken[first]), "1")
    return f"backend.options.{first}={value}, in Python {first}={value if value == '1' else repr(value)}"


def _listed(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in given.items()) or "its own parameters"
