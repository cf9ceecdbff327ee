"""gymnax: MinAtar, bsuite and classic control in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from envcli.backends.jax_backend import JaxBackend
from envcli.jitted.gymnax_world import GymnaxMoment, GymnaxWorld, names, native, space_of

__all__ = ["GymnaxEnv"]


class GymnaxEnv(JaxBackend[GymnaxMoment]):
    """``num_envs`` gymnax envs in one program: ``GymnaxEnv("Breakout-MinAtar", num_envs=256)``.

    The program is compiled when it is first used: a second or two, once for each number of envs;
    ``JAX_COMPILATION_CACHE_DIR`` keeps it for the next time. The state stays in JAX's memory. Seeds and episodes: see
    :class:`~envcli.backends.jax_backend.JaxBackend`; what an env draws in its steps follows from the same key. No step
    of gymnax's auto-reset is made, so the last observation of an episode is in the data.

    Args:
        name: such as ``"Breakout-MinAtar"``; or a pair of an env of gymnax's and its parameters.
        num_envs: how many; None: one.
        batch_size: as of other envs: ``[num_envs]``.
        categorical_action_encoding: choices as numbers and not as one-hot vectors, observed ones too.
        max_episode_steps: an episode is truncated after so many steps, if the env does not end it before; None and 0:
            never. The env's own limit is its parameter ``max_steps_in_episode``.
        frame_skip: see :class:`~envcli.backends.vector_backend.VectorBackend`.
        from_pixels: is refused: it draws no frames.
        device: where it is computed, too: ``"cuda"`` needs a JAX that can.
        options: parameters of the env: ``gravity=3.7``.

    Raises:
        UnknownName: there is no such env; says the nearest.
        ConfigError: the env has no such parameter; ``max_episode_steps`` is no count; JAX cannot compute there.
        MissingDependency: gymnax or jax is not installed.
    """

    library: ClassVar[str] = "gymnax"
    _world: GymnaxWorld

    def __init__(
        self,
        name: Any,  # Any: a str, or a pair of objects of a library that is there for some only
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
        super().__init__(
            num_envs,
            batch_size=batch_size,
            max_episode_steps=max_episode_steps,
            usual=0,
            from_pixels=from_pixels,
            instead="backend=gymnax renders no frames. Leave it out",
            frame_skip=frame_skip,
            device=device,
        )
        self._env, params = native(name, options) if isinstance(name, str) else name
        self.env_name = name if isinstance(name, str) else self._env.name
        self._world = GymnaxWorld(self._env, params, self.device)
        shown, taken = space_of(self._env.observation_space(params)), space_of(self._env.action_space(params))
        self._describe(shown, taken, "observation", categorical_action_encoding)
        self._begin_from_chance()

    @classmethod
    def available_names(cls) -> list[str]:
        """Every env that gymnax registers."""
        return names()
