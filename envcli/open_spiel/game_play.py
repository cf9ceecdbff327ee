"""A game that is being played."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from operator import sub
from typing import Any

from envcli.errors import ConfigError, described
from envcli.open_spiel import games

__all__ = ["CHANCE", "SIMULTANEOUS", "TERMINAL", "GamePlay"]

CHANCE, SIMULTANEOUS, TERMINAL = -1, -2, -4
"""Who is to act where it is no player, as in ``pyspiel.PlayerId``."""

State = Any  # a pyspiel.State
Outcomes = Sequence[tuple[int, float]]


class GamePlay:
    """Begins games and moves in them. Chance moves within the same call, from a generator of this object alone.

    Attributes:
        state: ``pyspiel.State`` of now, never at a chance node.
        player: who acts next: a player, ``SIMULTANEOUS`` or ``TERMINAL``.

    Args:
        game: a ``pyspiel.Game``.
    """

    def __init__(self, game: Any) -> None:
        self.game = game
        self._chance = random.Random()
        self.begin()

    def seed(self, seed: int | None) -> None:
        """All that chance does from the next :meth:`begin` on follows from ``seed``; None: from the machine's."""
        self._chance = random.Random(seed)
        if seed is not None:
            self.game = games.reseeded(self.game, seed)

    def begin(self, given: str | None = None) -> None:
        """A new game; or, of one that ``state.serialize()`` gave, where that was. One that is over begins anew.

        Raises ConfigError if that is no state of this game.
        """
        state = self.game.new_initial_state() if given is None else self._read(given)
        if state.is_terminal():
            state = self.game.new_initial_state()
        self.state = state
        self._settle()
        self._paid: Sequence[float] = state.returns()

    def move(self, acts: Sequence[Callable[[int], int]], t: int) -> None:
        """Where it is the turn of one, only the action of that one is looked at; in a game that is over, none.

        Args:
            acts: of each player ``act(t)``, its action of row ``t``.
            t: the row.
        """
        player, state = self.player, self.state
        if player >= 0:
            state.apply_action(acts[player](t))
        elif player == SIMULTANEOUS:
            state.apply_actions([act(t) if state.legal_actions(p) else 0 for p, act in enumerate(acts)])
        else:
            return
        self._settle()

    def pay(self) -> Sequence[float]:
        """What each player has earned since the last call, or since the beginning.

        That is how the returns have grown: ``state.rewards()`` forgets what is paid before chance moves, or says it
        twice.
        """
        before, self._paid = self._paid, self.state.returns()
        return list(map(sub, self._paid, before))

    def choices(self) -> list[tuple[int, list[int]]]:
        """Those who act next, and what each may do."""
        player, state = self.player, self.state
        if player >= 0:
            return [(player, state.legal_actions())]
        if player == SIMULTANEOUS:
            several = ((p, state.legal_actions(p)) for p in range(state.num_players()))
            return [(p, legal) for p, legal in several if legal]
        return []

    def _settle(self) -> None:
        state = self.state
        player = state.current_player()
        while player == CHANCE:
            state.apply_action(_drawn(state.chance_outcomes(), self._chance.random()))
            player = state.current_player()
        self.player = player

    def _read(self, text: str) -> State:
        try:
            return self.game.deserialize_state(text)
        except Exception as error:  # SpielError, ValueError: whatever a game makes of it
            name = self.game.get_type().short_name
            raise ConfigError(
                f"reset: 'state' is no state of {name}: {described(error)}. Take it from a reset or step of this game"
            ) from error


def _drawn(outcomes: Outcomes, chance: float) -> int:
    """The outcome that ``chance``, a number of [0, 1), falls on.

    >>> _drawn([(3, 0.25), (5, 0.75)], 0.2), _drawn([(3, 0.25), (5, 0.75)], 0.9)
    (3, 5)
    """
    for outcome, probability in outcomes:
        chance -= probability
        if chance < 0:
            return outcome
    return outcomes[-1][0]  # they add up to a little less than one
