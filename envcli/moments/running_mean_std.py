"""A running mean and variance as a module, whose buffers move and are saved with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["RunningMeanStd"]

_LEAST = 1e-8  # what a variance is taken for at least


class RunningMeanStd(torch.nn.Module):
    """Mean and variance of all values seen so far, as in TorchRL.

    They are merged from those of each batch by the formula of Chan, Golub and LeVeque (1979). ``mean`` and ``var``,
    ``[*shape]``, and ``count`` are buffers in float32.

    >>> import torch
    >>> seen = RunningMeanStd([2])
    >>> seen.update(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    >>> seen.mean
    tensor([1.9999, 0.0000])

    Args:
        shape: of a value.
        epsilon: the count to begin with, of values of mean 0 and variance 1.
    """

    mean: torch.Tensor
    var: torch.Tensor
    count: torch.Tensor

    def __init__(self, shape: Sequence[int] = (), epsilon: float = 1e-4) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tuple(shape)))
        self.register_buffer("var", torch.ones(tuple(shape)))
        self.register_buffer("count", torch.tensor(float(epsilon)))

    @torch.no_grad()
    def update(self, x: torch.Tensor) -> None:
        """Learn from ``x``, ``[*batch, *shape]``."""
        values = x.float().reshape(-1, *self.mean.shape)
        if not len(values):
            return
        added, mean = len(values), values.mean(0)
        total = self.count + added
        delta = mean - self.mean
        squares = self.var * self.count + values.var(0, correction=0) * added
        self.var.copy_((squares + delta.square() * (self.count * added / total)) / total)
        self.mean.add_(delta * (added / total))
        self.count.copy_(total)

    def normalize(self, x: torch.Tensor) -> torch.Tensor:
        """``(x - mean) / std`` in float32, ``[*batch, *shape]``."""
        return (x.float() - self.mean) / self.std

    @property
    def std(self) -> torch.Tensor:
        """The square root of ``var``, or of 1e-8 where that is less."""
        return self.var.clamp_min(_LEAST).sqrt()
