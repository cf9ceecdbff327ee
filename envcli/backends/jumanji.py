"""Jumanji: puzzles, packing and routing in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Sequence
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

    Args:
        name: such as ``"Snake-v1"``; or an env of Jumanji's, without a wrapper.
        num_envs: how many; None: one.
        batch_size: TorchRL's way to say it: ``[num_envs]``.
        categorical_action_encoding: choices as numbers and not as one-hot vectors.
        max_episode_steps: an episode is truncated after so many steps, if the env does not end it before; None and 0:
            never.
        frame_skip: see :class:`~envcli.backends.vector_backend.VectorBackend`.
        from_pixels: is refused: it draws no frames.
        device: where it is computed, too: ``"cuda"`` needs a JAX that can.
        options: for ``jumanji.make``: ``time_limit=100``.

    Raises:
        UnknownName: there is no such env; says the nearest.
        ConfigError: the env cannot be made with these options; ``max_episode_steps`` is no count; JAX cannot compute
            there.
        MissingDependency: jumanji or jax is not installed.
    """

    library: ClassVar[str] = "jumanji"
    _world: JumanjiWorld

    def __init__(
        self,
        name: Any,  # Any: a str, or an env of a library that is there for some only
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
            instead="backend=jumanji renders no frames. Leave it out",
            frame_skip=frame_skip,
            device=device,
        )
        self._env = native(name, options) if isinstance(name, str) else name
        self.env_name = name if isinstance(name, str) else type(name).__name__
        self._world = JumanjiWorld(self._env, self.device)
        shown, taken = observation_space(self._env.observation_spec), action_space(self._env.action_spec)
        pays = self._env.reward_spec.shape or (1,)
        self._describe(shown, taken, "observation", categorical_action_encoding, pays)
        self._begin_from_chance()

    @classmethod
    def available_names(cls) -> list[str]:
        """Every env that Jumanji registers."""
        return names()

    def _show(self, shown: Composite) -> None:
        bits = {path: leaf for path, leaf in shown.leaves().items() if isinstance(leaf, Binary)}
        super()._show(shown.clone().update({path: leaf.to(torch.bool) for path, leaf in bits.items()}))
