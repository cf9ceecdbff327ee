"""A transform of ours as one of TorchRL's, for its replay buffers."""

from __future__ import annotations

from typing import Any

from tensordict import TensorDictBase

from envcli.errors import ConfigError, MissingDependency
from envcli.transforms.transform import Transform

try:
    from torchrl.envs import Transform as TheirTransform
except ModuleNotFoundError as error:
    raise MissingDependency("torchrl", "as_torchrl") from error

__all__ = ["TorchrlTransform"]


class TorchrlTransform(TheirTransform):  # type: ignore[misc]  # of a library that is there for some only
    """``transform`` for a ``ReplayBuffer``: ``inv`` changes what is put into it, ``forward`` what is sampled.

    A replay buffer calls a ``transform`` of ours as it calls any function, on samples alone: without this, one that
    works on what is put in, such as :class:`~envcli.MultiStepTransform`, would do nothing and nobody would say so.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A sample, as ``transform`` changes it."""
        changed: TensorDictBase = self.transform(tensordict)
        return changed

    def inv(self, tensordict: TensorDictBase) -> TensorDictBase:
        """What is kept of ``tensordict``."""
        return self.transform.inv(tensordict)

    _inv_call = inv

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        raise self._of_no_env()

    def _reset(self, tensordict: Any, tensordict_reset: Any) -> TensorDictBase:
        raise self._of_no_env()

    def _of_no_env(self) -> ConfigError:
        name = type(self.transform).__name__
        return ConfigError(
            f"as_torchrl({name}) is for replay buffers. For an env: as_torchrl(envcli.TransformedEnv(env, {name}(...)))"
        )
