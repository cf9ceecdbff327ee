"""An env of TorchRL as ours."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.adapters.torchrl_specs import from_torchrl_spec
from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError, MissingDependency

try:
    from torchrl import envs as torchrl_envs
except ModuleNotFoundError as error:
    raise MissingDependency("torchrl", "from_torchrl") from error

__all__ = ["TorchrlWrapper"]


class TorchrlWrapper(EnvBase):
    """An existing ``torchrl.envs.EnvBase``. It makes the steps, at its own cost; everything else is ours.

    Specs are converted one to one; batch size, device and keys stay. Public attributes that are not ours are theirs.
    ``set_seed(s)`` is theirs, and leaves torch's global generator as it was: an env that draws from that alone is not
    seeded by it.

    Args:
        env: it belongs to this object from here on, and is closed with it.

    Raises:
        ConfigError: no env of TorchRL's, or a spec that has no fixed shape.
    """

    def __init__(self, env: Any) -> None:  # Any: of a library that is there for some only
        if not isinstance(env, torchrl_envs.EnvBase):
            raise ConfigError(
                f"from_torchrl: expected a torchrl.envs.EnvBase, found {type(env).__module__}.{type(env).__name__}"
            )
        super().__init__(device=env.device, batch_size=env.batch_size, allow_done_after_reset=True)
        self._theirs = env
        convert: Any = from_torchrl_spec  # a Composite, where theirs is one
        self.observation_spec = convert(env.observation_spec, "observation_spec")
        self.full_action_spec = convert(env.full_action_spec, "action_spec")
        self.full_reward_spec = convert(env.full_reward_spec, "reward_spec")
        self.full_done_spec = convert(env.full_done_spec, "done_spec")
        self.state_spec = convert(env.state_spec, "state_spec")
        self._begun = [*self.observation_keys, *self.state_keys, *self.done_keys]
        self._followed = [*self.observation_keys, *self.reward_keys, *self.done_keys]

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        given = None if tensordict is None else tensordict.copy()
        fresh: TensorDictBase = self._theirs.reset(given, **options)
        return fresh.select(*self._begun, strict=False)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        stepped: TensorDictBase = self._theirs.step(tensordict.copy())
        following: TensorDictBase = stepped.get("next")
        return following.select(*self._followed, strict=False)

    def _set_seed(self, seed: int | None) -> None:
        with torch.random.fork_rng(devices=[]):
            self._theirs.set_seed(seed)

    def _close(self) -> None:
        self._theirs.close(raise_if_closed=False)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "_theirs" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._theirs, name)
