"""Gymnasium's vector envs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import gymnasium
import numpy as np
import torch
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from envcli.backends.vector_backend import VectorBackend
from envcli.backends.vector_rows import VectorRows
from envcli.errors import ConfigError, UnknownName
from envcli.gym import ids
from envcli.gym.lens import Lenses
from envcli.gym.registered import Registered
from envcli.gym.spaces import is_image
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.pixels import Pixels
from envcli.vocabulary.schema import at_least

__all__ = ["GymnasiumVectorEnv", "GymnasiumVectorWrapper"]

_MODES = ("vector_entry_point", "sync")
_SEEDED_EACH = AsyncVectorEnv | SyncVectorEnv
_KNOWN = AsyncVectorEnv | SyncVectorEnv | CartPoleVectorEnv  # to reset some envs without the others


class GymnasiumVectorWrapper(Registered, VectorBackend):
    """An existing vector env of gymnasium's; ``GymWrapper(engine)`` is one, as in TorchRL.

    Keys and specs are those of :class:`~envcli.backends.gym.GymWrapper`. Envs that are done are reset by us, and the
    last observation of an episode is in the data: a ``SyncVectorEnv`` has the ``autoreset_mode`` ``NEXT_STEP`` from
    here on, whichever it was made with.

    Args:
        env: a ``gymnasium.vector.VectorEnv``; it is closed with this one. Its ``reset`` and ``step`` must not be called
            from outside while this one is in use.
        categorical_action_encoding: discrete values as numbers and not as one-hot vectors.
        frame_skip: see :class:`~envcli.backends.vector_backend.VectorBackend`.
        from_pixels: show what ``render()`` draws of each, under ``"pixels"``.
        pixels_only: with ``from_pixels``: leave the state out.
        device: see :class:`~envcli.Env`.

    Raises:
        ConfigError: it cannot be drawn; or it cannot reset some envs and leave the others alone, or resets them in the
            step that ends their episode.
    """

    library: ClassVar[str] = "gymnasium"
    _engine_copies: ClassVar[bool] = True

    def __init__(
        self,
        env: gymnasium.vector.VectorEnv[Any, Any, Any],
        categorical_action_encoding: bool = False,
        *,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
    ) -> None:
        if isinstance(env, SyncVectorEnv):
            env.autoreset_mode = AutoresetMode.NEXT_STEP
        super().__init__(env, env.num_envs, frame_skip=frame_skip, device=device)
        self._lenses = Lenses(env)
        self._require_last_observations()
        self._require_partial_resets()
        space = env.single_observation_space
        image = is_image(space)
        self.from_pixels, self.pixels_only = from_pixels or image, pixels_only
        self._pixels = self._camera() if from_pixels and not image else None
        self._describe(
            space, env.single_action_space, "pixels" if image else "observation", categorical_action_encoding
        )

    def _camera(self) -> Pixels:
        name = self._native_name()
        self._env.reset()  # nothing can be drawn before
        with ids.drawing_explained(name):
            pixels = Pixels(self._lenses, name, several=True)
        self._lenses.look_anew()  # their cameras look at where this reset was, which no seed decides
        return pixels

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """The ids that have an engine of their own; any other of ``backend=gymnasium`` works too."""
        return [name for name in ids.names() if gymnasium.registry[name].vector_entry_point is not None]

    def _native_name(self) -> str:
        spec = self._env.spec
        return type(self._env).__name__ if spec is None else str(spec.id)

    def _show(self, shown: Any) -> None:  # Any: a Composite of a single env
        super()._show(shown if self._pixels is None else self._pixels.added_to(shown, self.pixels_only))

    # -- resets ---------------------------------------------------------------------------------------------------

    def _require_last_observations(self) -> None:
        """Refuse an engine that resets an env in the step that ends its episode: the last observation would be lost."""
        known = self._env.metadata.get("autoreset_mode")  # of the env's class, so perhaps that of another engine
        if getattr(self._env, "autoreset_mode", known) is AutoresetMode.SAME_STEP:
            raise ConfigError(
                f"{self._native_name()}: its engine, {type(self._env).__name__}, has the autoreset_mode SAME_STEP, so "
                "the last observations of episodes would be lost. Leave that option out (or give DISABLED), or type: "
                "backend.vectorization_mode=sync"
            )

    def _require_partial_resets(self) -> None:
        """Try it: an engine that does not know ``reset_mask`` resets all envs without a word."""
        engine, n = self._env, self.num_envs
        if n == 1 or isinstance(engine, _KNOWN):
            return
        engine.reset(seed=0)
        before = engine.step(engine.action_space.sample())[0]
        before = {name: value.copy() for name, value in _arrays(before)}
        after = dict(_arrays(engine.reset(options={"reset_mask": np.arange(n) == 0})[0]))
        if any((before[name][1:] != after[name][1:]).any() for name in before):
            raise ConfigError(
                f"{self._native_name()}: its own engine, {type(engine).__name__}, cannot reset some envs without the "
                "others, so the ends of episodes would be lost. Type: backend.vectorization_mode=sync"
            )

    def _begin(self, where: Array | None) -> Any:
        engine, options = self._env, self._reset_request.options
        if where is None:
            seeds: Any = self._taken_seeds()
            if seeds is not None:
                self._lenses.look_anew()
            seeds = seeds[0] if seeds is not None and not isinstance(engine, _SEEDED_EACH) else seeds
            return engine.reset(seed=seeds, options=options or None)[0]
        if isinstance(engine, CartPoleVectorEnv):
            return _restarted(engine, where)
        return engine.reset(options={**options, "reset_mask": where})[0]

    # -- the rows -------------------------------------------------------------------------------------------------

    def _rows(self, prefix: Key, buffer: RolloutBuffer) -> VectorRows:
        if self._pixels is not None and self.pixels_only:
            return VectorRows(gymnasium.spaces.Dict(), prefix, buffer)  # nothing of the state is shown
        return super()._rows(prefix, buffer)

    def _bind(self, buffer: RolloutBuffer) -> None:
        super()._bind(buffer)
        if self._pixels is not None:
            self._pixels.bind(buffer)

    def _reset_row(self, t: int, where: Array | None) -> None:
        super()._reset_row(t, where)
        if self._pixels is not None:
            self._pixels.show_first(t, where)

    def _close(self) -> None:
        self._lenses.close()
        super()._close()

    def _note(self, t: int, info: Any, where: Array | None = None) -> None:
        if self._pixels is not None:
            self._pixels.show_next(t, where)


class GymnasiumVectorEnv(GymnasiumVectorWrapper):
    """Gymnasium envs that are stepped at once: ``GymnasiumVectorEnv("CartPole-v1", num_envs=64)``.

    An id may have an engine of its own, which computes with arrays of all envs, as CartPole's does; any other is a
    ``SyncVectorEnv``, a loop that is no faster than ``parallel=serial``. Keys and specs are those of
    :class:`~envcli.backends.gym.GymEnv`. With ``sync`` the same seed gives the bits of ``SerialEnv``, until an episode
    ends within a ``frame_skip``; CartPole's engine draws the beginnings of all envs from one generator.

    Args:
        name: an id of ``gymnasium.registry``.
        num_envs: how many; None: one.
        vectorization_mode: ``"vector_entry_point"`` or ``"sync"``; None: the id's own engine if there is one, or else
            ``"sync"``. For processes take ``ParallelEnv``.
        options: for ``gymnasium.make_vec``.

    The other arguments are those of :class:`GymnasiumVectorWrapper`.

    Raises:
        UnknownName: there is no such id; says the nearest.
        ConfigError: the env does not take an option, needs a library that is not installed, or cannot be drawn here; or
            its engine is refused by :class:`GymnasiumVectorWrapper`.
    """

    def __init__(
        self,
        name: str,
        num_envs: int | None = None,
        *,
        vectorization_mode: str | None = None,
        categorical_action_encoding: bool = False,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> None:
        if vectorization_mode not in (None, *_MODES):
            cure = "For processes: backend=gymnasium parallel=processes"
            raise UnknownName("vectorization_mode", str(vectorization_mode), _MODES, cure)
        at_least("num_envs", num_envs, 1)
        engine = ids.make_vector(name, num_envs or 1, vectorization_mode, options, from_pixels=from_pixels)
        self.env_name = name
        try:
            super().__init__(
                engine,
                categorical_action_encoding,
                frame_skip=frame_skip,
                from_pixels=from_pixels,
                pixels_only=pixels_only,
                device=device,
            )
        except BaseException:
            engine.close()  # nobody else ever sees it
            raise

    def _native_name(self) -> str:
        return self.env_name


def _restarted(engine: CartPoleVectorEnv, where: Array) -> Array:
    """Begin these envs anew as the engine's own step does it with those that were done before, but without the step."""
    state: Any = engine.state  # Any: its annotation says None
    state[:, where] = engine.np_random.uniform(engine.low, engine.high, size=(4, np.count_nonzero(where)))
    engine.steps[where], engine.prev_done[where] = 0, False
    begun: Array = state.T.astype(np.float32)
    return begun


def _arrays(value: Any, name: str = "") -> Iterator[tuple[str, Array]]:  # Any: what an observation space holds
    """Every array in ``value``, by its place."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _arrays(inner, f"{name}.{key}")
    elif isinstance(value, tuple):
        for i, inner in enumerate(value):
            yield from _arrays(inner, f"{name}.{i}")
    else:
        yield name, value
