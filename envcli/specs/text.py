"""Texts, as bytes."""

from __future__ import annotations

from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from envcli.errors import SpecError
from envcli.specs.bounded import Bounded, BoundedDiscrete
from envcli.specs.shaped import DeviceLike, Move, Shape, as_shape

__all__ = ["Text", "as_bytes"]

_PRINTED = (32, 127)  # what rand draws from: ASCII from the space to the tilde


class Text(BoundedDiscrete):
    """Texts of at most ``length`` bytes in UTF-8: uint8 ``[*batch, length]``, with zeros behind the last byte.

    So texts lie in a batch, between processes and on disk as all other entries do, and a network can take the bytes as
    they are. TorchRL has objects for them (``NonTensor``), which do none of this. :meth:`encode` makes bytes of a text
    and :meth:`to_numpy` a text of bytes. Reshaped along ``length``, or cast, it is a :class:`Bounded`.

    Raises SpecError where neither ``length`` nor ``shape`` is given, or ``shape`` does not end with ``length``.

    >>> spec = Text(8)
    >>> spec.encode("go left")
    tensor([103, 111,  32, 108, 101, 102, 116,   0], dtype=torch.uint8)
    >>> spec.to_numpy(spec.encode("go left"))
    'go left'
    """

    def __init__(self, length: int | None = None, shape: Shape | None = None, device: DeviceLike = None) -> None:
        size = as_shape((length,) if shape is None and length is not None else shape or ())
        if not size or length not in (None, size[-1]):
            raise SpecError(
                f"Text needs a length, which ends its shape: Text(64), Text(shape=(8, 64)). Found {list(size)}."
            )
        super().__init__(0, 255, size, device, torch.uint8)

    @property
    def length(self) -> int:
        """How many bytes a text may have."""
        return self._shape[-1]

    def encode(self, val: Any, *, ignore_device: bool = False) -> Any:
        """``val``, a text or texts in the shape of the batch, or their bytes, as a member in fresh memory.

        Raises SpecError where a text has more bytes than there is room for.
        """
        texts = np.asarray(None if isinstance(val, Tensor) else val)
        if texts.dtype.kind == "U" or (texts.dtype.kind == "O" and all(isinstance(x, str) for x in texts.flat)):
            try:
                rows = [as_bytes(text, self.length) for text in texts.ravel().tolist()]
            except ValueError as error:
                raise SpecError(f"Text: {error}") from error
            val = np.array(rows, np.uint8).reshape(*texts.shape, self.length)
        return super().encode(val, ignore_device=ignore_device)

    def to_numpy(self, val: Any, safe: bool = True) -> Any:
        """The text of ``val``, ``[length]``, as str; of ``[*lead, length]`` an array of them, ``[*lead]``.

        Bytes that are no UTF-8 are replaced. ``safe`` checks ``val`` first, see :class:`TensorSpec`.
        """
        rows = super().to_numpy(val, safe)
        texts = [bytes(row).rstrip(b"\0").decode(errors="replace") for row in rows.reshape(-1, self.length)]
        return np.array(texts).reshape(rows.shape[:-1]) if rows.ndim > 1 else texts[0]

    def rand(self, shape: Shape = ()) -> Tensor:
        """``[*shape, *self.shape]``: printable ASCII, of any length that there is room for."""
        size, device = self._size(shape), self._device
        letters = torch.randint(*_PRINTED, size, dtype=torch.uint8, device=device)
        lengths = torch.randint(self.length + 1, (*size[:-1], 1), device=device)
        return letters * (torch.arange(self.length, device=device) < lengths)

    def _members_in_words(self) -> str:
        return ", text in UTF-8"

    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        shape, device = self._moved_shape(move), device or self._device
        if shape[-1:] == self._shape[-1:] and dtype in (None, torch.uint8):
            return type(self)(None, shape, device)
        return cast("Self", Bounded(0, 255, shape, device, dtype or torch.uint8))


def as_bytes(text: str, length: int) -> npt.NDArray[np.uint8]:
    """``text`` in UTF-8, ``[length]``, with zeros behind. Raises ValueError where it is longer."""
    said = text.encode()
    if len(said) > length:
        shown = text if len(text) <= 40 else f"{text[:37]}..."
        raise ValueError(f"expected at most {length} bytes of text, found {len(said)}: {shown!r}")
    return np.frombuffer(said.ljust(length, b"\0"), np.uint8)
