"""One action space for policies that play games with different numbers of actions."""

from __future__ import annotations

import torch

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey
from envcli.specs import Categorical, OneHot, TensorSpec
from envcli.transforms.action_transform import ActionTransform
from envcli.transforms.drawing import Drawing

__all__ = ["DiscreteActionProjection"]


class DiscreteActionProjection(Drawing, ActionTransform):
    """The user chooses among ``max_actions``; what the simulator does not have becomes one of what it has, at random.

    An action below ``num_actions_effective`` is kept. Another is replaced by one that is drawn, uniformly, as
    :class:`~envcli.transforms.drawing.Drawing` says. One-hot actions and numbers are both taken, in the env's own kind
    (TorchRL 0.14 sends a one-hot vector to an env that takes numbers); outside an env actions are one-hot.

    Args:
        num_actions_effective: how many actions the simulator has.
        max_actions: how many the user may choose among.
        action_key: the action.
        include_forward: on a TensorDict alone, ``forward`` makes the user's action of the simulator's; False: nothing.

    Raises:
        ConfigError: ``num_actions_effective`` is below 1 or above ``max_actions``.
        TransformError: in an env: the action is no choice, or one among another number.
    """

    def __init__(
        self,
        num_actions_effective: int,
        max_actions: int,
        action_key: NestedKey = "action",
        include_forward: bool = True,
    ) -> None:
        super().__init__([action_key], in_keys=None if include_forward else [])
        if not 1 <= num_actions_effective <= max_actions:
            raise ConfigError(
                f"num_actions_effective: expected 1 to max_actions, {max_actions}, found {num_actions_effective}"
            )
        self.num_actions_effective, self.max_actions = num_actions_effective, max_actions
        self.action_key, self.include_forward = action_key, include_forward
        self._one_hot = True

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(obs, (0, self.max_actions - obs.shape[-1])) if self._one_hot else obs

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        chosen = state.to(torch.uint8).argmax(-1) if self._one_hot else state
        drawn = torch.randint(self.num_actions_effective, chosen.shape, generator=self._generator).to(state.device)
        chosen = torch.where(chosen < self.num_actions_effective, chosen, drawn)
        if not self._one_hot:
            return chosen.to(state.dtype)
        columns = torch.arange(self.num_actions_effective, device=state.device)
        return (chosen.unsqueeze(-1) == columns).to(state.dtype)

    def _leaf_before(self, leaf: TensorSpec, lead: int, which: int) -> TensorSpec:
        if not isinstance(leaf, (OneHot, Categorical)) or leaf.n != self.num_actions_effective:
            count = f" of {leaf.n}" if isinstance(leaf, (OneHot, Categorical)) else ""
            raise TransformError(
                f"DiscreteActionProjection: expected {self.action_key!r} to be a choice of "
                f"{self.num_actions_effective}, found {type(leaf).__name__}{count} {list(leaf.shape)}. "
                "Set num_actions_effective"
            )
        self._one_hot = isinstance(leaf, OneHot)
        shape = (*leaf.shape[:-1], self.max_actions) if self._one_hot else leaf.shape
        return type(leaf)(self.max_actions, shape, leaf.device, leaf.dtype)

    def extra_repr(self) -> str:
        """The two numbers, for ``repr``."""
        return (
            f"num_actions_effective={self.num_actions_effective}, max_actions={self.max_actions}, "
            f"action_key={self.action_key!r}"
        )
