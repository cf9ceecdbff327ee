"""Shows the largest of the last few values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from tensordict import TensorDictBase

from envcli.errors import ConfigError
from envcli.keys import NestedKey, as_path, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.specs import Bounded, TensorSpec, Unbounded
from envcli.transforms.stacked_rollout import StackedRollout, both_sides
from envcli.transforms.windowed import Windowed
from envcli.transforms.windows import Ring

__all__ = ["TimeMaxPool"]


class TimeMaxPool(Windowed):
    """Element by element, the largest of the last ``T`` values of the episode.

    At its beginning they are fewer. (TorchRL fills up with zeros, which are larger than what is negative.)

    With ``T=2`` and a frame skip of 1 behind it, it takes away the flicker of Atari games, which draw some things in
    every other frame only. On a finished rollout (``[*batch, time]``) the same comes out, see
    :class:`CatFrames`.

    Args:
        in_keys: None: ``["observation"]``.
        out_keys: None: the same.
        T: how many steps.
        reset_key: taken for TorchRL's sake; an env says by itself who is reset.

    Raises:
        ConfigError: ``T`` is less than 1.
    """

    _stated = ("_maxpool_buffer_",)  # TorchRL's values of an episode that is over when they are loaded

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        T: int = 1,
        reset_key: NestedKey | None = None,
    ) -> None:
        super().__init__(["observation"] if in_keys is None else in_keys, out_keys)
        if T < 1:
            raise ConfigError(f"T: expected at least 1 step, found {T}")
        self.T, self.reset_key = T, reset_key

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The maxima of a whole rollout ``[*batch, time]``, in place; what is missing is left out."""
        rollout = StackedRollout(tensordict, self.T, "done", None)
        found = [(out, rollout.windows(key)) for key, out in both_sides(self.in_keys, self.out_keys)]
        for out_key, windows in found:
            if windows is not None:
                tensordict.set(out_key, rollout.unflat(windows.amax(2)))
        return tensordict

    # -- specs ----------------------------------------------------------------------------------------------------

    def _entry_after(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        self._require_numbers(leaf)
        if isinstance(leaf, Bounded):
            return leaf.clone()
        return Unbounded(leaf.shape, device=leaf.device, dtype=leaf.dtype)  # the largest of one-hot vectors is none

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._shown: list[tuple[Ring, Array, Array, Array, Array]] = []
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            path, out = as_path(in_key), as_path(out_key)
            root, following = inner.array(path)[:, None], inner.array(under_next(path))
            # Values stand side by side along a new first axis, before the batch.
            ring = self._ring(in_key, self.T, root.shape[1:], -(root.ndim - 1), root.dtype)
            self._shown.append((ring, root, outer.array(out), following, outer.array(under_next(out))))

    def _step_row(self, t: int) -> None:
        for ring, _, _, source, target in self._shown:
            ring.push(source[t])
            np.maximum.reduce(ring.window, axis=0, out=target[t, ...])

    def _among(self, where: Array | None) -> Array | None:
        return None if where is None else where[None]

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else where
        for ring, source, target, _, _ in self._shown:
            ring.fill(source[t], None, self._among(where))
            target[t][mask] = ring.window.max(axis=0)[mask]

    def extra_repr(self) -> str:
        """How many, and the keys."""
        return f"T={self.T}, {super().extra_repr()}"
