"""Brax: physics in JAX, many envs in one compiled program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from tensordict import TensorDict, TensorDictBase
from torch import Tensor

from envcli.backends.jax_backend import JaxBackend, JaxByName
from envcli.envs.network import on_tensordicts
from envcli.envs.rollout_request import Act
from envcli.envs.unrolled import stacked
from envcli.errors import ConfigError
from envcli.jitted.brax_world import BraxWorld, Moment, misfit, names, native
from envcli.jitted.jax_world import as_tensor
from envcli.keys import DONE_FAMILY
from envcli.rows.action_gate import as_member

__all__ = ["BraxEnv", "BraxWrapper"]


class BraxWrapper(JaxBackend[Moment]):
    """``num_envs`` of an existing env of Brax's in one program, by TorchRL's name: ``BraxWrapper(env, 64)``.

    The program is compiled when it is first used: 10 to 20 s for a reset, as much for a step, and once for each number
    of envs; ``JAX_COMPILATION_CACHE_DIR`` keeps it for the next time. What an env is between two steps, 1,405 numbers
    of ``"ant"``, which shows 27, stays in JAX's memory; a row holds what is shown. Actions are within -1 and 1,
    whatever the actuators take. Seeds and episodes: see :class:`~envcli.backends.jax_backend.JaxBackend`. (TorchRL's
    ``requires_grad`` is :meth:`unroll`.)

    Args:
        env: as ``brax.envs.get_environment`` makes it; not that of ``brax.envs.create``, whose wrappers hide where
            episodes end.
        num_envs, batch_size, frame_skip, from_pixels, device: see :class:`~envcli.backends.jax_backend.JaxBackend`.
        categorical_action_encoding: TorchRL's, and has no effect: actions are no choices.
        max_episode_steps: an episode is truncated after so many steps; None: 1000, as ``brax.envs.create`` has it; 0:
            never. With ``frame_skip`` the repetitions count, too.

    Raises:
        ConfigError: it is no such env, or has such a wrapper; and as for
            :class:`~envcli.backends.jax_backend.JaxBackend`.
        MissingDependency: brax or jax is not installed.
    """

    library: ClassVar[str] = "brax"
    _usual_steps = 1000  # as brax.envs.create has it
    _instead: ClassVar[str] = "The MuJoCo versions of its envs do: backend=gymnasium"
    without_effect = ("categorical_action_encoding",)
    _world: BraxWorld

    def _prepare(self, env: Any, categorical: bool) -> None:
        self._take(env, misfit(env))
        self._world = BraxWorld(self._env, self.device)
        shown = spaces.Dict({name: spaces.Box(-np.inf, np.inf, shape) for name, shape in self._world.shapes.items()})
        action = spaces.Box(-1, 1, (self._env.action_size,), np.float32)
        self._describe(shown, action, "observation", categorical)  # of a Dict, the names are its own

    # -- what it is -----------------------------------------------------------------------------------------------

    @classmethod
    def available_names(cls) -> list[str]:
        """Every env of Brax."""
        return names()

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` steps of the physics, as long as they say."""
        seconds = getattr(self._env, "dt", None)
        return None if seconds is None else float(seconds) * self._repeat

    def unroll(self, steps: int, policy: Callable[..., Any] | None = None) -> TensorDictBase:
        """``steps`` steps from a reset that keep their graph, to learn by gradients through the physics.

        They go back from rewards and observations to the actions before them. A rollout, and ``step``, are detached.

        Args:
            steps: how many, at least 1. An env that is done begins anew, and there its graph ends.
            policy: as for :meth:`rollout`; None: random actions.

        Returns:
            ``[num_envs, time]``, as of a rollout.
        """
        if steps < 1:
            raise ValueError(f"unroll: steps must be at least 1, found {steps}")
        if self._repeat > 1:
            raise ConfigError(f"unroll: expected no frame_skip, found {self._repeat}")
        acts: Act = self.rand_action if policy is None else on_tensordicts(policy, self)
        shown, made = self.reset(), []
        floats = as_tensor(self._moment.floats)
        for _ in range(steps):
            acted = acts(shown)
            acted = shown if acted is None else acted  # it has written into that
            floats, following = self._felt(floats, acted)
            made.append(acted.set("next", following))
            shown = self.step_mdp(acted)
            if (ended := following["done"]).any():
                self._begin(ended.squeeze(-1).numpy(force=True))
                self._settle()
                floats = torch.where(ended, as_tensor(self._moment.floats), floats)
                for name, begun in self._moment.observation.items():
                    shown[name] = torch.where(_like(ended, shown[name]), as_tensor(begun), shown[name])
                shown.update({name: torch.zeros_like(ended) for name in DONE_FAMILY})
        return stacked(made)

    def _felt(self, floats: Tensor, acted: TensorDictBase) -> tuple[Tensor, TensorDict]:
        action = as_member(("action",), self.full_action_spec["action"], acted["action"])
        self._moment, floats, reward, observation = self._world.felt(self._moment, floats, action)
        self._elapsed += 1
        terminated, truncated = (torch.as_tensor(ends, device=self.device) for ends in self._ends())
        flags = dict(zip(DONE_FAMILY, (terminated | truncated, terminated, truncated), strict=True))
        columns = {name: value.unsqueeze(-1) for name, value in {"reward": reward, **flags}.items()}
        return floats, TensorDict({**observation, **columns}, self.batch_size, device=self.device)


class BraxEnv(JaxByName[Moment], BraxWrapper):
    """``num_envs`` Brax envs by their name: ``BraxEnv("ant", num_envs=256)``.

    ``options`` are for ``brax.envs.get_environment``: ``backend="spring"``.

    Everything else: see :class:`BraxWrapper` and :class:`~envcli.backends.jax_backend.JaxByName`.
    """

    @staticmethod
    def _named(name: str, options: Mapping[str, Any], device: torch.device | str | None) -> Any:
        return native(name, options)


def _like(where: Tensor, value: Tensor) -> Tensor:
    """``where``, ``[envs, 1]``, with as many dimensions as ``value``."""
    return where.reshape(len(where), *[1] * (value.ndim - 1))
