"""The noise of a policy that explores with one draw an episode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from envcli.keys import NestedKey
from envcli.specs import Composite, Unbounded
from envcli.transforms.tensordict_primer import TensorDictPrimer

__all__ = ["gSDENoise"]


class gSDENoise(TensorDictPrimer):  # named as TorchRL does
    """``_eps_gSDE``, ``[*batch, action_dim, state_dim]``: normal noise that is drawn at a reset and then kept.

    For generalised state-dependent exploration (Raffin and others, 2021), as TorchRL's ``gSDEModule`` does it, which
    adds to an action this noise times what its network made of the state. See :class:`TensorDictPrimer`, which draws by
    the seed of the env.

    >>> gSDENoise(state_dim=3, action_dim=1).primers["_eps_gSDE"].shape
    torch.Size([1, 3])

    Args:
        state_dim: features of the state that the policy multiplies by the noise.
        action_dim: values of an action. Without one of the two it is ``[*batch, 1]`` of ``default_value``, and stays of
            that shape: a rollout has no rows for noise that the policy draws itself (as TorchRL's do).
        shape: ``[*batch]`` of the env. None: whatever that is. (TorchRL takes that for ``[]``, and refuses a batch.)
        default_value, reset_key, expand_specs, single_default_value, call_before_env_reset: of a
            :class:`TensorDictPrimer`.

    Raises:
        ConfigError: a ``default_value`` of what is drawn.
    """

    def __init__(
        self,
        state_dim: int | None = None,
        action_dim: int | None = None,
        shape: Sequence[int] | None = None,
        default_value: float | Callable[..., Any] | None = None,
        reset_key: NestedKey | None = None,
        expand_specs: bool | None = None,
        single_default_value: bool = False,
        call_before_env_reset: bool = False,
    ) -> None:
        drawn = state_dim is not None and action_dim is not None
        lead = () if shape is None else tuple(shape)
        value = (action_dim, state_dim) if drawn else (1,)
        super().__init__(
            Composite({"_eps_gSDE": Unbounded((*lead, *value))}, shape=lead),
            drawn,
            default_value,
            reset_key,
            expand_specs,
            single_default_value,
            call_before_env_reset,
        )
        self.state_dim, self.action_dim = state_dim, action_dim
