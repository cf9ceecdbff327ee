"""Torch's dtypes by their names, as YAML has them."""

from __future__ import annotations

import torch

from envcli.errors import ConfigError

__all__ = ["dtype_named"]


def dtype_named(where: str, name: torch.dtype | str) -> torch.dtype:
    """The dtype of that name, or ``name`` itself. Raises ConfigError, which begins with ``where``, if it is none.

    >>> dtype_named("dtype", "float64"), dtype_named("dtype", "torch.uint8")
    (torch.float64, torch.uint8)
    """
    found = getattr(torch, name.removeprefix("torch."), None) if isinstance(name, str) else name
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"{where}: expected a dtype of torch such as float32 or uint8, found {name!r}")
    return found
