"""The contract of the specs of choices: a mask that takes some away, and indices into other tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.choices import Choices
from envcli.specs.shaped import home_of
from envcli.specs.space import Box
from envcli.specs.spec import TensorSpec

__all__ = ["DiscreteSpec"]


class DiscreteSpec(TensorSpec):
    """A spec whose elements are choices, some of which a mask may forbid.

    A subclass writes ``_choose`` besides what :class:`TensorSpec` asks for.
    """

    def __init__(
        self, shape: torch.Size, space: Box, device: torch.device, dtype: torch.dtype, mask: Tensor | None
    ) -> None:
        super().__init__(shape, space, device, dtype, "discrete")
        self._home = home_of(device)
        self.update_mask(mask)

    @abstractmethod
    def _choose(self, mask: Tensor | None) -> Choices:
        """The choices that ``mask``, bool ``[*batch, n]``, leaves."""

    @abstractmethod
    def _mask_shape(self) -> torch.Size:
        """The shape of a whole mask."""

    @property
    def mask(self) -> Tensor | None:
        """Which choices are allowed, bool, one entry for each choice along the last dimension; None allows all."""
        return self._mask

    def update_mask(self, mask: Tensor | None) -> None:
        """Allow, from now on and in this very spec, what ``mask`` says; None allows everything.

        ``mask`` is bool and broadcasts to ``[*batch, n]``; it is copied. Raises SpecError for another dtype or shape,
        and where it leaves nothing to choose from.
        """
        if mask is not None:
            mask = self._whole_mask(mask)
        self._choices = self._choose(mask)
        self._mask = mask

    def _whole_mask(self, mask: Tensor) -> Tensor:
        target = self._mask_shape()
        if mask.dtype != torch.bool or mask.ndim > len(target):
            raise SpecError(f"a mask must be bool {list(target)}, found {mask.dtype} {list(mask.shape)}.")
        try:
            return mask.detach().to(self._home).clone().expand(target)
        except RuntimeError as error:
            raise SpecError(f"a mask must broadcast to {list(target)}, found {list(mask.shape)}.") from error

    def _mask_or_all(self) -> Tensor:
        """The mask; all ones where there is none."""
        if self._mask is not None:
            return self._mask
        return torch.ones(self._mask_shape(), dtype=torch.bool, device=self._home)

    def _stacked(self, specs: Sequence[Self], where: int) -> Self:
        if any(spec._space != self._space for spec in specs):
            return super()._stacked(specs, where)
        stacked = self._repeated(where, len(specs))
        stacked.update_mask(torch.stack([spec._mask_or_all() for spec in specs], where))
        return stacked

    def _common_mask(self) -> Tensor:
        """The mask ``[n]`` that the whole batch shares."""
        assert self._mask is not None
        rows = self._mask.reshape(-1, self._mask.shape[-1])
        if not len(rows) or not bool((rows == rows[0]).all()):
            raise SpecError("the mask differs within the batch, so there is no single list. Index the spec first.")
        return rows[0]

    __hash__ = TensorSpec.__hash__  # which a class that writes __eq__ does not inherit

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, DiscreteSpec) or not super().__eq__(other):
            return False
        if self._mask is None or other._mask is None:
            return self._mask is other._mask
        return torch.equal(self._mask, other._mask)
