"""Takes away groups that hold nothing."""

from __future__ import annotations

from tensordict import TensorDictBase

from envcli.rows.row_hooks import RowHooks
from envcli.specs import Composite
from envcli.transforms.transform import Transform

__all__ = ["RemoveEmptySpecs"]


class RemoveEmptySpecs(Transform):
    """Specs without the groups that hold no entry, however deep, and TensorDicts without theirs.

    What a rollout stores never has such groups, with or without this; it is the specs that can, where an env assigns
    ``Composite(agents=Composite())``.
    """

    def __init__(self) -> None:
        super().__init__()

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``tensordict`` without empty groups, in place."""
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        for name, value in list(next_tensordict.items()):
            if isinstance(value, TensorDictBase):
                self._call(value)
                if value.is_empty():
                    next_tensordict.pop(name)
        return next_tensordict

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return RemoveEmptySpecs._call(self, tensordict_reset)

    def _row_hooks(self) -> RowHooks:
        return RowHooks()

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """Without empty groups; so are the other four."""
        return _filled(observation_spec)

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        """See :meth:`transform_observation_spec`."""
        return _filled(reward_spec)

    def transform_done_spec(self, done_spec: Composite) -> Composite:
        """See :meth:`transform_observation_spec`."""
        return _filled(done_spec)

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """See :meth:`transform_observation_spec`."""
        return _filled(action_spec)

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """See :meth:`transform_observation_spec`."""
        return _filled(state_spec)


def _filled(spec: Composite) -> Composite:
    return spec.of_leaves(spec.leaves().items())
