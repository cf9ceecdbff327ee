"""A random piece of each trajectory."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey
from envcli.rows.env_specs import EnvSpecs
from envcli.transforms.transform import Transform

__all__ = ["RandomCropTensorDict"]


class RandomCropTensorDict(Transform):
    """``sub_seq_len`` steps in a row of each trajectory of a TensorDict, from a random one on: a new TensorDict.

    Each beginning that leaves so many steps is as likely as any other, for each trajectory by itself, by torch's global
    generator. (TorchRL never draws the last one, and fails on trajectories of just that length.) It is for data; in an
    env it cannot be.

    Args:
        sub_seq_len: how many steps.
        sample_dim: the dimension of time.
        mask_key: an entry of bools, one for each step of each trajectory: true for the steps it has, which come first,
            and false for what it is filled up with. None, or not there: they are all whole.

    Raises:
        ConfigError: ``sub_seq_len`` is less than 1.
        TransformError: in an env; or on a TensorDict: it has no such dimension, or a trajectory has too few steps.
    """

    def __init__(self, sub_seq_len: int, sample_dim: int = -1, mask_key: NestedKey | None = None) -> None:
        super().__init__()
        if sub_seq_len < 1:
            raise ConfigError(f"RandomCropTensorDict: sub_seq_len must be at least 1, found {sub_seq_len}")
        self.sub_seq_len, self.sample_dim, self.mask_key = sub_seq_len, sample_dim, mask_key

    def _inspect(self, before: EnvSpecs) -> None:
        raise TransformError(
            "RandomCropTensorDict: an env shows one step at a time. Apply it to a rollout: transform(rollout)"
        )

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``[..., time, ...]`` -> ``[..., sub_seq_len, ...]``; what it is given stays as it is."""
        shape = tensordict.batch_size
        if not -len(shape) <= self.sample_dim < len(shape):
            raise TransformError(
                f"RandomCropTensorDict: expected a TensorDict with a dimension {self.sample_dim}, found {list(shape)}"
            )
        axis = self.sample_dim % len(shape)
        lengths = self._lengths(tensordict, axis)
        shortest = int(lengths.min()) if lengths.numel() else self.sub_seq_len
        if shortest < self.sub_seq_len:
            raise TransformError(
                f"RandomCropTensorDict: a trajectory has {shortest} steps, and sub_seq_len is {self.sub_seq_len}"
            )
        last = lengths - self.sub_seq_len
        first = (torch.rand(last.shape, dtype=torch.float64, device=last.device) * (last + 1)).long()
        steps = torch.arange(self.sub_seq_len, device=last.device).reshape(-1, *[1] * (len(shape) - axis - 1))
        return tensordict.gather(axis, first.unsqueeze(axis) + steps)

    def _lengths(self, tensordict: TensorDictBase, axis: int) -> torch.Tensor:
        """The steps of each trajectory: the batch size without time."""
        shape = tensordict.batch_size
        mask: torch.Tensor | None = None if self.mask_key is None else tensordict.get(self.mask_key, None)
        if mask is None:
            rest = [*shape[:axis], *shape[axis + 1 :]]
            return torch.full(rest, shape[axis], dtype=torch.int64, device=tensordict.device)
        return mask.reshape(shape).sum(axis)

    def extra_repr(self) -> str:
        """The length, for ``repr``."""
        return f"sub_seq_len={self.sub_seq_len}, sample_dim={self.sample_dim}, mask_key={self.mask_key!r}"
