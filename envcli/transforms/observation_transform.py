"""What transforms of observations begin with, as for TorchRL."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from envcli.keys import NestedKey
from envcli.transforms.transform import Transform

__all__ = ["ObservationTransform"]


class ObservationTransform(Transform, ABC):
    """A :class:`Transform` to inherit from, whose ``in_keys`` are ``"observation"`` and ``"pixels"`` unless given.

    A subclass writes ``_apply_transform``. Of the two, it changes those that the env has. (TorchRL fails in the first
    step where one of them is missing.)

    Args:
        in_keys: which observations; None: those two.
        out_keys, in_keys_inv, out_keys_inv: see :class:`Transform`.
    """

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        self._finds = in_keys is None
        super().__init__(["observation", "pixels"] if in_keys is None else in_keys, out_keys, in_keys_inv, out_keys_inv)

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        return [] if self._finds else self.in_keys, self.in_keys_inv
