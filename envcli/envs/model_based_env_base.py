"""ModelBasedEnvBase: an env whose steps a network imagines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.envs.env_base import EnvBase
from envcli.keys import as_user_key
from envcli.rows.env_specs import FAMILIES, EnvSpecs

__all__ = ["ModelBasedEnvBase"]


class ModelBasedEnvBase(EnvBase):
    """The base of envs that are a model of a world: ``_step`` is what ``world_model`` makes of a TensorDict.

    A subclass assigns the specs, or takes those of a real env with :meth:`set_specs_from_env`, and writes ``_reset``.
    It takes TensorDicts of any batch size (``batch_locked`` is False); rollouts that begin from one of another size
    than the env's keep their graph. Flags that the model does not write are false.

    Args:
        world_model: from a TensorDict with the action to one that holds observations and rewards too, such as a
            ``TensorDictModule``. It is moved to ``device``, and its parameters are the env's.
        params, buffers: given to the model by these names, as for a functional one, if there are ``params``.
        device, batch_size, run_type_checks, allow_done_after_reset: see :class:`EnvBase`.
    """

    _batch_locked = False

    def __init__(
        self,
        world_model: Callable[..., TensorDictBase],
        params: Any = None,  # Any: of whatever kind the model takes
        buffers: Any = None,
        device: torch.device | str | None = "cpu",
        batch_size: object = None,
        run_type_checks: bool = False,
        allow_done_after_reset: bool = False,
    ) -> None:
        super().__init__(
            device=device,
            batch_size=batch_size,
            run_type_checks=run_type_checks,
            allow_done_after_reset=allow_done_after_reset,
        )
        if isinstance(world_model, torch.nn.Module) and self.device is not None:
            world_model = world_model.to(self.device)
        self.world_model = world_model
        self.world_model_params, self.world_model_buffers = params, buffers

    def set_specs_from_env(self, env: EnvSpecs) -> None:
        """Take the specs of ``env``, whose batch size must be the same."""
        for family in FAMILIES:
            self._assign(family, env._spec(family).clone())

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        given = tensordict.copy()
        functional = self.world_model_params is not None
        options = {"params": self.world_model_params, "buffers": self.world_model_buffers} if functional else {}
        imagined = self.world_model(given, **options)
        shown = [as_user_key(path) for path in self._shown(("observation", "reward", "done"))]
        stale = [key for key in self.done_keys if imagined.get(key, None) is tensordict.get(key, None)]
        return imagined.select(*shown, strict=False).exclude(*stale)

    @abstractmethod
    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        """See :meth:`EnvBase._reset`."""

    def _set_seed(self, seed: int | None) -> None:
        """Nothing: a model draws from torch's global generator, if at all. (TorchRL warns.)"""
