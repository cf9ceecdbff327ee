"""Keeps rewards within limits."""

from __future__ import annotations

from collections.abc import Sequence

from envcli.keys import NestedKey
from envcli.transforms.clip import ClipTransform

__all__ = ["RewardClipping"]


class RewardClipping(ClipTransform):
    """Rewards below ``clamp_min`` become ``clamp_min``, those above ``clamp_max`` become ``clamp_max``; NaN stays NaN.

    Args:
        clamp_min, clamp_max: the limits, both included; None: no limit on that side. (TorchRL's default is None, with
            which it fails; one of the two must be given.)
        in_keys: which rewards; None: all that the env has, ``"reward"`` outside an env.
        out_keys: what they are called after; None: the same.

    Raises:
        ConfigError: there is no limit, or ``clamp_min`` exceeds ``clamp_max``.
    """

    _family = "reward"
    _resets_by_call = False
    _stated = ("clamp_min", "clamp_max")

    def __init__(
        self,
        clamp_min: float | None = None,
        clamp_max: float | None = None,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys, low=clamp_min, high=clamp_max)

    @property
    def clamp_min(self) -> float | None:
        """The least a reward can be."""
        return self.low

    @clamp_min.setter
    def clamp_min(self, clamp_min: float | None) -> None:
        self.low = clamp_min

    @property
    def clamp_max(self) -> float | None:
        """The most a reward can be."""
        return self.high

    @clamp_max.setter
    def clamp_max(self, clamp_max: float | None) -> None:
        self.high = clamp_max
