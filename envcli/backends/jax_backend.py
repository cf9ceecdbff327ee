"""The base of backends whose envs are functions of JAX: seeds, episodes and their limits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch

from envcli.backends.backend import AvailableEnvs, step_limit
from envcli.backends.vector_backend import VectorBackend
from envcli.backends.vector_paces import Answer
from envcli.errors import ConfigError
from envcli.memory.buffer import Array
from envcli.memory.masks import all_of, any_of

__all__ = ["JaxBackend", "JaxByName"]


class _Moment(Protocol):
    """The state of all envs at one time, which is the library's, and what is seen of it: arrays ``[envs, ...]``."""

    @property
    def observation(self) -> Any: ...  # Any: as its space, of arrays of JAX

    @property
    def reward(self) -> Any: ...

    @property
    def terminated(self) -> Any: ...

    @property
    def truncated(self) -> Any: ...


M = TypeVar("M", bound=_Moment)


class _World(Protocol[M]):
    """A :class:`~envcli.jitted.jax_world.JaxWorld`, named here without importing JAX."""

    def keys(self, seeds: list[int], /) -> Any: ...  # Any: an array of JAX

    def begin(self, keys: Any, episodes: Array, /) -> M: ...

    def step(self, moment: M, action: Any, where: Array, begun: M, /) -> M: ...

    def merge(self, where: Array, one: M, other: M, /) -> M: ...


