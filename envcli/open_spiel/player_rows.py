"""The players of a game, as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.open_spiel.game_play import GamePlay

__all__ = ["Seats", "SeenRows", "readers"]

Seats = Mapping[str, Sequence[int]]
"""Group -> its players, in order."""


class SeenRows:
    """What players see, at the root or under ``next``: ``current_player``, and in each group tensors and choices.

    Args:
        play: of the game.
        seats: who is where.
        sights: entry -> what writes it, see :func:`~envcli.open_spiel.library.observation_of`, and its shape.
        buffer: the rows.
        prefix: ``()`` or ``("next",)``.
    """

    def __init__(
        self,
        play: GamePlay,
        seats: Seats,
        sights: Mapping[str, tuple[Any, tuple[int, ...]]],
        buffer: RolloutBuffer,
        prefix: Key,
    ) -> None:
        self._play = play
        self._turn = buffer.array((*prefix, "current_player")).data
        self._seen = [
            (sight.set_from, sight.tensor.reshape(shape), player, buffer.array((*prefix, group, entry))[:, i])
            for entry, (sight, shape) in sights.items()
            for group, players in seats.items()
            for i, player in enumerate(players)
        ]
        masks = {group: buffer.array((*prefix, group, "action_mask")) for group in seats}
        self._masks = list(masks.values())
        self._choices = {player: masks[group][:, i] for group, ps in seats.items() for i, player in enumerate(ps)}

    def write(self, t: int) -> None:
        """Row ``t``. Who does not act has all choices."""
        play = self._play
        state = play.state
        self._turn[t] = play.player
        for set_from, tensor, player, rows in self._seen:
            set_from(state, player)
            rows[t] = tensor
        for mask in self._masks:
            mask[t] = True
        for player, legal in play.choices():
            row = self._choices[player][t]
            row[:] = False
            row[legal] = True


def readers(seats: Seats, buffer: RolloutBuffer, one_hot: bool) -> list[Callable[[int], int]]:
    """Of each player ``read(t)``, its action of row ``t`` as a number."""
    found: dict[int, Callable[[int], int]] = {}
    for group, players in seats.items():
        actions = buffer.array((group, "action"))
        for i, player in enumerate(players):
            own = actions[:, i]
            found[player] = _place(own) if one_hot else own.data.__getitem__
    return [found[player] for player in sorted(found)]


def _place(rows: Array) -> Callable[[int], int]:
    return lambda t: int(rows[t].argmax())
