"""Which games there are, and what is said of those that cannot be made."""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import Any

import pytest

from envcli.errors import ConfigError, UnknownName
from envcli.open_spiel import games
from envcli.open_spiel.library import open_spiel_library

if importlib.util.find_spec("pyspiel") is None:
    pytest.skip("open_spiel is not installed (extra open-spiel)", allow_module_level=True)


def test_names_are_those_that_can_be_played() -> None:
    found = games.names()
    assert found == sorted(found)
    assert (
        {"tic_tac_toe", "kuhn_poker", "goofspiel", "misere"} <= {*found} <= {*open_spiel_library().registered_names()}
    )
    assert not any(name.startswith("mfg_") for name in found)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chess", "2 players"),
        ("2048", "1 player, chance"),
        ("kuhn_poker", "2 to 10 players, chance"),
        ("matrix_pd", "2 players, at once"),
        ("misere", "needs options: game"),
        ("repeated_poker", "needs options: blind_schedule, max_num_hands, reset_stacks, ..."),
        ("ludo", ""),
    ],
)
def test_facts(name: str, said: str) -> None:
    assert games.facts(name) == said


@pytest.mark.parametrize(
    ("game_string", "options", "made"),
    [
        ("hex(board_size=3)", {}, "hex(board_size=3)"),
        ("hex(board_size=3)", {"board_size": 4}, "hex(board_size=4)"),
        ("misere", {"game": "kuhn_poker(players=3)"}, "misere(game=kuhn_poker(players=3))"),
        ("misere", {"game": {"name": "kuhn_poker"}}, "misere(game=kuhn_poker())"),
        ("add_noise", {"game": "kuhn_poker", "epsilon": 1, "seed": 2}, "add_noise"),
    ],
)
def test_parameters(game_string: str, options: dict[str, Any], made: str) -> None:
    assert str(games.load(game_string, options)).startswith(made)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(games.load, "tic_tac_to", {}), r"no game of OpenSpiel 'tic_tac_to'\. Did you mean 'tic_tac_toe'"),
        (partial(games.load, "misere", {"game": "ches"}), "no game of OpenSpiel 'ches'. Did you mean 'chess'"),
        (partial(games.load, "hex", {"board_siz": 3}), "hex has no parameter 'board_siz'. Did you mean 'board_size'"),
        (partial(games.load, "hex(board_siz=3)", {}), "hex has no parameter 'board_siz'. Did you mean 'board_size'"),
        (partial(games.load, "hex", {"board_size": "x"}), "board_size: expected a whole number, found 'x'"),
        (partial(games.load, "hex", {"swap": 1}), "swap: expected true or false, found 1"),
        (partial(games.load, "hex(board_size=3", {}), "a bracket is not closed"),
        (partial(games.load, "misere", {}), r"It takes game\. Type: backend\.options\.game=kuhn_poker"),
        (partial(games.load, "kuhn_poker", {"players": 99}), "kuhn_poker: players: expected 2 to 10 players, found 99"),
        (partial(games.load, "efg_game", {"filename": "none.efg"}), "efg_game cannot be made with filename=none.efg"),
        (partial(games.load, "mfg_garnet", {}), "mfg_garnet is a mean-field game"),
    ],
)
def test_what_cannot_be_made_is_explained(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        make()
    assert isinstance(caught.value, UnknownName) == message.startswith("no game")


def test_a_game_whose_actions_are_no_numbers_is_refused() -> None:
    if "crossword" not in open_spiel_library().registered_names():
        pytest.skip("OpenSpiel before 2.0 has no such game")
    with pytest.raises(ConfigError, match="crossword has actions that are not numbers"):
        games.load("crossword", {})
    assert "crossword" not in games.names()


def test_games_that_draw_by_themselves_are_given_a_seed() -> None:
    game = games.load("negotiation", {"num_items": 4})
    assert games.reseeded(game, 2**32 + 5).get_parameters() | {"rng_seed": 0} == game.get_parameters() | {"rng_seed": 0}
    assert games.reseeded(game, 2**32 + 5).get_parameters()["rng_seed"] == 5
    chess = games.load("chess", {})
    assert games.reseeded(chess, 5) is chess
