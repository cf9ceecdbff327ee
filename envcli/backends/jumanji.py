"""Jumanji: puzzles, packing and routing in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from envcli.backends.jax_backend import JaxBackend
from envcli.jitted.jumanji_world import JumanjiMoment, JumanjiWorld, action_space, names, native, observation_space
from envcli.specs import Binary, Composite

__all__ = ["JumanjiEnv"]


class JumanjiEnv(JaxBackend[JumanjiMoment]):
    """``num_envs`` Jumanji envs in one program: ``JumanjiEnv("Snake-v1", num_envs=256)``.

    The program is compiled when it is first used: some seconds for a reset, as much for a step, and once for each
    number of envs; ``JAX_COMPILATION_CACHE_DIR`` keeps it for the next time. The state stays in JAX's memory (TorchRL
    shows it as ``"state"``); a row holds what is shown, by the names of Jumanji's observation: ``"grid"``,
    ``"action_mask"``, which is bool, and so on. A single number is ``[1]``. Seeds and episodes: see
    :class:`~envcli.backends.jax_backend.JaxBackend`.

    An episode that ends with a discount of 0 is terminated, any other truncated. The reward is ``[1]``, or ``[agents]``
    where each has its own.

    Everything else: see :class:`~envcli.backends.jax_backend.JaxBackend`. ``name`` may also be an env of Jumanji's, and
    ``options`` are for ``jumanji.make``: ``time_limit=100``.
    """

    library: ClassVar[str] = "jumanji"

    def _make(self, name: Any, options: Mapping[str, Any], categorical: bool) -> None:
        self._env = native(name, options) if isinstance(name, str) else name
        self.env_name = name if isinstance(name, str) else type(name).__name__
        self._world = JumanjiWorld(self._env, self.device)
        shown, taken = observation_space(self._env.observation_spec), action_space(self._env.action_spec)
        self._describe(shown, taken, "observation", categorical, self._env.reward_spec.shape or (1,))

    @classmethod
    def available_names(cls) -> list[str]:
        """Every env that Jumanji registers."""
        return names()

    def _show(self, shown: Composite) -> None:
        bits = {path: leaf for path, leaf in shown.leaves().items() if isinstance(leaf, Binary)}
        super()._show(shown.clone().update({path: leaf.to(torch.bool) for path, leaf in bits.items()}))
