"""Atari games on ALE's own vector engine: threads in C++."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box

from envcli.backends.ale_console import screen_size_of
from envcli.backends.atari_bundle import AtariBundle, taken_noops
from envcli.backends.atari_frames import FRAME_SKIP, atari_seconds
from envcli.backends.vector_backend import VectorBackend, thread_count
from envcli.backends.vector_paces import Answer
from envcli.errors import ConfigError, MissingDependency
from envcli.gym.atari import game_names, rom_of
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.pixels import frame_size
from envcli.specs import Bounded, Composite
from envcli.vocabulary.schema import at_least

try:
    from ale_py.vector_env import AtariVectorEnv
except ModuleNotFoundError as missing:
    raise MissingDependency("ale-py", "backend=ale_vector", "atari") from missing

__all__ = ["ALEVectorEnv"]

_FOREVER = 2**31 - 1  # frames
_SEEDS = 2**31  # the engine's are int32, and negative ones mean none


class ALEVectorEnv(VectorBackend):
    """``num_envs`` games of one kind, stepped by threads in C++: ``ALEVectorEnv("Pong", num_envs=16)``.

    Keys, specs and defaults are those of :class:`~envcli.backends.ale.ALEEnv`, and where nothing is drawn at random
    (``repeat_action_probability=0``) the same actions give its frames and rewards bit for bit, with these exceptions:
    an episode that ends within a step shows the frame of the step before as its last; a life lost with
    ``episodic_life`` is followed by a new game; and ``max_num_frames_per_episode`` does not count what a game plays by
    itself at a reset (8 frames of AirRaid, 134 of NameThisGame, none of most), so that such a game is truncated later.
    There is no RAM to be seen, and no mode or difficulty to be set.

    From YAML, ``transforms=atari`` is done by the engine (``native_transforms: true``): gray by ALE's palette, smaller
    by the mean of each area, black frames in the stack before the first one, and no-ops counted in frames and not in
    steps. Rewards and ends are the same; pixels of Breakout differ by 1.4 of 255 in the mean, at edges by 148.

    Args:
        name: ``"Pong"``, ``"pong"`` or ``"ALE/Pong-v5"``.
        num_envs: how many; None: one.
        frame_skip: frames that an action is held; None: 4.
        screen_size: ``[height, width]`` of a frame; None: as the game draws it.
        stack: show the last so many frames as ``[stack, height, width]``, black ones before the first; None: one,
            ``[height, width, channels]``. Gray frames only.
        reward_clipping: keep rewards within -1 and 1.
        noop_max: begin a game with up to so many frames of no-op.
        obs_type: ``"rgb"`` or ``"grayscale"`` (ALE's own luminance).
        num_threads: of the engine; None: one for each core, at most one for each env.
        max_pool, repeat_action_probability, full_action_space, episodic_life, lives: see
            :class:`~envcli.backends.ale.ALEEnv`.
        max_num_frames_per_episode, categorical_action_encoding: see there.
        device: see :class:`~envcli.Env`.

    Raises:
        UnknownName: there is no such game; says the nearest.
        ConfigError: an option is out of its range, or two do not fit.
        MissingDependency: ale-py is not installed.
    """

    library: ClassVar[str] = "ale_py"

    def __init__(
        self,
        name: str,
        num_envs: int | None = None,
        *,
        frame_skip: int | None = None,
        screen_size: int | Sequence[int] | None = None,
        stack: int | None = None,
        max_pool: bool = False,
        reward_clipping: bool = False,
        repeat_action_probability: float = 0.25,
        full_action_space: bool = False,
        noop_max: int = 0,
        obs_type: str = "rgb",
        episodic_life: bool = False,
        lives: bool = False,
        max_num_frames_per_episode: int | None = 108_000,
        categorical_action_encoding: bool = False,
        num_threads: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(None, num_envs, frame_skip=frame_skip, device=device)
        self._repeat = 1  # the engine holds actions
        self.game, self.from_pixels = rom_of(name), True
        if obs_type not in ("rgb", "grayscale"):
            raise ConfigError(f"obs_type: expected rgb or grayscale, found {obs_type!r}. For ram: backend=ale")
        if stack is not None and (stack < 1 or obs_type == "rgb"):
            raise ConfigError(f"stack: found {stack}, expected at least 1, with obs_type=grayscale")
        if not 0 <= repeat_action_probability <= 1:
            raise ConfigError(f"repeat_action_probability: expected 0 to 1, found {repeat_action_probability}")
        at_least("noop_max", noop_max, 0)
        at_least("max_num_frames_per_episode", max_num_frames_per_episode, 1, _FOREVER)
        if max_pool and frame_skip == 1:
            raise ConfigError("frame_skip: expected at least 2 with max_pool, which uses two frames, found 1")
        height, width = screen_size_of(self.game) if screen_size is None else frame_size(screen_size)
        self._env = AtariVectorEnv(
            self.game,
            self.num_envs,
            num_threads=thread_count(num_threads, self.num_envs),
            max_num_frames_per_episode=max_num_frames_per_episode or _FOREVER,
            repeat_action_probability=repeat_action_probability,
            full_action_space=full_action_space,
            img_height=height,
            img_width=width,
            grayscale=obs_type == "grayscale",
            stack_num=stack or 1,
            frameskip=frame_skip or FRAME_SKIP,
            maxpool=max_pool,
            noop_max=noop_max,
            episodic_life=episodic_life,
            reward_clipping=reward_clipping,
            use_fire_reset=False,
        )
        one = (height, width, 3 if obs_type == "rgb" else 1)
        self._shape = one if stack is None else (stack, height, width)
        self._lives = lives
        space = Box(0, 255, self._shape, np.uint8)
        self._describe(space, self._env.single_action_space, "pixels", categorical_action_encoding)

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def absorb(
        cls, node: Mapping[str, Any], transforms: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """``transforms=atari`` becomes options of the engine; with ``native_transforms=false``, its no-ops alone."""
        wanted = node.get("native_transforms", True)
        node = {name: value for name, value in node.items() if name != "native_transforms"}
        noops, transforms = taken_noops(transforms)
        node = {**node, "noop_max": noops} if noops else node
        found = AtariBundle.split(transforms) if wanted else None
        if found is None or node.get("stack") or node.get("obs_type", "rgb") != "rgb":
            return node, transforms
        bundle, rest = found
        does = {"obs_type": "grayscale", "screen_size": list(bundle.size), "stack": bundle.stack}
        return {**node, **does, "reward_clipping": bundle.clipped}, rest

    @classmethod
    def available_names(cls) -> list[str]:
        """The games for one player, sorted."""
        return game_names()

    def get_action_meanings(self) -> list[str]:
        """What each action is called, in the order of the action spec."""
        return [action.name for action in self._env.ale.get_action_set()]

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

    def _show(self, shown: Composite) -> None:
        if self._lives:  # the console counts them in bytes
            lives = Bounded(0, 255, torch.Size([1]), device=self.device, dtype=torch.int64)
            shown = Composite({**dict(shown.items()), "lives": lives}, device=self.device)
        super()._show(shown)

    # -- the rows -------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        super()._bind(buffer)
        if self._lives:
            self._first_lives, self._next_lives = (
                buffer.array((*prefix, "lives"))[..., 0] for prefix in ((), ("next",))
            )

    def _begin(self, where: Array | None) -> Array:
        self._refuse_options("ALE")
        if where is None:
            seeds = self._taken_seeds()
            given = None if seeds is None else np.array(seeds) % _SEEDS
            frames, self._info = self._env.reset(seed=given)
        else:
            frames, self._info = self._env.reset(options={"reset_mask": where})
        return self._in_shape(frames)

    def _reset_row(self, t: int, where: Array | None) -> None:
        super()._reset_row(t, where)
        if self._lives:
            self._first_lives[t][... if where is None else where] = self._info["lives"][... if where is None else where]

    def _send(self, actions: Any) -> None:
        self._sent = True
        self._env.send(actions)

    def _receive(self) -> Answer:
        frames, reward, terminated, truncated, info = self._env.recv()
        return self._in_shape(frames), reward, terminated, truncated, info

    def _in_shape(self, frames: Any) -> Array:  # Any: an array, which the engine's annotations do not say
        shaped: Array = frames.reshape(self.num_envs, *self._shape)
        return shaped

    def _note(self, t: int, info: Any, where: Array | None = None) -> None:
        if self._lives:
            self._next_lives[t] = info["lives"]

    def _close(self) -> None:
        del self._env  # its threads end with it
