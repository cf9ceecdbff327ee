"""One reward of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey
from envcli.specs import Bounded, TensorSpec
from envcli.specs.space import ContinuousBox
from envcli.transforms.loc_scale import as_numbers
from envcli.transforms.stated import Stated

__all__ = ["LineariseRewards"]


class LineariseRewards(Stated):
    """The weighted sum of the rewards that an env pays for several objectives: ``[*batch, n]`` becomes ``[*batch, 1]``.

    >>> import torch
    >>> from tensordict import TensorDict
    >>> td = TensorDict(reward=torch.tensor([[1.0, 2.0], [3.0, 4.0]]), batch_size=[2])
    >>> LineariseRewards(["reward"], weights=[0.5, 2.0])(td)["reward"]
    tensor([[4.5000],
            [9.5000]])

    It is Bounded where the rewards are, within the sums of their bounds. Whole numbers are summed too. (TorchRL refuses
    them.)

    Args:
        in_keys: which rewards. The weights are the same for each; for others take another one of these.
        out_keys: what the sums are called; None: the same.
        weights: of the objectives, ``[n]``; None: 1 each.

    Raises:
        ConfigError: ``weights`` have more than one dimension, or are no numbers.
        TransformError: ``in_keys`` and ``out_keys`` are not equally many; or, in an env and on a TensorDict: not as
            many weights as objectives, or a reward of no dimension.
    """

    _keeps_values = False
    _stated = ("weights",)

    def __init__(
        self,
        in_keys: Sequence[NestedKey],
        out_keys: Sequence[NestedKey] | None = None,
        *,
        weights: Sequence[float] | torch.Tensor | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys)
        self._require_pairs()
        self.weights = None if weights is None else as_numbers(weights, "weights")
        if self.weights is not None and self.weights.ndim > 1:
            raise ConfigError(f"weights: expected one number for each objective, found {list(self.weights.shape)}")

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        weights = self._weights(obs.shape)
        return (obs if weights is None else obs * weights.to(obs.device)).sum(-1, keepdim=True)

    def _weights(self, shape: torch.Size) -> torch.Tensor | None:
        """Those of a reward of this shape."""
        count = None if self.weights is None else self.weights.numel()
        if not shape or count not in (None, shape[-1]):
            found, expected = shape[-1] if shape else "no", "at least one" if count is None else f"{count}, as weights"
            raise TransformError(
                f"LineariseRewards: a reward {list(shape)} has {found} objectives along its last dimension, expected "
                f"{expected}"
            )
        return self.weights

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        plain, box = super()._leaf_after(leaf), leaf.space
        if not isinstance(leaf, Bounded) or not isinstance(box, ContinuousBox):
            return plain
        weights = self._weights(leaf.shape)
        weights = torch.ones(leaf.shape[-1]) if weights is None else weights.to(box.low.device)
        ends = [torch.where(weights == 0, 0, weights * end) for end in (box.low, box.high)]  # 0 of infinity too
        low, high = torch.minimum(*ends).sum(-1, keepdim=True), torch.maximum(*ends).sum(-1, keepdim=True)
        if bool((low.isinf() & high.isinf()).all()):
            return plain
        return Bounded(low.to(plain.dtype), high.to(plain.dtype), plain.shape, device=plain.device, dtype=plain.dtype)

    # -- its state ------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, Any]:
        return {} if self.weights is None else {"weights": self.weights}

    def _take_state(self, state: Mapping[str, Any]) -> None:
        found = state.get("weights")
        if found is None:
            return
        if self.weights is None or found.shape != self.weights.shape:
            own = None if self.weights is None else list(self.weights.shape)
            raise TransformError(f"LineariseRewards: expected weights {own}, found {list(found.shape)}")
        self.weights = found.detach().to("cpu", self.weights.dtype).clone()

    def extra_repr(self) -> str:
        """Keys and weights, for ``repr``."""
        weights = None if self.weights is None else self.weights.tolist()
        return f"{super().extra_repr()}, weights={weights}"
