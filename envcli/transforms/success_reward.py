"""Pays for success alone."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.keys import NestedKey, as_path, under_next
from envcli.specs import Bounded, Composite
from envcli.transforms.transform import Transform

__all__ = ["SuccessReward"]


class SuccessReward(Transform):
    """The reward of a step is ``scale`` where it led to success, and 0 elsewhere.

    It has the shape of the success, ``[*batch, 1]`` say, and torch's default dtype. On a rollout it is written under
    ``"next"``, as in an env; on a TensorDict without a ``"next"`` beside the success.

    >>> import torch
    >>> from tensordict import TensorDict
    >>> SuccessReward(scale=2.0)(TensorDict({"success": torch.tensor([[True], [False]])}, [2]))["reward"].flatten()
    tensor([2., 0.])

    Args:
        success_key: a bool, or 0 and 1, that a step shows: an observation or a flag such as ``"terminated"``.
        reward_key: the reward that is written; one of that name is replaced.
        scale: what success pays.

    Raises:
        TransformError: in an env: there is no such success.
    """

    _keeps_values = False

    def __init__(
        self, success_key: NestedKey = "success", reward_key: NestedKey = "reward", *, scale: float = 1.0
    ) -> None:
        super().__init__([success_key], [reward_key])
        self.scale = float(scale)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs.to(torch.get_default_dtype()) * self.scale

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See the class; what is missing is left out."""
        following = tensordict.get("next", None)
        own = as_path(self.in_keys[0])
        if following is not None and own[0] != "next" and tensordict.get(under_next(own), None) is not None:
            self._call(following)
            return tensordict
        return self._call(tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return tensordict_reset

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the reward: 0 or ``scale``."""
        success, reward = self.in_keys[0], self.out_keys[0]
        for family in ("observation", "reward", "done"):
            leaf = output_spec[f"full_{family}_spec"].leaves().get(as_path(success))
            if leaf is not None:
                rewards = output_spec["full_reward_spec"]
                rewards[reward] = Bounded(
                    min(0.0, self.scale),
                    max(0.0, self.scale),
                    shape=leaf.shape,
                    device=leaf.device,
                    dtype=torch.get_default_dtype(),
                )
                output_spec["full_reward_spec"] = rewards
        return output_spec

    def extra_repr(self) -> str:
        """Both keys, for ``repr``."""
        return f"success_key={self.in_keys[0]!r}, reward_key={self.out_keys[0]!r}, scale={self.scale}"
