"""MuJoCo Playground: robots and control tasks on MuJoCo's physics in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from gymnasium import spaces

from envcli.backends.jax_backend import JaxBackend, JaxByName
from envcli.gym.spaces import unbounded
from envcli.jitted.playground_world import (
    PlaygroundMoment,
    PlaygroundWorld,
    misfit,
    names,
    native,
    suite_of,
    usual_steps,
)

__all__ = ["MujocoPlaygroundEnv", "MujocoPlaygroundWrapper"]


class MujocoPlaygroundWrapper(JaxBackend[PlaygroundMoment]):
    """``num_envs`` of an existing ``MjxEnv`` in one program, by TorchRL's name: ``MujocoPlaygroundWrapper(env, 64)``.

    The program is compiled when it is first used: from some seconds to a minute, once for each number of envs;
    ``JAX_COMPILATION_CACHE_DIR`` keeps it for the next time. The state stays in JAX's memory. What is observed keeps
    its names, such as ``"state"`` and ``"privileged_state"``; a single array is ``"observation"``. Actions are within
    -1 and 1. An env that says it is done, as all do where the physics give a NaN, is terminated; the NaN is shown.
    Seeds and episodes: see :class:`~envcli.backends.jax_backend.JaxBackend`. (TorchRL resets all envs where one is to
    be reset, and has no limit.)

    Args:
        env: of MuJoCo Playground. A wrapper that adds a batch, or begins anew an env that is done, is refused.
        num_envs, batch_size, frame_skip, from_pixels, device: see :class:`~envcli.backends.jax_backend.JaxBackend`.
        categorical_action_encoding: TorchRL's, and has no effect: actions are no choices.
        max_episode_steps: an episode is truncated after so many steps; None: the ``episode_length`` that ``env`` is
            configured with; 0: never. With ``frame_skip`` the repetitions count, too.

    Raises:
        ConfigError: it is no such env; and as for :class:`~envcli.backends.jax_backend.JaxBackend`.
        MissingDependency: mujoco_playground is not installed.
    """

    library: ClassVar[str] = "mujoco_playground"
    _instead: ClassVar[str] = "MuJoCo's own versions of its control suite do: backend=dm_control"
    without_effect = ("categorical_action_encoding",)
    _world: PlaygroundWorld

    def _prepare(self, env: Any, categorical: bool) -> None:
        self._take(env, misfit(env))
        self._usual_steps = usual_steps(env)
        self._world = PlaygroundWorld(self._env, self.device)
        shown = spaces.Dict([(name, unbounded(leaf.shape, leaf.dtype)) for name, leaf in self._world.shown.items()])
        action = spaces.Box(-1, 1, (self._env.action_size,))
        self._describe(shown, action, "observation", categorical)  # of a Dict, the names are its own

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """Every env of MuJoCo Playground."""
        return names()

    @classmethod
    def facts(cls, name: str) -> str:
        """Its suite; robots are downloaded when one is first used."""
        suite = suite_of(name)
        return "control suite" if suite == "dm_control_suite" else f"{suite}, downloads its robots"

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` steps of control, as long as they say."""
        return float(self._env.dt) * self._repeat


class MujocoPlaygroundEnv(JaxByName[PlaygroundMoment], MujocoPlaygroundWrapper):
    """``num_envs`` envs of MuJoCo Playground by their name: ``MujocoPlaygroundEnv("CartpoleBalance", num_envs=256)``.

    ``options`` are settings of the env's configuration: ``ctrl_dt=0.02``, or those of a part of it,
    ``reward_config={"scales": {"torques": -0.001}}``; and TorchRL's ``config`` and ``config_overrides``. On a CPU
    ``impl`` is ``"jax"`` unless given, since the library's default, MuJoCo Warp, is made for GPUs. TorchRL's
    ``agent_mapping`` is not taken.

    Everything else: see :class:`MujocoPlaygroundWrapper` and :class:`~envcli.backends.jax_backend.JaxByName`.

    Raises:
        ConfigError: it has no such setting; or its robots cannot be downloaded; or as there.
    """

    @staticmethod
    def _named(name: str, options: Mapping[str, Any], device: torch.device | str | None) -> Any:
        return native(name, options, device)
