"""A batch of our envs as a ``VecEnv`` of Stable-Baselines3. The only file that knows it, but for the contender."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from envcli.adapters.gymnasium_vector_adapter import GymnasiumVectorAdapter
from envcli.errors import ConfigError, MissingDependency
from envcli.memory.buffer import Array

try:
    from stable_baselines3.common.vec_env import VecEnv
except ModuleNotFoundError as error:
    raise MissingDependency("stable-baselines3", "as_sb3") from error

__all__ = ["Sb3Adapter"]


class Sb3Adapter(VecEnv):  # type: ignore[misc]  # of a library that is there for some only
    """``envs`` for the algorithms of Stable-Baselines3: ``PPO("MlpPolicy", Sb3Adapter(envs))``.

    It takes the place of ``SubprocVecEnv`` and does what that does: an episode that ends begins anew in the same step,
    ``info["terminal_observation"]`` is its last observation, and ``info["TimeLimit.truncated"]`` says whether the clock
    ended it. Returns and lengths of episodes are for ``VecMonitor`` to count. Seeds are given in
    ``reset``, which ``PPO(..., seed=0)`` sees to: env ``i`` gets ``seed + i``, as with SB3's own.

    Observations that are nested dicts, and actions that are dicts, SB3 does not take.

    Args:
        envs: a batch with ``autoreset_mode`` ``SAME_STEP``. It belongs to this object, and is closed with it.
    """

    def __init__(self, envs: GymnasiumVectorAdapter) -> None:
        if envs.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ConfigError(f"as_sb3: found autoreset_mode {envs.autoreset_mode.value}, expected SameStep")
        self.envs = envs
        super().__init__(envs.num_envs, envs.single_observation_space, envs.single_action_space)

    def reset(self) -> Any:
        """The first observations, ``[n, ...]``, fresh. Seeds and options given before are used up."""
        seeds = None if all(seed is None for seed in self._seeds) else self._seeds
        options = next((each for each in self._options if each), None)
        if options is not None and any(each != options for each in self._options):
            raise ConfigError("set_options: found different options per env, expected the same for all")
        observations, infos = self.envs.reset(seed=seeds, options=options)
        self.reset_infos = self._each(infos)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: Any) -> None:
        """Begin a step; ``actions``, ``[n, ...]``, of the action space."""
        self.envs.step_async(actions)

    def step_wait(self) -> tuple[Any, Array, Array, list[dict[str, Any]]]:
        """``(observations, rewards, dones, infos)``, all fresh; rewards are float32."""
        observations, rewards, terminated, truncated, told = self.envs.step_wait()
        final = told.pop("final_obs", None)
        last = told.pop("final_info", None)
        infos = self._each(told)
        for info in infos:
            info["TimeLimit.truncated"] = False
        if final is not None:
            first = self._each(told)
            ended = self._each(last) if last else infos
            for i in np.flatnonzero(terminated | truncated):
                self.reset_infos[i] = first[i]
                infos[i] = {
                    **ended[i],
                    "TimeLimit.truncated": bool(truncated[i] and not terminated[i]),
                    "terminal_observation": final[i],
                }
        return observations, rewards.astype(np.float32), terminated | truncated, infos

    def _each(self, told: dict[str, Any]) -> list[dict[str, Any]]:
        """What gymnasium tells of all envs at once, as one dict for each."""
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for key, value in told.items():
            if key.startswith("_"):
                continue
            parts = self._each(value) if isinstance(value, dict) else value
            for info, one in zip(infos, parts, strict=True):
                info[key] = one
        return infos

    # -- the envs -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the envs, and with them their processes."""
        self.envs.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of these envs, or of all."""
        if attr_name == "render_mode":
            return [self.envs.render_mode] * self.num_envs
        found = self.envs.get_attr(attr_name)
        return [found[i] for i in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set the attribute of these envs, or of all."""
        self.envs.each.set_some(list(self._get_indices(indices)), attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """What the method of these envs returns, or of all."""
        if indices is None:
            return list(self.envs.call(method_name, *args, **kwargs))
        return self.envs.each.call_some(list(self._get_indices(indices)), method_name, *args, **kwargs)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """False for each: our transforms are no wrappers of gymnasium's."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[Any]:
        """The frame of each env, or None."""
        return self.envs.render() or [None] * self.num_envs
