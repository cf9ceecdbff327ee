"""Restricts actions to those that an observation allows."""

from __future__ import annotations

from envcli.errors import EnvcliError, TransformError
from envcli.keys import NestedKey, as_path
from envcli.rows.action_gate import masked
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.roles import Roles
from envcli.transforms.transform import Transform

__all__ = ["ActionMask"]


class ActionMask(Transform):
    """Random actions are drawn from what ``mask_key`` allows, and a user's or a policy's action that it forbids is
    refused.

    The mask is an observation or a state ``[*batch, n]``, true (or 1) where the choice is allowed; of several choices
    at once the masks stand one after the other. A mask that forbids everything, as one does of a finished game,
    restricts nothing.

    Unlike TorchRL's, ``env.action_spec`` stays as it is and holds every action of a rollout;
    ``env.rand_action(tensordict)`` draws by the mask in ``tensordict``, or by the one that was shown last. Outside an
    env it does nothing.

    Args:
        action_key: the action.
        mask_key: its mask.

    Raises:
        TransformError: in an env: no such action or mask; an action that is no choice; a mask of another shape; or a
            later transform that rewrites either.
        ActionError: from ``step`` and ``rollout``: an action that the mask forbids.
    """

    _resets_by_call = True

    def __init__(self, action_key: NestedKey = "action", mask_key: NestedKey = "action_mask") -> None:
        super().__init__()
        self.action_key, self.mask_key = action_key, mask_key
        self._is_state = False

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        return [] if self._is_state else [self.mask_key], [self.action_key]

    def _inspect(self, before: EnvSpecs) -> None:
        action = before.full_action_spec.leaves().get(as_path(self.action_key))
        state = before.state_spec.leaves().get(as_path(self.mask_key))
        mask, self._is_state = before.observation_spec.leaves().get(as_path(self.mask_key), state), state is not None
        if action is None or mask is None:
            return  # said with what is there by whoever asks for _required_keys
        try:
            masked(action, mask.one())
        except (EnvcliError, AttributeError, RuntimeError) as error:
            raise TransformError(
                f"ActionMask: {self.mask_key!r}, {list(mask.shape)}, does not fit as a mask for {self.action_key!r}, "
                f"{type(action).__name__} {list(action.shape)}. It needs one entry for each choice, and the "
                f"action must be a single choice"
            ) from error

    def _roles(self) -> Roles:
        return Roles(masks={as_path(self.action_key): as_path(self.mask_key)})

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"action_key={self.action_key!r}, mask_key={self.mask_key!r}"
