"""EnvPool: simulators of its own in C++, stepped by a pool of threads."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces

from envcli.backends.atari_bundle import AtariBundle, taken_noops
from envcli.backends.atari_frames import FRAME_SKIP, atari_seconds
from envcli.backends.envpool_calls import EnvpoolCalls
from envcli.backends.vector_backend import VectorBackend, thread_count
from envcli.backends.vector_paces import Answer, VectorPaces
from envcli.errors import ConfigError, MissingDependency, UnknownName
from envcli.memory.buffer import Array, RolloutBuffer

__all__ = ["EnvpoolEnv"]

Options = dict[str, Any]  # Any: arguments of a foreign constructor

_SEEDS = 2**31  # the engine's are int32
_ATARI: Options = {  # frames as the game draws them, and the console as backend=ale has it
    "gray_scale": False,
    "stack_num": 1,
    "img_height": 210,
    "img_width": 160,
    "noop_max": 1,
    "use_fire_reset": False,
    "reward_clip": False,
    "repeat_action_probability": 0.25,
    "max_episode_steps": 27_000,
}


class EnvpoolEnv(VectorBackend):
    """``num_envs`` envs of one EnvPool task: ``EnvpoolEnv("CartPole-v1", num_envs=64)``.

    Observations that are not a ``Dict`` are called ``"observation"``, Atari's ``"pixels"``. The simulators are programs
    of EnvPool's own: of the same seed they draw other episodes than gymnasium's, ALE's or dm_control's.

    An Atari game shows RGB frames ``[210, 160, 3]`` (resized, where the game draws others), the larger value of the
    last two of a step, and begins with a no-op at least; actions are sticky with 0.25. From YAML, ``transforms=atari``
    is done by the engine (``native_transforms: true``), as far as ``options`` do not say otherwise.

    Args:
        name: an id of ``envpool.list_all_envs()``; ``Pong``, ``air_raid``, ``ALE/Pong-v5`` and ``cheetah-run`` are
            taken for ``Pong-v5``, ``AirRaid-v5`` and ``CheetahRun-v1``.
        num_envs: how many; None: one.
        frame_skip: how often each action is repeated, by the engine for Atari (None: 4 times), by us for other tasks.
        from_pixels: frames are what Atari shows; of other tasks there are none.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors.
        num_threads: of the engine; None: one for each core, at most one for each env.
        device: see :class:`~envcli.Env`.
        options: for ``envpool.make_gymnasium``.

    Raises:
        UnknownName: there is no such task; says the nearest.
        ConfigError: the task does not take an option, or shows no frames.
        MissingDependency: envpool is not installed.
    """

    library: ClassVar[str] = "envpool"
    _like_others: ClassVar[bool] = True  # is an Atari game set and shown as by the other backends?

    def __init__(
        self,
        name: str,
        num_envs: int | None = None,
        *,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        categorical_action_encoding: bool = False,
        num_threads: int | None = None,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(None, num_envs, frame_skip=frame_skip, device=device)
        self.task, self._options = self.engine_of(name, frame_skip, **options)
        self._atari = _is_atari(self.task)
        if from_pixels and not self._atari:
            raise ConfigError(
                f"from_pixels: EnvPool renders no frames of {self.task} here. Use the task's other backend"
            )
        self.from_pixels = self._atari
        self._options["num_threads"] = thread_count(num_threads, self.num_envs)
        if self._atari:
            self._repeat = 1  # the engine holds actions
        self._make(np.random.SeedSequence().generate_state(self.num_envs).tolist())
        shown, taken = self._env.single_observation_space, self._env.single_action_space
        atari = self._atari and self._like_others
        self._frames = atari and not self._options["gray_scale"] and self._options["stack_num"] == 1
        if self._frames:
            shown = spaces.Box(0, 255, (*shown.shape[1:], 3), np.uint8)
        self._describe(_mended(shown), taken, "pixels" if atari else "observation", categorical_action_encoding)

    def _make(self, seeds: list[int]) -> None:
        numbers = [seed % _SEEDS for seed in seeds]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # gymnasium's, about bounds that EnvPool announces in doubles
                made = _library().make_gymnasium(self.task, num_envs=self.num_envs, seed=numbers, **self._options)
                _ = made.observation_space, made.action_space  # they are made when they are first asked for
        except (TypeError, ValueError, AssertionError) as error:
            raise ConfigError(f"{self.task} cannot be made with {', '.join(self._options)}: {error}") from error
        self._env, self._calls = made, EnvpoolCalls(made)

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def absorb(
        cls, node: Mapping[str, Any], transforms: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """``transforms=atari`` becomes options of the engine; with ``native_transforms=false``, its no-ops alone."""
        wanted = node.get("native_transforms", True)
        node = {name: value for name, value in node.items() if name != "native_transforms"}
        noops, transforms = taken_noops(transforms)
        does: Options = {"noop_max": noops} if noops else {}
        if wanted and (found := AtariBundle.split(transforms)):
            bundle, transforms = found
            height, width = bundle.size
            does |= {"gray_scale": True, "stack_num": bundle.stack, "img_height": height, "img_width": width}
            does["reward_clip"] = bundle.clipped
        return {**node, "options": {**does, **(node.get("options") or {})}}, transforms

    @classmethod
    def engine_of(cls, name: str, frame_skip: int | None = None, **options: Any) -> tuple[str, Options]:
        """The task that ``name`` means, and what ``envpool.make_gymnasium`` is given for it besides numbers and seeds.

        Raises `UnknownName` as the constructor does.
        """
        task = _task(name)
        usual: Options = _ATARI if cls._like_others else {}
        return task, {**usual, "frame_skip": frame_skip or FRAME_SKIP, **options} if _is_atari(task) else options

    @classmethod
    def available_names(cls) -> list[str]:
        """Every task that EnvPool lists."""
        return sorted(_library().list_all_envs())

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` frames of an Atari; other tasks do not say."""
        return atari_seconds(self._options["frame_skip"]) if self._atari else None

    @property
    def frames_per_step(self) -> int:
        """``frame_skip``, of an Atari that of the engine."""
        return int(self._options["frame_skip"]) if self._atari else self._repeat

    def _native_name(self) -> str:
        return self.task

    # -- the rows -------------------------------------------------------------------------------------------------

    def _begin(self, where: Array | None) -> Any:
        self._refuse_options("EnvPool")
        if where is not None:
            return self._shown(self._env.reset(np.flatnonzero(where))[0])
        seeds = self._taken_seeds()
        if seeds is not None:  # EnvPool reads them when it is made, and at no other time
            self._make(seeds)
        return self._shown(self._env.reset()[0])

    @property
    def _autoresets(self) -> bool:  # type: ignore[override]  # not where we repeat actions, or they are several arrays
        return self._repeat == 1 and bool(self._acted)

    def _bind(self, buffer: RolloutBuffer) -> None:
        super()._bind(buffer)
        self._paces = VectorPaces(buffer, self._first, self._following, self._action, self._send, self._received)

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        self._paces.autoreset_rows(start, stop, onward)

    def _send(self, actions: Any, envs: Array | None = None) -> None:
        self._sent = True
        self._calls.send(actions, envs)

    def _receive(self) -> Answer:
        observation, *others = self._calls.recv()
        return (self._shown(observation), *others)

    def _shown(self, observation: Any) -> Any:  # Any: as the space is
        return np.moveaxis(observation, 1, -1) if self._frames else observation

    def _close(self) -> None:
        self._env.close()
        del self._env, self._calls  # its threads end with it


