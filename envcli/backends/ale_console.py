"""The Atari 2600 and its cartridges, as the Arcade Learning Environment (ALE) emulates them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from envcli.errors import ConfigError, EnvError, MissingDependency
from envcli.memory.buffer import Array

try:
    from ale_py import ALEInterface, LoggerMode, roms
except ModuleNotFoundError as missing:
    raise MissingDependency("ale-py", "backend=ale", "atari") from missing

__all__ = ["Console", "Reader", "screen_size_of"]

Reader = Callable[[Array], None]
"""Fills one row, in place, with what the console shows now."""

_NOOP = 0  # ALE's own number; not every game has it among its minimal actions, but every game takes it


def screen_size_of(rom: str) -> tuple[int, int]:
    """Height and width of a game's frames, by ALE's own name of it.

    >>> screen_size_of("pong"), screen_size_of("air_raid")
    ((210, 160), (250, 160))
    """
    ALEInterface.setLoggerMode(LoggerMode.Error)  # for the whole process; otherwise a banner for each game
    ale = ALEInterface()
    ale.loadROM(_rom_path(rom))
    height, width = ale.getScreenDims()
    return height, width


class Console:
    """One game in one emulator: seeds, new games, and actions held down for some frames.

    An action is held by a loop over ``act``, as gymnasium's env has it. ALE's own repetition is no faster, and lasts
    through the frames in which some games are begun, too: Berzerk and DoubleDunk then begin in another state. Where
    something must happen between two frames, the loop ends with the frame that ends the game (or loses a life), as
    that of ``gymnasium.wrappers.AtariPreprocessing`` does.

    A copy or a pickle goes on from the same moment, to the bit; between two lives there is none (EnvError).

    Args:
        rom: ALE's own name of the game, see :func:`rom_of`.
        frame_skip: frames that an action is held.
        max_pool: call ``viewer`` when the second to last frame of a step is on the screen.
        noop_max: hold the no-op for 1 to so many frames when a game begins; 0: not at all.
        stop_at_life_loss: end the repetition, and be over, when a life is lost and another is left.
        repeat_action_probability: how likely a frame keeps the action of the frame before ("sticky actions").
        difficulty, mode: the console's switches; None: as the game comes.
        max_num_frames: a game is truncated after so many frames, skipped ones included; None: never.

    Attributes:
        ale: the emulator.
        life_lost: did the last step lose a life, and another is left?
        goes_on: did the last :meth:`begin` begin with the next life of the same game?
        is_pooling: was ``viewer`` called in the last step?
        viewer: does nothing, until somebody puts another function there.

    Raises:
        ConfigError: the game has no such difficulty or mode, or its ROM cannot be read.
    """

    def __init__(
        self,
        rom: str,
        *,
        frame_skip: int,
        max_pool: bool,
        noop_max: int,
        stop_at_life_loss: bool,
        repeat_action_probability: float,
        difficulty: int | None,
        mode: int | None,
        max_num_frames: int | None,
    ) -> None:
        self._path = _rom_path(rom)
        self._difficulty, self._mode = difficulty, mode
        self._frame_skip, self._max_pool, self._noop_max = frame_skip, max_pool, noop_max
        self._max_num_frames, self._stickiness = max_num_frames or 0, repeat_action_probability
        self._stops_at_life_loss = stop_at_life_loss
        self.life_lost = self.goes_on = self.is_pooling = False
        self._lives = 0
        self._seeds: np.random.SeedSequence | None = None
        self._switch_on()
        self._seed_with(np.random.SeedSequence())
        self._load()

    def _switch_on(self) -> None:
        ALEInterface.setLoggerMode(LoggerMode.Error)  # for the whole process; otherwise a banner for each game
        self.ale = ALEInterface()
        self.ale.setInt("max_num_frames_per_episode", self._max_num_frames)
        self.ale.setFloat("repeat_action_probability", self._stickiness)
        by_frame = self._max_pool or self._noop_max > 0 or self._stops_at_life_loss
        self.hold: Callable[[int], int] = self._hold_by_frame if by_frame else self._hold
        self.over: Callable[[], bool] = self._game_or_life_over if self._stops_at_life_loss else self.ale.game_over
        self.viewer: Callable[[], None] = lambda: None

    def __getstate__(self) -> dict[str, Any]:
        if self.life_lost:  # the next reset shows what is on the screen, which ALE cannot save
            raise EnvError("between two lives an Atari game cannot be copied or pickled. Reset it, or make a step")
        fresh = ("ale", "hold", "over", "viewer")
        kept = {name: value for name, value in self.__dict__.items() if name not in fresh}
        return {**kept, "_machine": self.ale.cloneState(include_rng=True)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        machine = state.pop("_machine")
        self.__dict__.update(state)
        self._switch_on()
        self._load()
        self.ale.restoreState(machine)

    # -- seeds and games ------------------------------------------------------------------------------------------

    def seed(self, seed: int) -> None:
        """Let the next game begin as that of a console just switched on, with ``seed``.

        Raises:
            ConfigError: a negative seed.
        """
        if seed < 0:
            raise ConfigError(f"seed: expected a whole number of at least 0, found {seed}")
        self._seeds = np.random.SeedSequence(seed)

    def begin(self) -> None:
        """Begin an episode: with the next life after one was lost, otherwise (and after a seed) with a new game.

        Games after the first of a seed draw on from where the last one ended.
        """
        self.goes_on = self.life_lost and self._seeds is None
        if not self.goes_on:
            self._new_game()
        self.life_lost = self.is_pooling = False
        self._lives = self.ale.lives()

    def _new_game(self) -> None:
        if self._seeds is not None:
            self._seed_with(self._seeds)
            self._load()  # 90 ms: ALE reads its seed, and clears the console's memory, nowhere else
            self._seeds = None
        self.ale.reset_game()
        if self._noop_max:
            self._wait(int(self._random.integers(1, self._noop_max + 1)))

    def _wait(self, frames: int) -> None:
        for _ in range(frames):
            self.ale.act(_NOOP)
            if self.ale.game_over():
                self.ale.reset_game()

    def _seed_with(self, seeds: np.random.SeedSequence) -> None:
        """As ``ale_py.env.AtariEnv.seed_game``: the first word for Python's draws, the second for ALE's."""
        ours, ales = (int(word) for word in seeds.generate_state(2))
        self._random = np.random.Generator(np.random.PCG64(np.random.SeedSequence(ours)))
        self.ale.setInt("random_seed", ales - 2**32 if ales >= 2**31 else ales)

    def _load(self) -> None:
        ale = self.ale
        ale.loadROM(self._path)
        for name, wanted, known, turn in (
            ("mode", self._mode, ale.getAvailableModes(), ale.setMode),
            ("difficulty", self._difficulty, ale.getAvailableDifficulties(), ale.setDifficulty),
        ):
            if wanted is None:
                continue
            if wanted not in known:
                raise ConfigError(f"{name}: {self._path.stem} has {', '.join(map(str, known))}, found {wanted!r}")
            turn(wanted)

    # -- one step -------------------------------------------------------------------------------------------------

    def _hold(self, action: int) -> int:
        """Hold ``action`` for all frames: once the game is over they change nothing but ALE's random numbers."""
        act, reward = self.ale.act, 0
        for _ in range(self._frame_skip):
            reward += act(action)
        return reward

    def _hold_by_frame(self, action: int) -> int:
        """Hold ``action`` frame by frame. Returns the sum of the rewards."""
        act, over, reward = self.ale.act, self.over, 0
        self.is_pooling = self.life_lost = False
        for left in range(self._frame_skip - 1, -1, -1):
            reward += act(action)
            if over():
                break
            if left == 1 and self._max_pool:
                self.look_before()
                self.is_pooling = True
        return reward

    def _game_or_life_over(self) -> bool:
        """Is the game over, or was a life lost since the episode began, and another is left?

        The life that leaves none is not counted: some games (Qbert) show 0 lives for a few frames before they are over,
        which would make an episode of these frames (as in OpenAI baselines' ``EpisodicLifeEnv``).
        """
        if self.ale.game_over():
            return True
        lives = self.ale.lives()
        self.life_lost = self.life_lost or 0 < lives < self._lives
        self._lives = lives
        return self.life_lost

    def look_before(self) -> None:
        """Called when the second to last frame of a step is on the screen, with ``max_pool``."""
        self.viewer()


def _rom_path(rom: str) -> Path:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # with ALE_ROMS_DIR set it says so, on stdout
            path = roms.get_rom_path(rom)
    except OSError as error:
        cure = "Unset ALE_ROMS_DIR, or install ale-py again"
        raise ConfigError(f"the ROM of {rom} cannot be read: {error}. {cure}") from error
    assert path is not None  # only of a name that is not in its list
    return Path(path)