class JaxBackend(VectorBackend, ABC, Generic[M]):
    """``num_envs`` of an existing env in one compiled program, whose state stays in JAX's memory.

    Each episode of each env is drawn from a key of its own: that of its seed, as ``jax.random.PRNGKey(seed)`` gives it,
    folded with the number of the episode from the second one on.

    A subclass writes :meth:`_prepare`, which assigns ``_env``, ``env_name`` and ``_world`` and calls :meth:`_describe`.

    Args:
        env: as the library has it, without a wrapper.
        num_envs: how many; None: one.
        batch_size: TorchRL's way to say it: ``[num_envs]``.
        categorical_action_encoding: choices as numbers and not as one-hot vectors.
        max_episode_steps: an episode is truncated after so many steps; None: as the library does; 0: never. With
            ``frame_skip`` the repetitions count, too.
        frame_skip: see :class:`~envcli.backends.vector_backend.VectorBackend`.
        from_pixels: is refused: no frames are drawn.
        device: where it is computed, too: ``"cuda"`` needs a JAX that can.

    Raises:
        ConfigError: it is no such env, or has a wrapper; ``max_episode_steps`` is no count; JAX cannot compute there.
        MissingDependency: the library or jax is not installed.
    """

    available_envs = AvailableEnvs(lambda cls: cls.available_names())
    _usual_steps: int = 0  # of an episode; some envs say it
    _instead: ClassVar[str] = ""  # of from_pixels: what draws frames
    _world: _World[M]
    _moment: M
    env_name: str

    def __init__(
        self,
        env: Any,  # Any: of a library that is there for some only
        num_envs: int | None = None,
        *,
        batch_size: Sequence[int] | None = None,
        categorical_action_encoding: bool = False,
        max_episode_steps: int | None = None,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(None, _counted(num_envs, batch_size), frame_skip=frame_skip, device=device)
        if from_pixels:
            raise ConfigError(f"from_pixels: backend={self.library} renders no frames. {self._instead}".rstrip())
        self._prepare(env, categorical_action_encoding)
        self.max_episode_steps = step_limit(max_episode_steps, self._usual_steps)
        self._nobody = np.zeros(self.num_envs, dtype=bool)
        self._anew = self._nobody  # whose next step follows self._ahead; never written to, as JAX may read it later
        self._begin_from(np.random.SeedSequence().generate_state(self.num_envs).tolist())

    @abstractmethod
    def _prepare(self, env: Any, categorical: bool) -> None:
        """Take ``env``, and make its world and its specs."""

    def _take(self, env: Any, misfit: str) -> None:
        """Have ``env`` be the one that is stepped. Raises ConfigError if ``misfit`` says why it cannot be."""
        if misfit:
            raise ConfigError(f"{type(self).__name__}: {misfit}")
        self._env, self.env_name = env, type(env).__name__

    def _begin_from(self, seeds: list[int]) -> None:
        self._drawn_from, self._episodes = self._world.keys(seeds), np.full(self.num_envs, -1)
        self._elapsed = np.zeros(self.num_envs, dtype=np.int64)
        self._ready = np.zeros(self.num_envs, dtype=bool)  # whose next episode is in self._ahead

    def _begin(self, where: Array | None) -> Any:
        self._refuse_options(f"backend={self.library}")
        if (seeds := self._taken_seeds()) is not None:
            self._begin_from(seeds)
        everybody = where is None
        where = np.ones(self.num_envs, dtype=bool) if where is None else where
        if not all_of(self._ready[where]):  # a beginning of all takes as long as one of a few
            if not everybody:
                self._settle()
            self._ahead = self._world.begin(self._drawn_from, self._episodes + 1)
            self._ready[:] = True
        if everybody:
            self._moment, self._anew = self._ahead, self._nobody
        else:
            self._anew = self._anew | where  # a merge of its own takes as long as a step
        self._episodes[where] += 1
        self._elapsed[where], self._ready[where] = 0, False
        return _arrays(self._ahead.observation)

    def _settle(self) -> None:
        """Have ``_moment`` hold the beginnings of those who have begun anew, which a step else does with its own."""
        if any_of(self._anew):
            self._moment, self._anew = self._world.merge(self._anew, self._ahead, self._moment), self._nobody

    def _send(self, actions: Any) -> None:
        self._sent = True
        self._moment, self._anew = self._world.step(self._moment, actions, self._anew, self._ahead), self._nobody

    def _receive(self) -> Answer:
        self._elapsed += 1
        shown = _arrays(self._moment.observation)
        return shown, np.asarray(self._moment.reward), *self._ends(), {}

    def _ends(self) -> tuple[Array, Array]:
        """Terminated and truncated, ``[num_envs]``."""
        late = self._elapsed >= (self.max_episode_steps or np.inf)
        return np.array(self._moment.terminated), np.asarray(self._moment.truncated) | late

    def _native_name(self) -> str:
        return self.env_name

    def _close(self) -> None:
        del self._world, self._env


class JaxByName(JaxBackend[M]):
    """A :class:`JaxBackend` of an env by its name. A subclass writes :meth:`_named`.

    Args:
        env_name: of an env; or one that exists, as :class:`JaxBackend` takes it.
        options: the library's own; of an env by its name only.

    Everything else: see :class:`JaxBackend`.

    Raises:
        UnknownName: there is no such env; says the nearest.
        ConfigError: the env cannot be made with these options; or as for :class:`JaxBackend`.
    """

    def __init__(
        self,
        env_name: Any,  # Any: a str, or objects of a library that is there for some only
        num_envs: int | None = None,
        *,
        batch_size: Sequence[int] | None = None,
        categorical_action_encoding: bool = False,
        max_episode_steps: int | None = None,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> None:
        named = isinstance(env_name, str)
        if options and not named:
            found = f"found {', '.join(options)}, expected none"
            raise ConfigError(f"options: {found}: {type(env_name).__name__} is made already")
        super().__init__(
            self._named(env_name, options, device) if named else env_name,
            num_envs,
            batch_size=batch_size,
            categorical_action_encoding=categorical_action_encoding,
            max_episode_steps=max_episode_steps,
            frame_skip=frame_skip,
            from_pixels=from_pixels,
            device=device,
        )
        if named:
            self.env_name = env_name

    @staticmethod
    @abstractmethod
    def _named(name: str, options: Mapping[str, Any], device: torch.device | str | None) -> Any:
        """The library's env of that name, for the device if that makes a difference."""


def _arrays(tree: Any) -> Any:
    """A dict or tuple of arrays of JAX, or one of them, as numpy's, over the same memory."""
    if isinstance(tree, dict):
        return {name: _arrays(part) for name, part in tree.items()}
    return tuple(map(_arrays, tree)) if isinstance(tree, tuple) else np.asarray(tree)


def _counted(num_envs: int | None, batch_size: Any) -> int | None:
    """``num_envs``, which ``batch_size`` may say too. Raises ConfigError where they differ."""
    if batch_size is None:
        return num_envs
    size = tuple(batch_size)
    if len(size) != 1 or num_envs not in (None, size[0]):
        raise ConfigError(f"batch_size: found {list(size)}, expected one dimension: batch_size=[{num_envs or 1}]")
    return int(size[0])
