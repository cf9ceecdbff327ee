"""Scales and shifts rewards."""

from __future__ import annotations

from collections.abc import Sequence

from envcli.errors import ConfigError
from envcli.keys import NestedKey
from envcli.transforms.affine import Affine
from envcli.transforms.loc_scale import Numbers

__all__ = ["RewardScaling"]


class RewardScaling(Affine):
    """``reward * scale + loc``, or ``(reward - loc) / scale`` if ``standard_normal``. A float reward keeps its dtype.

    Args:
        loc, scale: numbers, or as many as the reward has.
        in_keys: which rewards; None: all that the env has, ``"reward"`` outside an env.
        out_keys: what they are called after; None: the same.
        standard_normal: ``loc`` and ``scale`` are mean and standard deviation, and taken out.

    Raises:
        ConfigError: ``loc`` or ``scale`` is not made of numbers, or is missing.
    """

    _family = "reward"

    def __init__(
        self,
        loc: Numbers,
        scale: Numbers,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        standard_normal: bool = False,
    ) -> None:
        super().__init__(loc, scale, in_keys, out_keys, standard_normal=standard_normal)
        if self.loc is None:
            raise ConfigError("RewardScaling: found no numbers. Give loc and scale")
