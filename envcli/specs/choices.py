"""Which of a number of choices are allowed, element by element, and how to take one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from envcli.errors import SpecError
from envcli.specs.space import round_to_int64

__all__ = ["Choices"]


class Choices:
    """For each element of a batch, which of the indices from 0 on are allowed.

    ``count`` is one number for all, or an int64 tensor that broadcasts to ``[*batch]``: all indices below are allowed.
    ``mask``, bool ``[*batch, n]`` with ``n`` at least the largest count, takes some away.

    Raises :class:`~envcli.errors.SpecError` where nothing is left to choose from.

    >>> some = Choices(3, torch.tensor([True, False, True]), torch.device("cpu"))
    >>> some.nearest(torch.tensor([-1.0, 1.1, 7.0]))
    tensor([0, 2, 2])
    """

    def __init__(self, count: int | Tensor, mask: Tensor | None, device: torch.device) -> None:
        self._device, self._mask = device, mask
        self._is_empty = device.type == "meta"  # tensors have no values there
        self._limit = count  # an index is below this
        self._order: Tensor | None = None  # the allowed indices, then the others
        self._count = count  # how many are allowed
        if mask is not None:
            self._restrict(mask)

    def _restrict(self, mask: Tensor) -> None:
        allowed = mask.sum(-1)
        if not bool((allowed > 0).all()):
            raise SpecError("a mask must allow at least one choice everywhere, found one that allows none.")
        self._count = int(allowed) if allowed.ndim == 0 else allowed
        self._order = torch.sort((~mask).to(torch.uint8), dim=-1, stable=True).indices

    @staticmethod
    def split(mask: Tensor, nvec: Sequence[int]) -> Tensor:
        """A flat mask ``[*batch, sum(nvec)]`` as one row for each of the ``k`` groups, ``[*batch, k, max(nvec)]``."""
        widest = max(nvec)
        return torch.stack(
            [pad(part, (0, widest - part.shape[-1])) for part in torch.split_with_sizes(mask, nvec, -1)], -2
        )

    def draw(self, size: tuple[int, ...]) -> Tensor:
        """Allowed indices ``[*size]``, int64, each equally likely; ``size`` ends with the batch."""
        if self._is_empty:
            return torch.empty(size, dtype=torch.int64, device=self._device)
        if isinstance(self._count, int):
            place = torch.randint(self._count, size, device=self._device)
        else:
            place = torch.empty(size, dtype=torch.int64, device=self._device).random_().remainder_(self._count)
        if self._order is None:
            return place
        if self._order.ndim == 1:
            return self._order[place]
        order = self._order.expand(*size, self._order.shape[-1])
        return order.gather(-1, place.unsqueeze(-1)).squeeze(-1)

    def allow(self, index: Tensor) -> bool:
        """Whether every element of ``index``, ``[*lead, *batch]``, is a whole number and allowed."""
        whole = index.to(torch.int64)
        if index.is_floating_point() and not bool((whole == index).all()):
            return False
        if not self._below_limit(whole):
            return False
        if self._mask is None:
            return True
        mask = self._mask.expand(*whole.shape, self._mask.shape[-1])
        return bool(mask.gather(-1, whole.unsqueeze(-1)).all())

    def _below_limit(self, whole: Tensor) -> bool:
        if isinstance(self._limit, int) and whole.numel():
            least, most = torch.aminmax(whole)
            return bool(least.item() >= 0 and most.item() < self._limit)
        return bool(((whole >= 0) & (whole < self._limit)).all())

    def nearest(self, values: Tensor) -> Tensor:
        """The allowed index nearest to each element of ``values``, ``[*lead, *batch]``, as int64.

        Halves go to the even neighbour; between two allowed ones at equal distance across a gap the lower is taken.
        """
        if self._mask is None:
            limit = torch.as_tensor(self._limit, device=values.device)
            return torch.minimum(round_to_int64(values).clamp(min=0), limit - 1)
        indices = torch.arange(self._mask.shape[-1], device=values.device)
        inside = values.to(torch.float64).clamp(0, len(indices) - 1)
        distance = (inside.unsqueeze(-1) - indices).abs()
        return distance.masked_fill(~self._mask, float("inf")).argmin(-1)

    def best(self, scores: Tensor) -> Tensor:
        """The allowed index with the highest of ``scores``, ``[*lead, *batch, n]``; the first where several are."""
        scores = scores.to(torch.float64)
        if self._mask is not None:
            # -inf among the scores must lose against nothing allowed, so what is not allowed becomes a rank below it.
            scores = scores.clamp(min=-torch.finfo(torch.float64).max).masked_fill(~self._mask, -float("inf"))
        return scores.argmax(-1)
