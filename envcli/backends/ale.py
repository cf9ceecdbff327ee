"""Atari games, straight from the Arcade Learning Environment (ALE)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
import torch

from envcli.backends.ale_console import Console, Reader
from envcli.backends.ale_screen import Pooled, Recoloured, cached
from envcli.backends.atari_frames import FRAME_SKIP, atari_seconds
from envcli.backends.backend import Backend, ByName
from envcli.errors import ConfigError
from envcli.gym.atari import game_names, rom_of
from envcli.keys import Key
from envcli.memory.buffer import Array, Recolour, RolloutBuffer
from envcli.rows.done_family import EndRows, done_family
from envcli.rows.note import HALT, ROW
from envcli.specs import Bounded, Categorical, Composite, OneHot, TensorSpec, Unbounded

__all__ = ["ALEEnv"]

_OBS_TYPES = ("rgb", "grayscale", "ram")
_PIXELS = ("pixels",)

Shown = list[tuple[Reader, Array]]
"""What fills a row, and the rows ``[time, *value]`` it fills."""


class ALEEnv(Backend):
    """An Atari game by its name: ``ALEEnv("Pong")``.

    The defaults are those of gymnasium's ``ALE/<name>-v5``, and with them (or any other settings that both have) the
    same seed and actions give the same frames, rewards and ends, bit for bit. The screen is written into the rollout's
    own memory; there is no wrapper in between.

    ``pixels`` is ``[height, width, 3]`` uint8, for gray frames ``[height, width, 1]``, so that image transforms find a
    channel; most games are 210 by 160. The RAM is ``observation``, ``[128]`` uint8. The reward is ``[1]`` float32, the
    sum over the frames of the step. ``terminated`` is the end of a game, ``truncated`` that of its time.

    Args:
        game: ``"Pong"``, ``"pong"`` or ``"ALE/Pong-v5"``; ``envcli list query=pong`` finds it.
        frame_skip: frames that an action is held; None: 4, as in ``-v5``.
        max_pool: show the larger value of each pixel of the last two frames: some games draw their sprites in every
            other frame only (Mnih et al., Nature 2015). Needs a ``frame_skip`` of at least 2.
        repeat_action_probability: how likely each frame keeps the action of the frame before, whatever is asked for
            ("sticky actions", Machado et al., 2018).
        full_action_space: all 18 actions, and not those alone that do something in this game.
        difficulty, mode: the console's switches; None: as the game comes. A message lists what a game has.
        noop_max: begin a game with 1 to so many frames of no-op, drawn from the seed; 0: with none.
        obs_type: ``"rgb"``, ``"grayscale"`` (ALE's own luminance) or ``"ram"``.
        episodic_life: a lost life is ``terminated``, in the frame it is lost. The game goes on: the reset that follows
            begins with the next life, and only after the end of the game, or a seed, with a new game.
        lives: show the lives that are left as ``lives``, ``[1]`` int64. Games without lives show 0.
        max_num_frames_per_episode: a game is truncated after so many frames, skipped ones included; None: never.
        categorical_action_encoding: actions as numbers and not as one-hot vectors.
        from_pixels: with ``obs_type="ram"``, show the RGB frame too; otherwise frames are shown anyway.
        pixels_only: with ``from_pixels``, leave the RAM out.
        device: see :class:`~envcli.Env`.

    Raises:
        UnknownName: there is no such game; says the nearest.
        ConfigError: an option is out of its range, two do not fit, or the game has no such difficulty or mode.
        MissingDependency: ale-py is not installed.
    """

    library: ClassVar[str] = "ale_py"
    from_name = ByName()

    def __init__(
        self,
        game: str,
        *,
        frame_skip: int | None = None,
        max_pool: bool = False,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        difficulty: int | None = None,
        mode: int | None = None,
        noop_max: int = 0,
        obs_type: str = "rgb",
        episodic_life: bool = False,
        lives: bool = False,
        max_num_frames_per_episode: int | None = 108_000,
        categorical_action_encoding: bool = False,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(None, frame_skip=frame_skip, device=device)
        self.game = rom_of(game)
        self.obs_type = obs_type
        self.from_pixels = from_pixels or obs_type != "ram"
        self.pixels_only = pixels_only
        self._max_pool = max_pool
        _require("obs_type", obs_type, f"one of {', '.join(_OBS_TYPES)}", obs_type in _OBS_TYPES)
        _require("repeat_action_probability", repeat_action_probability, "0 to 1", 0 <= repeat_action_probability <= 1)
        _require("noop_max", noop_max, "a whole number of at least 0", noop_max >= 0)
        limit = max_num_frames_per_episode
        fits = limit is None or 1 <= limit < 2**31
        _require("max_num_frames_per_episode", limit, "at least 1 and below 2**31, or null for none", fits)
        if max_pool:
            _require("max_pool", max_pool, "false where no frame is shown: the RAM has none", self.from_pixels)
            _require("frame_skip", frame_skip, "at least 2 with max_pool, which takes two frames", frame_skip != 1)
        self._console = Console(
            self.game,
            frame_skip=frame_skip or FRAME_SKIP,
            max_pool=max_pool,
            noop_max=noop_max,
            stop_at_life_loss=episodic_life,
            repeat_action_probability=repeat_action_probability,
            difficulty=difficulty,
            mode=mode,
            max_num_frames=limit,
        )
        self._plug_in()
        self._recolours = {_PIXELS} if self.from_pixels and obs_type != "grayscale" else frozenset()
        self._legal = self._env.getLegalActionSet() if full_action_space else self._env.getMinimalActionSet()
        self._codes = np.array([action.value for action in self._legal])
        self._make_specs(lives, categorical_action_encoding)

    def _plug_in(self) -> None:
        self._env = self._console.ale
        gray = self.obs_type == "grayscale"
        self._read_screen: Reader = self._env.getScreenGrayscale if gray else self._env.getScreenRGB
        self._recoloured: Recoloured | None = None

    def __getstate__(self) -> dict[str, Any]:
        plugged_in = ("_env", "_read_screen", "_recoloured")
        return {name: value for name, value in super().__getstate__().items() if name not in plugged_in}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if not self.is_closed:
            self._plug_in()

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """The games for one player, sorted."""
        return game_names()

    @property
    def ale(self) -> Any:  # Any: whatever version of ale_py.ALEInterface is installed
        """The ``ALEInterface``, as gymnasium's env has it. Acting on it moves this env."""
        return self._env

    @property
    def unwrapped(self) -> ALEEnv:
        """Itself, so that what is written for gymnasium's env, such as ``env.unwrapped.ale.lives()``, finds it here."""
        return self

    @property
    def game_goes_on(self) -> bool:
        """Did the last reset begin with the next life of the same game (``episodic_life``), and not with a new one?"""
        return self._console.goes_on

    def get_action_meanings(self) -> list[str]:
        """What each action is called, in the order of the action spec; by gymnasium's name.

        >>> with ALEEnv("Pong") as env:
        ...     env.get_action_meanings()
        ['NOOP', 'FIRE', 'RIGHT', 'LEFT', 'RIGHTFIRE', 'LEFTFIRE']
        """
        return [action.name for action in self._legal]

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` frames of an Atari."""
        return atari_seconds(self.frame_skip)

    @property
    def frames_per_step(self) -> int:
        """``frame_skip``; 4 of None."""
        return self.frame_skip or FRAME_SKIP

    def _native_name(self) -> str:
        return self.game

    def _native_calls(self) -> Iterator[tuple[Any, str, str]]:
        console = self._console
        yield from ((console, "hold", "steps"), (console, "over", "steps"), (console, "begin", "resets"))
        yield from ((self, "_read_screen", "pixels"), (self, "_read_recoloured", "pixels"))
        yield console, "look_before", "pixels"

    def _make_specs(self, lives: bool, categorical: bool) -> None:
        device, one = self.device, torch.Size([1])
        height, width = self._env.getScreenDims()
        shown: dict[str, TensorSpec] = {}
        if self.from_pixels:
            shape = torch.Size([height, width, 1 if self.obs_type == "grayscale" else 3])
            shown["pixels"] = Bounded(0, 255, shape, device=device, dtype=torch.uint8)
        if self.obs_type == "ram" and not (self.from_pixels and self.pixels_only):
            size = torch.Size([self._env.getRAMSize()])
            shown["observation"] = Bounded(0, 255, size, device=device, dtype=torch.uint8)
        if lives:  # the console counts them in bytes
            shown["lives"] = Bounded(0, 255, one, device=device, dtype=torch.int64)
        self.observation_spec = Composite(shown, device=device)
        n = len(self._codes)
        self.action_spec = Categorical(n, device=device) if categorical else OneHot(n, device=device, dtype=torch.int64)
        self.reward_spec = Unbounded(one, device=device)
        self.full_done_spec = done_family(device=device)

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._read = self._reader(buffer.recoloured.get(_PIXELS))
        self._first = self._shown(buffer, ())
        self._following = self._shown(buffer, ("next",))
        self._action = buffer.array(("action",))
        self._reward = buffer.flags(("next", "reward"))
        self._flags = EndRows(buffer)

    def _shown(self, buffer: RolloutBuffer, root: Key) -> Shown:
        readers: dict[str, Callable[[Array], tuple[Reader, Array]]] = {
            "pixels": self._frames,
            "observation": lambda rows: (self._env.getRAM, rows),
            "lives": lambda rows: (self._read_lives, rows),
        }
        return [readers[key](buffer.array((*root, key))) for key in map(str, self.observation_keys)]

    def _reader(self, recolour: Recolour | None) -> Reader:
        """What fills a row of pixels."""
        if recolour is not None:
            if self._recoloured is None or self._recoloured.recolour is not recolour:
                self._recoloured = Recoloured(self._console, recolour)
            self._console.viewer = self._recoloured.look_before
            return self._read_recoloured
        if not self._max_pool:
            return self._read_screen
        height, width = self._env.getScreenDims()
        gray = self.obs_type == "grayscale"
        pooled = Pooled(self._console, self._read_screen, (height, width) if gray else (height, width, 3))
        self._console.viewer = pooled.look_before
        return pooled.read

    def _read_recoloured(self, row: Array) -> None:
        assert self._recoloured is not None  # it is bound
        self._recoloured.read(row)

    def _frames(self, rows: Array) -> tuple[Reader, Array]:
        if self.obs_type == "grayscale":
            rows = rows[..., 0]  # ALE writes gray frames without a channel
        is_one_row = rows.strides[0] == 0  # which stands for all, and stays in the processor's cache by itself
        return (self._read if is_one_row else cached(self._read, rows.shape[1:])), rows

    def _read_lives(self, row: Array) -> None:
        row[0] = self._env.lives()

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._refuse_options("ALE")
        self._console.begin()
        for read, rows in self._first:
            read(rows[t])

    def _step_row(self, t: int) -> None:
        self._step_rows(t, t + 1)

    def _step_rows(self, start: int, stop: int) -> int:
        hold, over = self._console.hold, self._console.over
        rewards, following, note, t = self._reward, self._following, self._row_note, start
        try:
            for t, action in enumerate(self._native_actions(start, stop), start):
                note[ROW] = t
                rewards[t] = hold(action)
                for read, rows in following:
                    read(rows[t])
                if over():
                    self._mark_end(t)
                    return t + 1
                if note[HALT]:
                    return t + 1
        except BaseException:
            self._stopped_in(t)
            raise
        return stop

    def _native_actions(self, start: int, stop: int) -> list[int]:
        chosen = self._action[start:stop]
        numbers = chosen if chosen.ndim == 1 else chosen.argmax(-1)
        codes: list[int] = self._codes[numbers].tolist()
        return codes

    def _mark_end(self, t: int) -> None:
        over = self._console.life_lost or self._env.game_over(with_truncation=False)
        self._flags.mark(t, over, self._env.game_truncated())

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self._console.seed(seed)

    def _close(self) -> None:
        self._first, self._following = [], []
        del self._console, self._env, self._read_screen, self._recoloured


def _require(name: str, found: object, expected: str, holds: bool) -> None:
    if not holds:
        raise ConfigError(f"{name}: expected {expected}, found {found!r}")
