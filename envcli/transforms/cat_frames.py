"""Shows the last few frames as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer, as_array
from envcli.rows.roles import Roles
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.transforms.image import channel_axis
from envcli.transforms.stacked_rollout import StackedRollout, both_sides
from envcli.transforms.windowed import Windowed
from envcli.transforms.windows import Ring

__all__ = ["CatFrames"]


class CatFrames(Windowed):
    """The last ``N`` values, one after the other along ``dim``, the newest last (Mnih et al., 2013).

    Where an episode is younger than that, its first value stands for those before it (``padding="same"``), or
    ``padding_value`` does (``"constant"``). A window never reaches into another episode.

    In an env the frames are remembered here and not in the TensorDict: step on from where the env is. On a finished
    rollout (``cat_frames(rollout)``, ``[*batch, time]``) the same comes out, under ``"next"`` as well, unless
    ``in_keys`` names entries there: then it is only what they name (in TorchRL always).

    Args:
        N: how many.
        dim: along which dimension of a value, counted from the end: negative.
        in_keys: None: ``["pixels"]``.
        out_keys: None: the same.
        padding: ``"same"`` or ``"constant"``.
        padding_value: for ``"constant"``.
        as_inverse: work in :meth:`inv` and not when called, as for what is put into a replay buffer (TorchRL's:
            ``transform=as_torchrl(cat_frames)``). Not in an env.
        reset_key: taken for TorchRL's sake; an env says by itself who is reset.
        done_key: the flag under ``"next"`` that ends an episode of a rollout; None: ``"done"``.
        future: the next ``N`` values instead, the first first. On rollouts only.
        mask_key: where to say, ``[*batch, time, N]`` bool, which values were not there, but padded. On rollouts only.

    Raises:
        ConfigError: no such padding, or ``N`` less than 1.
        TransformError: ``dim`` is not negative; it is -3 for frames as simulators draw them, uint8 ``[height, width,
            channels]``, where that is the height; used where it cannot be.
    """

    _stated = ("_cat_buffers_",)  # TorchRL's frames of an episode that is over when they are loaded

    def __init__(
        self,
        N: int,
        dim: int,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        padding: str = "same",
        padding_value: float = 0,
        as_inverse: bool = False,
        reset_key: NestedKey | None = None,
        done_key: NestedKey | None = None,
        future: bool = False,
        mask_key: NestedKey | None = None,
    ) -> None:
        super().__init__(["pixels"] if in_keys is None else in_keys, out_keys)
        self._keys_by_default = in_keys is None
        if N < 1:
            raise ConfigError(f"N: expected at least 1 frame, found {N}")
        if dim >= 0:
            raise TransformError(
                f"dim: expected a negative number, counted from the end of a value, found {dim}. -3 is the channels of "
                "[channels, height, width]"
            )
        if padding not in ("same", "constant"):
            raise ConfigError(f"padding: expected same or constant, found {padding!r}")
        self.N, self.dim, self.padding, self.padding_value = N, dim, padding, padding_value
        self.as_inverse, self.future, self.mask_key = as_inverse, future, mask_key
        self.reset_key, self.done_key = reset_key, done_key

    @property
    def _earlier(self) -> float | None:
        return None if self.padding == "same" else self.padding_value

    # -- a finished rollout ---------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The windows of a whole rollout ``[*batch, time]``, in place; what is missing is left out."""
        return tensordict if self.as_inverse else self._stacked(tensordict)

    def inv(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The same on a shallow copy, if ``as_inverse`` says that this is the way."""
        return self._stacked(tensordict.copy()) if self.as_inverse else super().inv(tensordict)

    def _stacked(self, tensordict: TensorDictBase) -> TensorDictBase:
        rollout = StackedRollout(tensordict, self.N, self.done_key or "done", self._earlier, self.future)
        for key in self.in_keys:
            if (value := tensordict.get(key, None)) is not None:
                self._require_channels(value, key, tensordict.batch_dims)
        found = [(out, rollout.stacked(key, self.dim)) for key, out in both_sides(self.in_keys, self.out_keys)]
        for out_key, value in found:  # all are read before one is written, which may be one of those read
            if value is not None:
                tensordict.set(out_key, value)
        if self.mask_key is not None:
            tensordict.set(self.mask_key, ~rollout.mask())
        return tensordict

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With ``N`` times as many values along ``dim``."""
        offline = [name for name in ("as_inverse", "future", "mask_key") if getattr(self, name)]
        if offline:
            raise TransformError(f"CatFrames: {', '.join(offline)} works on rollouts only. Call the transform on one")
        return super().transform_output_spec(output_spec)

    def _entry_after(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        if leaf.ndim - lead < -self.dim:
            raise TransformError(
                f"CatFrames: {key!r} has the shape {list(leaf.shape[lead:])}, which has no dimension {self.dim}. Use "
                f"dim={lead - leaf.ndim} or closer to -1, or UnsqueezeTransform before it"
            )
        self._require_channels(leaf.zero(), key, lead)
        if not isinstance(leaf, Bounded):
            shape = list(leaf.shape)
            shape[self.dim] *= self.N
            return Unbounded(torch.Size(shape), device=leaf.device, dtype=leaf.dtype)
        low, high = (torch.cat([bound] * self.N, self.dim) for bound in (leaf.low, leaf.high))
        if self._earlier is not None:
            low, high = low.clamp(max=self._earlier), high.clamp(min=self._earlier)
        return Bounded(low, high, shape=low.shape, device=leaf.device, dtype=leaf.dtype)

    def _require_channels(self, value: torch.Tensor, key: NestedKey, lead: int) -> None:
        """``dim=-3`` says the channels of an image: raise TransformError where ``value`` has them last."""
        is_frame = self.dim == -3 and value.ndim - lead == 3 and value.dtype == torch.uint8
        if is_frame and channel_axis(value, "CatFrames") == -1:
            raise TransformError(
                f"CatFrames: dim=-3 of {key!r} {list(value.shape[lead:])} is the height: the channels are last. Put "
                "ToTensorImage before it, or use dim=-1"
            )

    def _roles(self) -> Roles:
        along_channels = self.dim in (-3, -1)
        return Roles(stacks={as_path(key): self.N for key in self.out_keys} if along_channels else {})

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._shown: list[tuple[Ring, Array, Array, Array, Array]] = []
        self._padding: list[Array | None] = []
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            path, out = as_path(in_key), as_path(out_key)
            root, following = inner.array(path), inner.array(under_next(path))
            earlier, dtype = self._earlier, inner[path].dtype
            self._padding.append(None if earlier is None else as_array(torch.full((), earlier, dtype=dtype)))
            ring = self._ring(in_key, self.N, root.shape[1:], self.dim, root.dtype)
            self._shown.append((ring, root, outer.array(out), following, outer.array(under_next(out))))

    def _step_row(self, t: int) -> None:
        for ring, _, _, source, target in self._shown:
            ring.push(source[t])
            target[t] = ring.window

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else where
        for (ring, source, target, _, _), earlier in zip(self._shown, self._padding, strict=True):
            ring.fill(source[t], earlier, where)
            target[t][mask] = ring.window[mask]

    def extra_repr(self) -> str:
        """How many, where, and the keys."""
        return f"N={self.N}, dim={self.dim}, keys={[as_user_key(as_path(key)) for key in self.in_keys]}"
