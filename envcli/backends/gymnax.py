"""gymnax: MinAtar, bsuite and classic control in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from envcli.backends.jax_backend import JaxByName
from envcli.errors import ConfigError
from envcli.gym.old_spaces import as_gymnasium
from envcli.jitted.gymnax_world import GymnaxMoment, GymnaxWorld, names, native

__all__ = ["GymnaxEnv"]


class GymnaxEnv(JaxByName[GymnaxMoment]):
    """``num_envs`` gymnax envs in one program: ``GymnaxEnv("Breakout-MinAtar", num_envs=256)``.

    The program is compiled when it is first used: a second or two, once for each number of envs;
    ``JAX_COMPILATION_CACHE_DIR`` keeps it for the next time. The state stays in JAX's memory. Seeds and episodes: see
    :class:`~envcli.backends.jax_backend.JaxBackend`; what an env draws in its steps follows from the same key. No step
    of gymnax's auto-reset is made, so the last observation of an episode is in the data.

    Everything else: see :class:`~envcli.backends.jax_backend.JaxByName`. ``env_name`` may also be a pair of an env of
    gymnax's and its parameters; observed choices are encoded as actions are; the env's own limit is its parameter
    ``max_steps_in_episode``; ``options`` are its parameters: ``gravity=3.7``.
    """

    library: ClassVar[str] = "gymnax"

    @staticmethod
    def _named(name: str, options: Mapping[str, Any], device: torch.device | str | None) -> Any:
        return native(name, options)

    def _prepare(self, env: Any, categorical: bool) -> None:
        if not (isinstance(env, tuple) and len(env) == 2):
            raise ConfigError(f"GymnaxEnv: found a {type(env).__name__}, expected a name, or what gymnax.make gives")
        self._env, params = env
        self.env_name = self._env.name
        self._world = GymnaxWorld(self._env, params, self.device)
        shown, taken = self._env.observation_space(params), self._env.action_space(params)
        self._describe(as_gymnasium(shown), as_gymnasium(taken), "observation", categorical)

    @classmethod
    def available_names(cls) -> list[str]:
        """Every env that gymnax registers."""
        return names()
