"""Another batch size of the same envs, or of an env that takes any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.rows.row_hooks import RowHooks
from envcli.specs import Composite
from envcli.transforms.hooks import HookPlan
from envcli.transforms.transform import Transform

__all__ = ["BatchSizeTransform"]

Reshaping = Callable[[TensorDictBase], TensorDictBase]


class BatchSizeTransform(Transform):
    """Another batch size: ``reshape_fn`` gives it to the envs of any batch, ``batch_size`` to an env that takes any.

    A reshaped batch is the same memory; nothing is copied. An :class:`~envcli.EnvBase` with ``batch_locked=False`` is
    run at ``batch_size`` with all of its chain: its ``_step`` gets TensorDicts ``[*batch_size]``, and what ``_reset``
    gives for a single env is expanded to all. (TorchRL: the transforms before this one still see a single env.)

    Args:
        batch_size: that of the new env.
        reshape_fn: from a TensorDict to one of another shape: ``reshape``, ``flatten``, ``unflatten``, ``squeeze`` or
            ``unsqueeze``. The order of the envs stays.
        reset_func: ``reset_func(tensordict, tensordict_reset)`` is called at a reset with what that is given, and what
            the env before this one shows; what it returns is shown instead.
        env_kwarg: it also takes ``env``, the env with all its transforms.

    Raises:
        ConfigError: not just one of ``batch_size`` and ``reshape_fn``.
        TransformError: in an env: it has a batch size already that is not to be reshaped; or ``reshape_fn`` gives the
            envs another order.

    >>> from envcli import GymEnv, TransformedEnv
    >>> env = TransformedEnv(GymEnv("Pendulum-v1"), BatchSizeTransform(reshape_fn=lambda td: td.reshape(1, 1)))
    >>> env.rollout(4)["observation"].shape
    torch.Size([1, 1, 4, 3])
    """

    def __init__(
        self,
        *,
        batch_size: Sequence[int] | None = None,
        reshape_fn: Reshaping | None = None,
        reset_func: Callable[..., TensorDictBase] | None = None,
        env_kwarg: bool = False,
    ) -> None:
        super().__init__()
        if (batch_size is None) == (reshape_fn is None):
            raise ConfigError("BatchSizeTransform: expected one of batch_size and reshape_fn, found both or none")
        self.batch_size = None if batch_size is None else torch.Size(batch_size)
        self.reshape_fn, self.reset_func, self.env_kwarg = reshape_fn, reset_func, env_kwarg

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``reshape_fn`` of it."""
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return next_tensordict if self.reshape_fn is None else self.reshape_fn(next_tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        if self.reset_func is not None:
            env = {"env": self.container} if self.env_kwarg else {}
            tensordict_reset = self.reset_func(tensordict, tensordict_reset, **env)
        return self._call(tensordict_reset) if self.batch_size is None else tensordict_reset.expand(self.batch_size)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        if self.reshape_fn is None or self.parent is None:
            return tensordict
        return tensordict.reshape(self.parent.batch_size)

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_env_batch_size(self, batch_size: torch.Size) -> torch.Size:
        """``batch_size``, or what ``reshape_fn`` makes of the one before."""
        if self.reshape_fn is None:
            assert self.batch_size is not None
            return self.batch_size
        places = torch.arange(batch_size.numel()).reshape(batch_size)
        made = self.reshape_fn(TensorDict({"place": places}, batch_size))
        if not isinstance(made, TensorDictBase):
            raise TransformError(
                f"BatchSizeTransform: reshape_fn gave a {type(made).__name__}, expected a TensorDict of another shape"
            )
        if not torch.equal(made.get("place").flatten(), places.flatten()):
            raise TransformError(
                "BatchSizeTransform: reshape_fn changes the order or the number of the envs. It may reshape, flatten, "
                "unflatten, squeeze and unsqueeze"
            )
        return made.batch_size

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """The same in the new shape."""
        return self._reshaped(output_spec)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """The same in the new shape."""
        return self._reshaped(input_spec)

    def _reshaped(self, spec: Composite) -> Composite:
        shape = self.transform_env_batch_size(spec.shape)
        return spec.reshape(shape) if self.reshape_fn is not None else spec.expand(shape)

    def _widens_to(self) -> torch.Size | None:
        return self.batch_size

    # -- rows -----------------------------------------------------------------------------------------------------

    def _row_hooks(self) -> RowHooks:
        return RowHooks()  # rows of another shape are the same memory

    @property
    def _hook_plan(self) -> HookPlan:
        plan = super()._hook_plan
        return plan if self.reset_func is None else replace(plan, on_tensordicts=plan.on_tensordicts | {"reset"})

    def extra_repr(self) -> str:
        """The shape, for ``repr``."""
        if self.batch_size is not None:
            return f"batch_size={list(self.batch_size)}"
        return f"reshape_fn={getattr(self.reshape_fn, '__name__', self.reshape_fn)}"
