"""TorchRL's specs: as ours, and ours as theirs, one to one."""

from __future__ import annotations

from typing import Any

import torch

from envcli.errors import ConfigError, MissingDependency
from envcli.specs import (
    Binary,
    Bounded,
    Categorical,
    Composite,
    MultiCategorical,
    MultiOneHot,
    OneHot,
    TensorSpec,
    Unbounded,
)

try:
    from torchrl import data
except ModuleNotFoundError as error:
    raise MissingDependency("torchrl", "what makes an env TorchRL's, or ours,") from error

__all__ = ["from_torchrl_spec", "is_torchrl_spec", "to_torchrl_spec"]

# Specs of a library that is there for some only are Any throughout this file.


def is_torchrl_spec(value: Any) -> bool:
    """Is ``value`` a spec of TorchRL's?"""
    return isinstance(value, data.TensorSpec)


def to_torchrl_spec(spec: TensorSpec) -> Any:
    """TorchRL's spec with the name, shape, dtype, device, bounds and mask of ``spec``."""
    match spec:
        case Composite():
            leaves = {key: to_torchrl_spec(leaf) for key, leaf in spec.items()}
            return data.Composite(leaves, shape=spec.shape, device=spec.device)
        case Bounded():
            return data.Bounded(spec.low, spec.high, spec.shape, spec.device, spec.dtype)
        case Unbounded():
            return data.Unbounded(spec.shape, spec.device, spec.dtype)
        case Binary():
            return data.Binary(shape=spec.shape, device=spec.device, dtype=spec.dtype)
        case MultiCategorical():  # whose nvec they want without the dimensions of a batch, or one for each of it
            return data.MultiCategorical(
                spec.nvec, spec.shape, spec.device, spec.dtype, mask=spec.mask, remove_singleton=False
            )
        case MultiOneHot():
            return data.MultiOneHot(list(spec.nvec), spec.shape, spec.device, spec.dtype, mask=spec.mask)
        case OneHot():
            return data.OneHot(spec.n, spec.shape, spec.device, spec.dtype, mask=spec.mask)
        case Categorical():
            return data.Categorical(spec.n, spec.shape, spec.device, spec.dtype, mask=spec.mask)
    raise ConfigError(f"TorchRL has no equivalent of {type(spec).__name__}")


def from_torchrl_spec(theirs: Any, where: str = "") -> TensorSpec:
    """Our spec with the name, shape, dtype, device, bounds and mask of ``theirs``.

    Raises:
        ConfigError: a spec without a fixed shape, of no tensors (``NonTensor``), or of a choice among specs; names the
            entry.
    """
    shape, device, dtype = theirs.shape, theirs.device, theirs.dtype
    kind = type(theirs)
    if issubclass(kind, data.Composite) and kind.__name__ == "Composite":
        leaves = {key: from_torchrl_spec(leaf, f"{where}.{key}".strip(".")) for key, leaf in theirs.items()}
        return Composite(leaves, shape=shape, device=device)
    if -1 in shape:
        raise ConfigError(f"{where or 'spec'}: shape {list(shape)} is not fixed, so its values do not fit in rows")
    if issubclass(kind, data.Bounded):
        return Bounded(theirs.space.low, theirs.space.high, shape, device, dtype)
    if issubclass(kind, data.Unbounded):
        return Unbounded(shape, device=device, dtype=dtype)
    if issubclass(kind, data.Binary):
        return Binary(shape=shape, device=device, dtype=dtype)
    if issubclass(kind, data.MultiCategorical):
        return MultiCategorical(torch.as_tensor(theirs.nvec), shape, device, dtype, theirs.mask)
    if issubclass(kind, data.MultiOneHot):
        return MultiOneHot(list(theirs.nvec), shape, device, dtype, theirs.mask)
    if issubclass(kind, data.OneHot):
        return OneHot(theirs.space.n, shape, device, dtype, theirs.mask)
    if issubclass(kind, data.Categorical):
        return Categorical(theirs.space.n, shape, device, dtype, theirs.mask)
    raise ConfigError(f"{where or 'spec'}: {kind.__name__} of TorchRL holds no tensors of one shape. Leave it out")
