"""Envs as functions of JAX, compiled for a batch: what those of all libraries have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import jax
import numpy as np
import torch
import torch.utils.dlpack
from jax import numpy as jnp
from torch import Tensor

from envcli.errors import ConfigError
from envcli.memory.buffer import Array

__all__ = ["JaxWorld", "Numbers", "as_tensor", "by_name", "misfit"]

Numbers = Any  # a jax.Array: its annotations are there for some only
M = TypeVar("M")  # a moment: the state of all envs, and what is seen of it, as a tree of arrays [envs, ...]


class JaxWorld(Generic[M]):
    """Begins episodes of many envs at once, and steps them. It keeps nothing but the compiled functions.

    Each of the two is one program, since a call takes as long as what is computed for 64 envs of classic control.

    Args:
        reset: the first moment, from keys ``[envs, 2]``.
        step: what follows a moment and an action, ``[envs, ...]``.
        device: where everything is computed.
    """

    def __init__(self, reset: Callable[[Numbers], M], step: Callable[[M, Any], M], device: torch.device | None) -> None:
        self._device = _device(device)
        self._begin = jax.jit(lambda keys, episodes: reset(_folded(keys, episodes)))
        self._merge = jax.jit(_merged)
        self._step = jax.jit(lambda moment, action, where, begun: step(_joined(where, begun, moment), action))

    def keys(self, seeds: Sequence[int]) -> Numbers:
        """That of each seed, ``[envs, 2]``, as ``jax.random.PRNGKey(seed)`` gives it."""
        parts = [[seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF] for seed in seeds]
        return jax.device_put(np.array(parts, np.uint32), self._device)

    def begin(self, keys: Numbers, episodes: Array) -> M:
        """The first moment of episode number ``episodes``, ``[envs]``, of each key: number 0 is the library's own."""
        return self._begin(keys, episodes.astype(np.uint32))  # type: ignore[no-any-return]

    def step(self, moment: M, action: Any, where: Array, begun: M) -> M:
        """What follows ``action``, ``[envs, ...]``, after ``begun`` where ``where``, after ``moment`` elsewhere.

        It may still be under way: who looks at it waits, and what is given must not be written to any more.
        """
        return self._step(moment, action, where, begun)  # type: ignore[no-any-return]

    def merge(self, where: Array, one: M, other: M) -> M:
        """``one`` where ``where``, ``[envs]`` bool, and ``other`` elsewhere."""
        return self._merge(where, one, other)  # type: ignore[no-any-return]


def as_tensor(numbers: Numbers) -> Tensor:
    """``numbers`` as a tensor over the same memory, which must not be written to."""
    tensor: Tensor = torch.utils.dlpack.from_dlpack(numbers)
    return tensor


def by_name(shown: Any) -> dict[str, Any]:
    """What an env shows, as a dict: a single array is its ``"observation"``."""
    return dict(shown) if isinstance(shown, Mapping) else {"observation": shown}


def misfit(env: object, library: str, kind: type, unfit: tuple[type, ...], within: str) -> str:
    """Why ``env`` cannot be stepped here, in a line; empty: it can.

    Args:
        env: whatever somebody has given.
        library: whose env it should be.
        kind: the library's class of envs.
        unfit: its wrappers that add a batch, or begin anew an env that is done and so hide what it showed at its end.
        within: the attribute of a wrapper that holds what is in it.
    """
    if not isinstance(env, kind):
        found = f"{type(env).__module__}.{type(env).__name__}"
        return f"expected an env of {library}, {kind.__module__}.{kind.__name__}, found {found}"
    while env is not None and not isinstance(env, unfit):
        env = vars(env).get(within)
    if env is None:
        return ""
    found = f"found {type(env).__name__} around the env, expected none: batches and resets are made here"
    return f"{found}. Give env.unwrapped"


# What goes into a function of the library comes out of a branch, which takes no time. XLA fuses a selection alone with
# what follows, and then rounds differently: the last bits of Pendulum show it.


def _folded(keys: Numbers, episodes: Numbers) -> Numbers:
    def fold() -> Numbers:
        return jnp.where((episodes == 0)[:, None], keys, jax.vmap(jax.random.fold_in)(keys, episodes))

    return jax.lax.cond(episodes.any(), fold, lambda: keys)


def _joined(where: Numbers, one: Any, other: Any) -> Any:
    merged = jax.eval_shape(_merged, where, one, other)

    def keep(leaf: Numbers, like: Any) -> Numbers:  # an episode may begin with a float and go on with integers
        return leaf if leaf.dtype == like.dtype else leaf.astype(like.dtype)

    return jax.lax.cond(where.any(), lambda: _merged(where, one, other), lambda: jax.tree.map(keep, other, merged))


def _merged(where: Numbers, one: Any, other: Any) -> Any:
    def pick(a: Numbers, b: Numbers) -> Numbers:
        if a.shape[:1] != where.shape:  # of no env alone, as the list of contacts that MuJoCo Warp makes in each step
            return b
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