def _library() -> Any:  # Any: a module that is there for some only
    """EnvPool, imported when it is needed: ``MultiThreadedEnv`` is a public name, which everybody can import."""
    try:
        import envpool
        import envpool.registration
    except ModuleNotFoundError as missing:
        raise MissingDependency.of(missing, "backend=envpool", "envpool") from missing
    return envpool


def _task(name: str) -> str:
    """EnvPool's id of what other backends call ``name``."""
    known = _library().list_all_envs()
    stem = name.removeprefix("ALE/").removesuffix("-v5")
    titled = "".join(word[:1].upper() + word[1:] for word in stem.replace("_", "-").split("-"))
    for task in (name, f"{titled}-v5", f"{titled}-v1"):
        if task in known:
            return task
    raise UnknownName("EnvPool task", name, known)


def _is_atari(task: str) -> bool:
    return bool(_library().registration.registry.specs[task][0] == "envpool.atari")


def _mended(space: spaces.Space[Any]) -> spaces.Space[Any]:
    """``space`` with real bounds: EnvPool says the least positive number and the largest one where there are none."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict({name: _mended(inner) for name, inner in space.spaces.items()})
    if not isinstance(space, spaces.Box) or space.dtype is None or space.dtype.kind != "f":
        return space
    limits = np.finfo(space.dtype)
    low = np.where(space.low == limits.tiny, -np.inf, space.low).astype(space.dtype)
    high = np.where(space.high == limits.max, np.inf, space.high).astype(space.dtype)
    return spaces.Box(low, high, dtype=space.dtype.type)
