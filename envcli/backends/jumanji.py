"""Jumanji: puzzles, packing and routing in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from envcli.backends.jax_backend import JaxBackend, JaxByName
from envcli.jitted.jumanji_world import (
    JumanjiMoment,
    JumanjiWorld,
    action_space,
    misfit,
    names,
    native,
    observation_space,
)
from envcli.specs import Binary, Composite

__all__ = ["JumanjiEnv", "JumanjiWrapper"]


class JumanjiWrapper(JaxBackend[JumanjiMoment]):
    """``num_envs`` of an existing env of Jumanji's in one program, by TorchRL's name: ``JumanjiWrapper(env, 64)``.

    The program is compiled when it is first used: some seconds for a reset, as much for a step, and once for each
    number of envs; ``JAX_COMPILATION_CACHE_DIR`` keeps it for the next time. The state stays in JAX's memory (TorchRL
    shows it as ``"state"``); a row holds what is shown, by the names of Jumanji's observation: ``"grid"``,
    ``"action_mask"``, which is bool, and so on. A single number is ``[1]``. Seeds and episodes: see
    :class:`~envcli.backends.jax_backend.JaxBackend`.

    An episode that ends with a discount of 0 is terminated, any other truncated. The reward is ``[1]``, or ``[agents]``
    where each has its own.

    Args:
        env: as ``jumanji.make`` makes it. A wrapper that adds a batch, or begins anew an env that is done, is refused.
        num_envs, batch_size, frame_skip, from_pixels, device: see :class:`~envcli.backends.jax_backend.JaxBackend`.
        categorical_action_encoding: choices as numbers and not as one-hot vectors. (TorchRL's default here is True.)
        max_episode_steps: an episode is truncated after so many steps; None and 0: where the env itself ends it. With
            ``frame_skip`` the repetitions count, too.

    Raises:
        ConfigError: it is no such env, or has such a wrapper; and as for
            :class:`~envcli.backends.jax_backend.JaxBackend`.
        MissingDependency: jumanji or jax is not installed.
    """

    library: ClassVar[str] = "jumanji"

    def _prepare(self, env: Any, categorical: bool) -> None:
        self._take(env, misfit(env))
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


class JumanjiEnv(JaxByName[JumanjiMoment], JumanjiWrapper):
    """``num_envs`` Jumanji envs by their name: ``JumanjiEnv("Snake-v1", num_envs=256)``.

    ``options`` are for ``jumanji.make``: ``time_limit=100``.

    Everything else: see :class:`JumanjiWrapper` and :class:`~envcli.backends.jax_backend.JaxByName`.
    """

    @staticmethod
    def _named(name: str, options: Mapping[str, Any], device: torch.device | str | None) -> Any:
        return native(name, options)
