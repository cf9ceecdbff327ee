"""OpenSpiel: board and card games, with all players in one env."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import torch

from envcli.agent_groups import MarlGroupMapType, group_map_of
from envcli.backends.backend import AvailableEnvs, Backend, ByName, single
from envcli.errors import ConfigError, EnvError
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.open_spiel import games
from envcli.open_spiel.game_play import TERMINAL, GamePlay
from envcli.open_spiel.library import observation_of, open_spiel_library
from envcli.open_spiel.player_rows import SeenRows, readers
from envcli.rows.done_family import done_family
from envcli.rows.roles import Roles
from envcli.rows.texts import TextRows
from envcli.specs import Bounded, Categorical, Composite, OneHot, TensorSpec, Text, Unbounded
from envcli.vocabulary.schema import at_least

__all__ = ["OpenSpielEnv", "OpenSpielWrapper"]

_STATE_BYTES = (256, 4096)  # at least and at most, unless ``state_length`` says it


class OpenSpielWrapper(Backend):
    """A game of OpenSpiel, given by one of its states, as TorchRL's class of this name has it.

    The players ``player_0``, ``player_1`` ... of a group are stacked in its order, in a nested TensorDict
    ``[players]``: ``(group, "observation")`` and ``(group, "information_state")`` float32, those that the game has;
    ``(group, "action_mask")`` ``[players, n]`` bool, the legal actions; ``(group, "action")`` and ``(group, "reward")``
    ``[players, 1]`` float32. At the root are ``"current_player"`` ``[]`` int32, who acts next (-2: all do, -4: the game
    is over), and the flags ``done`` and ``terminated`` ``[1]``.

    A step takes the action of the player whose turn it is, and looks at no other; where all act at once, it takes that
    of each who has a choice. Who does not act has all choices in the mask. Random actions are drawn from what is legal,
    and other actions are refused. Steps after the end of a game change and pay nothing.

    What differs from TorchRL 0.14: games with chance can be played; chance moves within the step or reset before it,
    from a generator that ``set_seed`` seeds. The mask is an entry, and not in the spec of the action. The reward is
    what the step pays; theirs is the sum since the beginning, in each step. The state is a text of bytes.

    Args:
        env: a ``pyspiel.State``; each reset begins its game anew.
        group_map: groups and their players, a :class:`~envcli.MarlGroupMapType` or its name; None: one group each.
        categorical_actions: actions as numbers and not as one-hot vectors.
        return_state: show ``"state"``, what ``pyspiel.State.serialize`` gives, as a :class:`~envcli.Text`. A reset that
            is given a TensorDict with it goes on from there; if that game is over, or the TensorDict has ``"_reset"``,
            it begins a new one.
        state_length: room for that text, in bytes; None: for the longest game, between 256 and 4,096.
        frame_skip: None or 1: players take turns, so none can repeat its action.
        from_pixels: is refused: OpenSpiel draws no frames.
        device: see :class:`~envcli.Env`.
        batch_size: empty, or None.
        allow_done_after_reset, spec_locked: see :class:`~envcli.backends.backend.Backend`.

    Attributes:
        parallel: do players act at once?
        has_observation, has_information_state: does the game have them?
        agent_names: ``player_0`` and so on.
        agent_names_to_indices_map: their numbers.

    Raises:
        ConfigError: a mean-field game; ``frame_skip``, ``from_pixels`` or a batch; or no state of OpenSpiel's.
        MissingDependency: OpenSpiel is not installed.
    """

    library: ClassVar[str] = "open_spiel"
    without_effect: ClassVar = ("allow_done_after_reset", "spec_locked")
    of_python: ClassVar = ("batch_size", "parameters")
    available_envs = AvailableEnvs(lambda cls: cls.available_names())

    def __init__(
        self,
        env: Any,  # Any: of a library that is there for some only
        *,
        group_map: MarlGroupMapType | dict[str, list[str]] | str | None = "all_in_one_group",
        categorical_actions: bool = False,
        return_state: bool = False,
        state_length: int | None = None,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        device: torch.device | str | None = None,
        batch_size: object = None,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
    ) -> None:
        if not isinstance(env, open_spiel_library().State):
            kind = f"{type(env).__module__}.{type(env).__name__}"
            raise ConfigError(
                f"{type(self).__name__}: expected a pyspiel.State, found {kind}. "
                "Type: OpenSpielWrapper(game.new_initial_state()), or by its name OpenSpielEnv('tic_tac_toe')"
            )
        single(type(self).__name__, batch_size)
        super().__init__(env, frame_skip=frame_skip, device=device)
        if (frame_skip or 1) > 1:
            raise ConfigError(
                "frame_skip: players of a game take turns, so none can repeat its action. Type: frame_skip=null"
            )
        if from_pixels:
            raise ConfigError("from_pixels: OpenSpiel draws no frames. Type: from_pixels=false")
        at_least("state_length", state_length, 1)
        self.is_spec_locked = spec_locked
        self.categorical_actions, self.return_state = categorical_actions, return_state
        game = env.get_game()
        games.require_playable(game)
        self._play = GamePlay(game)
        self._env = self._play.state
        kind = game.get_type()
        self.parallel = kind.dynamics == open_spiel_library().GameType.Dynamics.SIMULTANEOUS
        self.has_observation = bool(kind.provides_observation_tensor)
        self.has_information_state = bool(kind.provides_information_state_tensor)
        self.agent_names = [f"player_{i}" for i in range(game.num_players())]
        self.agent_names_to_indices_map = {name: i for i, name in enumerate(self.agent_names)}
        each = MarlGroupMapType.ONE_GROUP_PER_AGENT
        self.group_map = group_map_of(each if group_map is None else group_map, self.agent_names)
        self._seats = {
            group: [self.agent_names_to_indices_map[name] for name in names] for group, names in self.group_map.items()
        }
        self._state_length = state_length or _room(game)
        self._sights = dict(self._observed(game))
        self._make_specs(game.num_distinct_actions())

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """Every game of OpenSpiel that can be played here."""
        return games.names()

    @classmethod
    def facts(cls, name: str) -> str:
        """Its players, whether they act at once, chance, and the options that it needs."""
        return games.facts(name)

    def _observed(self, game: Any) -> Iterator[tuple[str, tuple[Any, tuple[int, ...]]]]:
        """Entry -> what writes it, and its shape."""
        if self.has_observation:
            yield "observation", (observation_of(game, False), tuple(game.observation_tensor_shape()))
        if self.has_information_state:
            yield "information_state", (observation_of(game, True), tuple(game.information_state_tensor_shape()))

    def _make_specs(self, n: int) -> None:
        device = self.device
        observation: dict[str, TensorSpec] = {}
        action: dict[str, TensorSpec] = {}
        reward: dict[str, TensorSpec] = {}
        for group, players in self._seats.items():
            size = torch.Size([len(players)])
            seen: dict[str, TensorSpec] = {
                entry: Unbounded([*size, *shape], device=device) for entry, (_, shape) in self._sights.items()
            }
            seen["action_mask"] = Categorical(2, shape=[*size, n], dtype=torch.bool, device=device)
            choice = Categorical(n, size, device) if self.categorical_actions else OneHot(n, [*size, n], device)
            observation[group] = Composite(seen, shape=size, device=device)
            action[group] = Composite({"action": choice}, shape=size, device=device)
            reward[group] = Composite({"reward": Unbounded([*size, 1], device=device)}, shape=size, device=device)
        if self.return_state:
            observation["state"] = Text(self._state_length, device=device)
        last = len(self.agent_names) - 1
        observation["current_player"] = Bounded(TERMINAL, last, (), device, torch.int32)
        self.observation_spec = Composite(observation, device=device)
        self.action_spec = Composite(action, device=device)
        self.reward_spec = Composite(reward, device=device)
        self.full_done_spec = done_family(device=device).select("done", "terminated")
        self._row_layout()  # a group may have a name of ours: say so now

    def _roles(self) -> Roles:
        masks: dict[Key, Key] = {(group, "action"): (group, "action_mask") for group in self._seats}
        return replace(super()._roles(), reads=set(masks.values()), masks=masks, reset_reads_input=self.return_state)

    def _native_name(self) -> str:
        return str(self._play.game)

    def _native_calls(self) -> Iterator[tuple[Any, str, str]]:
        yield self._play, "move", "steps"
        yield self._play, "begin", "resets"

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._first, self._following = (
            SeenRows(self._play, self._seats, self._sights, buffer, prefix) for prefix in ((), ("next",))
        )
        self._acts = readers(self._seats, buffer, one_hot=not self.categorical_actions)
        self._paid: list[tuple[int, Any]] = [  # Any: a memoryview of floats
            (player, buffer.array(("next", group, "reward"))[:, i, 0].data)
            for group, players in self._seats.items()
            for i, player in enumerate(players)
        ]
        self._flags = [buffer.flags(("next", name)) for name in ("done", "terminated")]
        self._states = [TextRows(buffer.array((*at, "state"))) for at in ((), ("next",)) if self.return_state]

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._refuse_options("OpenSpiel")
        self._play.begin(self._given_state())
        self._env = self._play.state
        self._first.write(t)
        if self._states:
            self._write_state(0, t)

    def _step_row(self, t: int) -> None:
        play = self._play
        play.move(self._acts, t)
        earned = play.pay()
        for player, rows in self._paid:
            rows[t] = earned[player]
        self._following.write(t)
        if play.player == TERMINAL:
            for flag in self._flags:
                flag[t] = True
        if self._states:
            self._write_state(1, t)

    def _write_state(self, side: int, t: int) -> None:
        try:
            self._states[side][t] = self._env.serialize()
        except ValueError as error:
            raise EnvError(
                f"state: {error}. Make more room: backend.state_length=..., in Python state_length=..."
            ) from None

    def _given_state(self) -> str | None:
        """The state that a reset goes on from; None: none."""
        given = self._reset_request.given
        if not self.return_state or given is None or "state" not in given.keys() or "_reset" in given.keys():  # noqa: SIM118
            return None
        text: str = self.observation_spec["state"].to_numpy(given["state"])
        return text

    def _set_seed(self, seed: int | None) -> None:
        self._play.seed(seed)

    def _close(self) -> None:
        pass  # there is nothing to let go of


class OpenSpielEnv(OpenSpielWrapper):
    """A game of OpenSpiel by its name: ``OpenSpielEnv("connect_four")``.

    Args:
        game_string: its name, which ``envcli list open_spiel`` shows; with parameters ``"hex(board_size=5)"``. It is an
            attribute, too.
        parameters: of the game, as TorchRL takes them.
        group_map, categorical_actions, return_state, state_length, frame_skip, from_pixels: see
            :class:`OpenSpielWrapper`.
        device, batch_size, allow_done_after_reset, spec_locked: see :class:`OpenSpielWrapper`.
        options: parameters of the game, too: ``board_size=5``. They come first.

    Raises:
        UnknownName: there is no such game; says the nearest.
        ConfigError: the game does not take a parameter, or that value of it, or needs one; or as of
            :class:`OpenSpielWrapper`.
        MissingDependency: OpenSpiel is not installed.
    """

    def __init__(
        self,
        game_string: str,
        *,
        group_map: MarlGroupMapType | dict[str, list[str]] | str | None = "all_in_one_group",
        categorical_actions: bool = False,
        return_state: bool = False,
        state_length: int | None = None,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        device: torch.device | str | None = None,
        batch_size: object = None,
        allow_done_after_reset: bool = False,
        spec_locked: bool = True,
        parameters: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        game = games.load(game_string, {**(parameters or {}), **options})
        super().__init__(
            game.new_initial_state(),
            group_map=group_map,
            categorical_actions=categorical_actions,
            return_state=return_state,
            state_length=state_length,
            frame_skip=frame_skip,
            from_pixels=from_pixels,
            device=device,
            batch_size=batch_size,
            spec_locked=spec_locked,
        )
        self.game_string = game_string

    from_name = ByName()


def _room(game: Any) -> int:
    """Bytes for a state, which most games write as what was done, a number a line."""
    longest = len(str(max(game.num_distinct_actions(), game.max_chance_outcomes()))) + 1
    least, most = _STATE_BYTES
    whole = longest * int(game.max_game_length() + game.max_chance_nodes_in_history())
    return min(max(whole, least), most)
