"""Makes a frame what networks take: channels first, floats from 0 to 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path
from envcli.memory.buffer import Array
from envcli.rows.roles import Roles
from envcli.specs.dtype_names import dtype_named
from envcli.transforms.image import ByteRule, ImageTransform

__all__ = ["ToTensorImage"]


class ToTensorImage(ImageTransform):
    """``[*lead, height, width, channels]`` becomes ``[*lead, channels, height, width]``, and 0..255 becomes 0..1.

    Args:
        from_int: divide by 255; None: unless the values are floats.
        unsqueeze: add a dimension of 1 before the channels. It is added whatever ``lead`` is, so that an env and a
            rollout get the same; TorchRL adds it only where there is no ``lead``.
        dtype: of the result, a ``torch.dtype`` or its name; None: torch's default, float32. ``from_int=False`` with
            ``dtype="uint8"`` only moves the channels.
        in_keys, out_keys: see :class:`~envcli.transforms.image.ImageTransform`.
        shape_tolerant: leave an image alone whose last dimension is not 3 long, instead of moving it.

    Raises:
        ConfigError: no such dtype, or whole numbers without ``from_int=False``.
        TransformError: not an image.
    """

    def __init__(
        self,
        from_int: bool | None = None,
        unsqueeze: bool = False,
        dtype: torch.dtype | str | None = None,
        *,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        shape_tolerant: bool = False,
    ) -> None:
        super().__init__(in_keys, out_keys)
        self.from_int, self.unsqueeze, self.shape_tolerant = from_int, unsqueeze, shape_tolerant
        self.dtype = None if dtype is None else dtype_named("dtype", dtype)
        if self.dtype is not None and not self.dtype.is_floating_point and from_int is not False:
            raise ConfigError(f"dtype: {dtype} does not hold 0 to 1. from_int=False only moves the channels")

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return self._scaled(self._moved(obs))

    def _moved(self, frame: torch.Tensor) -> torch.Tensor:
        """A view of ``frame`` with its channels first."""
        if frame.ndim < 3:
            raise TransformError(
                f"ToTensorImage takes an image [*lead, height, width, channels], found {list(frame.shape)}. "
                "Name the image in in_keys"
            )
        if not self.shape_tolerant or frame.shape[-1] == 3:
            frame = frame.movedim(-1, -3)
        return frame.unsqueeze(-4) if self.unsqueeze else frame

    def _divides(self, image: torch.Tensor) -> bool:
        return not image.dtype.is_floating_point if self.from_int is None else self.from_int

    def _scaled(self, image: torch.Tensor) -> torch.Tensor:
        dtype = self.dtype or torch.get_default_dtype()
        if not self._divides(image):
            return image.to(dtype)
        return image.to(dtype, copy=True).div_(255)

    def _roles(self) -> Roles:
        return Roles(stacks={as_path(key): 1 for key in self.out_keys})  # [4, height, width] are colours and opacity

    def _makes_unit_floats(self) -> bool:
        usual = self.from_int is not False and not self.unsqueeze and not self.shape_tolerant
        return usual and (self.dtype or torch.get_default_dtype()) == torch.float32

    def _on_bytes(self, shape: tuple[int, ...]) -> ByteRule | None:
        only_moves = self.from_int is False and self.dtype == torch.uint8 and not self.shape_tolerant
        if not only_moves or self.unsqueeze:
            return None
        axes = (*range(len(shape) - 3), len(shape) - 1, len(shape) - 3, len(shape) - 2)
        return lambda frame: frame.transpose(axes)  # a tenth of what moveaxis takes

    # -- rows -----------------------------------------------------------------------------------------------------

    def _step_row(self, t: int) -> None:
        for source, target in self._next_moves:
            self._write(source[t], target[t])

    def _reset_row(self, t: int, where: Array | None) -> None:
        if where is not None:
            super()._reset_row(t, where)
            return
        for source, target in self._root_moves:
            self._write(source[t], target[t])

    def _write(self, frame: torch.Tensor, row: torch.Tensor) -> None:
        image = self._moved(frame)
        row.copy_(image)
        if self._divides(image):
            row.div_(255)

    def extra_repr(self) -> str:
        """The keys, and what differs from the usual."""
        said: dict[str, Any] = {"from_int": self.from_int, "dtype": self.dtype}
        return ", ".join([super().extra_repr(), *(f"{k}={v}" for k, v in said.items() if v is not None)])
