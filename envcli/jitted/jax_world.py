"""Envs as functions of JAX, compiled for a batch: what Brax's and Jumanji's have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import jax
import numpy as np
import torch
import torch.utils.dlpack
from jax import numpy as jnp
from torch import Tensor

from envcli.errors import ConfigError
from envcli.memory.buffer import Array

__all__ = ["JaxWorld", "Numbers", "as_tensor"]

Numbers = Any  # a jax.Array: its annotations are there for some only
M = TypeVar("M")  # a moment: the state of all envs, and what is seen of it, as a tree of arrays [envs, ...]


class JaxWorld(Generic[M]):
    """Begins episodes of many envs at once. It keeps nothing but the compiled functions.

    Args:
        reset: the first moment, from keys ``[envs, 2]``.
        device: where everything is computed.
    """

    def __init__(self, reset: Callable[[Numbers], M], device: torch.device | None) -> None:
        self._device = _device(device)
        self._begin = jax.jit(reset)
        self._merge = jax.jit(_merged)
        self._following_keys = jax.jit(jax.vmap(jax.random.fold_in))

    def begin(self, seeds: Sequence[int], episodes: Array) -> M:
        """The first moment of episode number ``episodes``, ``[envs]``, of each seed: number 0 is the library's own."""
        parts = [[seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF] for seed in seeds]  # as jax.random.PRNGKey does
        keys = jax.device_put(np.array(parts, np.uint32), self._device)
        later = self._following_keys(keys, episodes.astype(np.uint32))
        return self._begin(jnp.where((episodes == 0)[:, None], keys, later))  # type: ignore[no-any-return]

    def merge(self, where: Array, one: M, other: M) -> M:
        """``one`` where ``where``, ``[envs]`` bool, and ``other`` elsewhere."""
        return self._merge(where, one, other)  # type: ignore[no-any-return]


def as_tensor(numbers: Numbers) -> Tensor:
    """``numbers`` as a tensor over the same memory, which must not be written to."""
    tensor: Tensor = torch.utils.dlpack.from_dlpack(numbers)
    return tensor


def _merged(where: Numbers, one: Any, other: Any) -> Any:
    def pick(a: Numbers, b: Numbers) -> Numbers:
        return jnp.where(where.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(pick, one, other)


def _device(device: torch.device | None) -> Any:
    kind = "cpu" if device is None else device.type
    try:
        found = jax.devices(kind)
    except RuntimeError as error:
        reason = str(error).split("\n")[0]
        raise ConfigError(
            f"device.name: found {device}, which this JAX cannot use: {reason}. Type: pip install 'jax[cuda12]'"
        ) from error
    return found[(device.index if device is not None else None) or 0]
