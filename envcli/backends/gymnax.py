"""gymnax: MinAtar, bsuite and classic control in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from envcli.backends.jax_backend import JaxBackend
from envcli.gym.old_spaces import as_gymnasium
from envcli.jitted.gymnax_world import GymnaxMoment, GymnaxWorld, names, native

__all__ = ["GymnaxEnv"]


class GymnaxEnv(JaxBackend[GymnaxMoment]):
    """``num_envs`` gymnax envs in one program: ``GymnaxEnv("Breakout-MinAtar", num_envs=256)``.

    The program is compiled when it is first used: a second or two, once for each number of envs;
    ``JAX_COMPILATION_CACHE_DIR`` keeps it for the next time. The state stays in JAX's memory. Seeds and episodes: see
    :class:`~envcli.backends.jax_backend.JaxBackend`; what an env draws in its steps follows from the same key. No step
    of gymnax's auto-reset is made, so the last observation of an episode is in the data.

    Everything else: see :class:`~envcli.backends.jax_backend.JaxBackend`. ``name`` may also be a pair of an env of
    gymnax's and its parameters; observed choices are encoded as actions are; the env's own limit is its parameter
    ``max_steps_in_episode``; ``options`` are its parameters: ``gravity=3.7``.
    """

    library: ClassVar[str] = "gymnax"

    def _make(self, name: Any, options: Mapping[str, Any], categorical: bool) -> None:
        self._env, params = native(name, options) if isinstance(name, str) else name
        self.env_name = name if isinstance(name, str) else self._env.name
        self._world = GymnaxWorld(self._env, params, self.device)
        shown, taken = self._env.observation_space(params), self._env.action_space(params)
        self._describe(as_gymnasium(shown), as_gymnasium(taken), "observation", categorical)

    @classmethod
    def available_names(cls) -> list[str]:
        """Every env that gymnax registers."""
        return names()
