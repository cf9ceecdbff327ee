"""Choices as vectors that are one in a single place."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.discrete import DiscreteSpec
from envcli.specs.spec import TensorSpec

__all__ = ["HotSpec"]


class HotSpec(DiscreteSpec):
    """One-hot vectors along the last dimension, one or several side by side, which indices stand for.

    The last dimension cannot be indexed or reshaped. A subclass says what the vectors and their indices are, besides
    what :class:`DiscreteSpec` asks for.
    """

    _event_dims = 1

    @abstractmethod
    def _vectors(self, value: Tensor) -> Sequence[Tensor]:
        """Each vector of ``value``, ``[*lead, n]``."""

    @abstractmethod
    def _hot(self, index: Tensor) -> Tensor:
        """The vectors that ``index`` stands for."""

    @abstractmethod
    def _index_shape(self) -> torch.Size:
        """The shape of the indices that a member stands for."""

    @abstractmethod
    def to_categorical(self, val: Tensor, safe: bool = True) -> Tensor:
        """The indices of ``val``, int64 ``[*lead, *those of a member]``; ``safe`` checks it first."""

    @abstractmethod
    def to_categorical_spec(self) -> TensorSpec:
        """The spec of the indices, with the same choices and mask."""

    @abstractmethod
    def _wanted(self) -> str:
        """What to give for a member."""

    def enumerate(self, use_mask: bool = False) -> Tensor:
        """All members of one row, ``[cardinality, *self.shape]``; each holds for the whole batch.

        ``use_mask=True`` leaves out what the mask forbids; raises SpecError where it differs within the batch.
        """
        return self._hot(self.to_categorical_spec().enumerate(use_mask))

    def _encoded(self, tensor: Tensor) -> Tensor:
        """The vectors of ``tensor``, indices ``[*lead, *those of a member]``, in fresh memory.

        What is a member already is copied. Raises SpecError for an index that is not a whole number or not allowed.
        """
        if self.is_in(tensor):
            return tensor.clone()
        if tensor.dtype == torch.bool or not self._fits_index(tensor) or not self._choices.allow(tensor):
            raise SpecError(f"{self._complaint(tensor)} Give {self._wanted()} of {self._dtype}.")
        return self._hot(tensor.to(torch.int64))

    def _fits_index(self, index: Tensor) -> bool:
        wanted = self._index_shape()
        return index.ndim >= len(wanted) and index.shape[index.ndim - len(wanted) :] == wanted

    def to_numpy(self, val: Any, safe: bool = True) -> Any:
        """The indices of ``val``, as :meth:`to_categorical` has them, in an int64 array."""
        return self.to_categorical(val, safe).cpu().numpy()

    def to_one_hot(self, val: Tensor, safe: bool = True) -> Tensor:
        """``val`` itself; ``safe`` checks it first."""
        if safe:
            self.assert_is_in(val)
        return val

    def to_one_hot_spec(self) -> TensorSpec:
        """This spec."""
        return self

    def _mask_shape(self) -> torch.Size:
        return self._shape

    def _holds(self, value: Tensor) -> bool:
        hot = value != 0
        if value.dtype != torch.bool and not bool((value == hot).all()):
            return False
        if self._mask is not None and bool((hot & ~self._mask).any()):
            return False
        return all(bool((vector.sum(-1) == 1).all()) for vector in self._vectors(hot))
