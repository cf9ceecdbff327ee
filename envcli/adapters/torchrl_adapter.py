"""An env of ours as an ``EnvBase`` of TorchRL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from tensordict import TensorDictBase

from envcli.adapters.torchrl_specs import to_torchrl_spec
from envcli.envs.env import Env
from envcli.errors import MissingDependency
from envcli.keys import as_user_key

try:
    from torchrl.envs import EnvBase
except ModuleNotFoundError as error:
    raise MissingDependency("torchrl", "as_torchrl") from error

__all__ = ["TorchrlAdapter"]


class TorchrlAdapter(EnvBase):  # type: ignore[misc]  # of a library that is there for some only
    """``env`` for TorchRL's collectors, transforms and losses.

    Names, shapes and TensorDicts are TorchRL's already: specs are converted one to one, batch size, device and keys
    stay, a batch of ours is a batch of theirs, and what ``reset`` and ``step`` hand out is fresh memory. The same seed
    and actions give the same trajectory as ``env`` itself; the seed that ``set_seed`` returns is TorchRL's own.

    Args:
        env: it belongs to this object from here on, is started here if it is a batch, and closed with it.
    """

    def __init__(self, env: Env) -> None:
        env._require_open()
        super().__init__(device=env.device, batch_size=env.batch_size, allow_done_after_reset=True)
        self.base_env = env
        self.observation_spec = to_torchrl_spec(env.observation_spec)
        self.full_action_spec = to_torchrl_spec(env.full_action_spec)
        self.full_reward_spec = to_torchrl_spec(env.full_reward_spec)
        self.full_done_spec = to_torchrl_spec(env.full_done_spec)
        self.state_spec = to_torchrl_spec(env.state_spec)
        self._begun = [*env.observation_keys, *env.state_keys, *env.done_keys]
        self._left = [as_user_key(path) for path in env._roles().writes_back]

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        fresh = self.base_env.reset(None if tensordict is None else tensordict.copy(), **options)
        return fresh.select(*self._begun, strict=False)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        stepped = self.base_env.step(tensordict.copy())
        for key in self._left:
            tensordict.set(key, stepped.get(key))
        following: TensorDictBase = stepped.get("next")
        return following

    def _set_seed(self, seed: int | None) -> None:
        self.base_env.set_seed(seed)

    def apply(self, fn: Callable[[Any], None]) -> Self:
        """As of any module, and with those of the env before: its transforms, such as a ``VideoRecorder``, are ours."""
        self.base_env.apply(fn)
        super().apply(fn)
        return self

    def close(self, *, raise_if_closed: bool = True) -> None:
        """Close the env, and with it its processes. See TorchRL."""
        self.base_env.close()
        super().close(raise_if_closed=raise_if_closed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_env!r})"
