"""Something with leading dimensions, a dtype and a device, that can be had with others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self, TypeAlias

import torch
from torch import Tensor

from envcli.errors import SpecError, SpecIndexError

__all__ = ["DeviceLike", "Move", "Shape", "Shaped", "as_device", "as_shape", "home_of"]

Shape: TypeAlias = Sequence[int] | int
DeviceLike: TypeAlias = torch.device | str | int | None
Move: TypeAlias = Callable[[Tensor], Tensor]
"""A change of leading dimensions that leaves however many trailing dimensions alone."""


def as_shape(shape: Shape) -> torch.Size:
    """``shape`` as a ``torch.Size``; an int is one dimension. Raises SpecError for a size below 0."""
    size = _as_asked(shape)
    if min(size, default=0) < 0:
        raise SpecError(f"found the shape {list(size)}, expected no size below 0: all values of a spec have one shape")
    return size


def _as_asked(shape: Shape) -> torch.Size:
    """``shape``, in which -1 may stand for what is there, or is left."""
    return torch.Size((shape,) if isinstance(shape, int) else shape)


def as_device(device: DeviceLike) -> torch.device:
    """``device`` with its index; None is torch's default device.

    >>> as_device(None)
    device(type='cpu')
    """
    found = torch.get_default_device() if device is None else torch.device(device)
    # "cuda" and "cuda:0" must compare equal
    return torch.device("cuda", torch.cuda.current_device()) if str(found) == "cuda" else found


def home_of(device: torch.device) -> torch.device:
    """Where the numbers of a spec on ``device`` are kept: there, or on the host where it is "meta", which has none."""
    return torch.device("cpu") if device.type == "meta" else device


class Shaped(ABC):
    """The half of a spec that knows nothing of values: shape, dtype, device, and how to change them.

    A subclass writes ``_rebuild``, which applies a change of leading dimensions to every tensor it holds, and sets
    ``_event_dims`` to the number of trailing dimensions that no change may touch (one for a one-hot vector).
    """

    _event_dims: ClassVar[int] = 0

    def __init__(self, shape: torch.Size, device: torch.device | None, dtype: torch.dtype | None) -> None:
        self._shape, self._device = shape, device
        self._dtype: Any = dtype  # None in a Composite, a dtype everywhere else

    @abstractmethod
    def _rebuild(self, move: Move, device: torch.device | None, dtype: torch.dtype | None) -> Self:
        """The same after ``move``, on ``device`` and with ``dtype``; None keeps what is there."""

    @property
    def shape(self) -> torch.Size:
        """The shape of one member."""
        return self._shape

    @property
    def dtype(self) -> Any:  # a dtype everywhere but in a Composite, which may have none
        """The dtype of the members; None only for a Composite without a common one."""
        return self._dtype

    @property
    def device(self) -> torch.device | None:
        """Where members live; None only for a Composite that leaves it to its leaves."""
        return self._device

    @property
    def ndim(self) -> int:
        """The number of dimensions of one member."""
        return len(self._shape)

    def ndimension(self) -> int:
        """The number of dimensions of one member."""
        return len(self._shape)

    def numel(self) -> int:
        """The number of elements of one member."""
        return self._shape.numel()

    # The same spec with another shape, dtype or device.

    def expand(self, *shape: Any) -> Self:
        """With the shape ``shape`` (-1 keeps a dimension), as ``torch.Tensor.expand``; takes no memory."""
        batch = self._batch_of(shape)
        return self._moved(lambda t: t.expand((*batch, *t.shape[self._batch_dims :])))

    def reshape(self, *shape: Any) -> Self:
        """With the same elements in ``shape``, in row-major order."""
        batch = self._batch_of(shape)
        return self._moved(lambda t: t.reshape((*batch, *t.shape[self._batch_dims :])))

    def view(self, *shape: Any) -> Self:
        """:meth:`reshape` by its other name."""
        return self.reshape(*shape)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Self:
        """With the dimensions from ``start_dim`` to ``end_dim``, both included, made one."""
        start, end = self._dim(start_dim), self._dim(end_dim)
        return self._moved(lambda t: t.flatten(start, end))

    def unflatten(self, dim: int, sizes: Sequence[int]) -> Self:
        """With dimension ``dim`` split into ``sizes``."""
        where = self._dim(dim)
        return self._moved(lambda t: t.reshape(*t.shape[:where], *sizes, *t.shape[where + 1 :]))

    def unsqueeze(self, dim: int) -> Self:
        """With a dimension of one inserted at ``dim``."""
        where = self._dim(dim, new=True)
        return self._moved(lambda t: t.unsqueeze(where))

    def squeeze(self, dim: int | None = None) -> Self:
        """Without dimension ``dim`` if it is one; without ``dim``, without any dimension of one."""
        dims = range(self._batch_dims) if dim is None else [self._dim(dim)]
        gone = tuple(d for d in dims if self._shape[d] == 1)
        return self._moved(lambda t: t.squeeze(gone))

    def unbind(self, dim: int = 0) -> tuple[Self, ...]:
        """One spec for each index along ``dim``, without that dimension."""
        where = self._dim(dim)
        return tuple(self[(slice(None),) * where + (i,)] for i in range(self._shape[where]))

    def __getitem__(self, index: Any) -> Any:
        """Indexed like a tensor of this shape; the one-hot dimension cannot be indexed.

        Raises IndexError for an index that is out of range, and SpecError for too many or impossible ones.
        """
        full = self._full_index(index)
        return self._moved(lambda t: t[full])

    def to(self, dest: torch.dtype | DeviceLike) -> Self:
        """With another dtype or on another device. Raises SpecError where the dtype cannot hold the members."""
        if isinstance(dest, torch.dtype):
            return self._rebuild(_stay, None, dest)
        return self._rebuild(_stay, as_device(dest), None)

    def cpu(self) -> Self:
        """On the host."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> Self:
        """On a GPU; without ``device``, the current one."""
        return self.to(torch.device("cuda", torch.cuda.current_device() if device is None else device))

    def clone(self) -> Self:
        """An equal spec that shares nothing that could be changed."""
        return self._rebuild(_stay, None, None)

    @property
    def _batch_dims(self) -> int:
        """How many leading dimensions may change."""
        return len(self._shape) - self._event_dims

    def _moved(self, move: Move) -> Self:
        """After ``move``; torch's own complaint about an impossible one becomes a SpecError."""
        try:
            return self._rebuild(move, None, None)
        except (RuntimeError, IndexError) as error:
            kind = SpecIndexError if isinstance(error, IndexError) else SpecError
            raise kind(
                f"{type(self).__name__} of shape {tuple(self._shape)} does not allow this change: {error}"
            ) from error

    def _moved_shape(self, move: Move) -> torch.Size:
        """The shape after ``move``, found on a tensor that takes no memory."""
        return move(torch.empty((), dtype=torch.bool).expand(self._shape)).shape

    def _batch_of(self, shape: tuple[Any, ...]) -> torch.Size:
        """The leading part of a whole new ``shape``, given as ints or as one sequence; the event must stay."""
        size = _as_asked(shape[0] if len(shape) == 1 else shape)
        batch = len(size) - (len(self._shape) - self._batch_dims)
        event, kept = size[batch:], self._shape[self._batch_dims :]
        if batch < 0 or any(new not in (-1, old) for new, old in zip(event, kept, strict=True)):
            raise SpecError(
                f"{type(self).__name__} of shape {tuple(self._shape)} cannot take the shape {tuple(size)}. "
                f"End the new shape with {tuple(kept)}."
            )
        return size[:batch]

    def _dim(self, dim: int, new: bool = False) -> int:
        """``dim`` counted from the front, where it may change; ``new`` for a dimension about to be inserted."""
        ndim, last = len(self._shape) + new, self._batch_dims + new
        front = dim + ndim if dim < 0 else dim
        if not 0 <= front < last:
            raise SpecError(
                f"{type(self).__name__} of shape {tuple(self._shape)} has no dimension {dim} to change; "
                f"the first {self._batch_dims} can be."
            )
        return front

    def _full_index(self, index: Any) -> tuple[Any, ...]:
        """``index`` with its ellipsis written out, so that it never reaches the event dimensions."""
        entries = index if isinstance(index, tuple) else (index,)
        used = sum(_dims_of(entry) for entry in entries)
        if used > self._batch_dims:
            raise SpecError(
                f"{type(self).__name__} of shape {tuple(self._shape)} cannot be indexed by {used} dimensions; "
                f"the first {self._batch_dims} can be."
            )
        where = next((i for i, entry in enumerate(entries) if entry is Ellipsis), len(entries))
        return (*entries[:where], *[slice(None)] * (self._batch_dims - used), *entries[where + 1 :])


def _dims_of(entry: Any) -> int:
    """How many dimensions one entry of an index uses up."""
    if entry is None or entry is Ellipsis:
        return 0
    return entry.ndim if getattr(entry, "dtype", None) in (torch.bool, bool) else 1


def _stay(tensor: Tensor) -> Tensor:
    """The move that changes nothing."""
    return tensor
