"""OpenSpiel's own loop, as its documentation writes it."""

from __future__ import annotations

import random
from collections.abc import Callable

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array, Unfit

__all__ = ["open_spiel_loop"]


def open_spiel_loop(work: Workload, given: Array | None) -> tuple[Callable[[], None], Callable[[], None]]:
    """``apply_action`` with one of the ``legal_actions``, ``returns``, and of each player the tensors that it sees.

    Only random numbers are drawn beforehand, since an action must be legal. Chance is drawn with ``random.choices``.
    """
    from envcli.open_spiel import games

    if work.cfg.get("from_pixels"):
        raise Unfit("OpenSpiel draws no frames")
    game = games.load(str(work.backend["name"]), dict(work.backend.get("options") or {}))
    kind, players = game.get_type(), range(game.num_players())
    chance = random.Random(work.seed)
    numbers = [chance.random() for _ in range(work.steps)]

    def run() -> None:
        state = game.new_initial_state()
        for number in numbers:
            if state.is_terminal():
                state = game.new_initial_state()
            while state.is_chance_node():
                outcomes, weights = zip(*state.chance_outcomes(), strict=True)
                state.apply_action(chance.choices(outcomes, weights)[0])
            if state.is_simultaneous_node():
                several = (state.legal_actions(player) for player in players)
                state.apply_actions([legal[int(number * len(legal))] if legal else 0 for legal in several])
            else:
                legal = state.legal_actions()
                state.apply_action(legal[int(number * len(legal))])
            state.returns()
            for player in players if not state.is_chance_node() else ():
                if kind.provides_observation_tensor:
                    state.observation_tensor(player)
                if kind.provides_information_state_tensor:
                    state.information_state_tensor(player)

    return run, lambda: None
