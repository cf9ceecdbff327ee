"""The sets behind the specs: an interval per element, or a number of choices."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor

from envcli.errors import SpecError

__all__ = ["BinaryBox", "Box", "BoxList", "CategoricalBox", "ContinuousBox", "round_to_int64"]

_FIXED = (
    "the bounds of a spec are fixed, unlike TorchRL's. Replace the spec: "
    "spec = Bounded(low, high, spec.shape, spec.device, spec.dtype)"
)
_INT64_MAX = 2**63 - 1
_LAST_DOUBLE_BELOW_2_63 = 2.0**63 - 1024


def round_to_int64(values: Tensor) -> Tensor:
    """``values`` rounded half to even, as int64; what lies beyond int64 becomes its nearest end.

    >>> round_to_int64(torch.tensor([0.5, 1.6, -float("inf")])).tolist()
    [0, 2, -9223372036854775808]
    """
    if not values.is_floating_point():
        return values.to(torch.int64)
    wide = values.to(torch.float64).round()
    # A float at or beyond 2**63 has no int64: casting it is undefined, so it is cut before and set after.
    whole = wide.clamp(-(2.0**63), _LAST_DOUBLE_BELOW_2_63).to(torch.int64)
    return torch.where(wide >= 2.0**63, _INT64_MAX, whole)


class Box:
    """A set of values. Boxes are immutable, comparable by value and know no device of their own."""


class ContinuousBox(Box):
    """Everything from ``low`` to ``high``, both included, element by element.

    ``low`` and ``high`` are tensors of one shape, dtype and device; they are copied, and where all elements agree only
    one is stored (``low`` and ``high`` are then expanded views, so a bound for a batch of images costs nothing).
    ``work_low`` and ``work_high`` are what is stored, as floats or int64, and broadcast to ``shape``; ``ends`` are the
    two as numbers where one pair holds for all elements, else None.

    Raises :class:`~envcli.errors.SpecError` where a bound is NaN, ``low`` exceeds ``high``, or both are one infinity.

    >>> box = ContinuousBox(torch.zeros(3), torch.ones(3))
    >>> box.contains(torch.tensor([0.0, 0.5, 1.0])), box.contains(torch.tensor([0.0, 0.5, 1.1]))
    (True, False)
    >>> box.clip(torch.tensor([-1.0, 0.5, 2.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    def __init__(self, low: Tensor, high: Tensor) -> None:
        # Comparisons and arithmetic are missing for the wider unsigned dtypes, so integers are held as int64.
        work = low.dtype if low.is_floating_point() else torch.int64
        self.work_low, self.work_high = _compact(low).to(work), _compact(high).to(work)
        self.shape, self.dtype = low.shape, low.dtype
        single = self.work_low.ndim == self.work_high.ndim == 0
        self.ends = (self.work_low.item(), self.work_high.item()) if single else None
        if not bool((self.work_low <= self.work_high).all()):
            raise SpecError(f"low must not exceed high, and neither may be NaN: found low={low!r}, high={high!r}.")
        if bool((self.work_low == float("inf")).any() | (self.work_high == -float("inf")).any()):
            raise SpecError(f"some finite number must lie between the bounds: found low={low!r}, high={high!r}.")

    @property
    def low(self) -> Tensor:
        """The smallest members, ``shape`` and ``dtype`` of the spec; a copy."""
        return self.work_low.to(self.dtype, copy=True).expand(self.shape)

    @low.setter
    def low(self, value: Tensor) -> None:
        raise AttributeError(_FIXED)

    @property
    def high(self) -> Tensor:
        """The largest members, ``shape`` and ``dtype`` of the spec; a copy."""
        return self.work_high.to(self.dtype, copy=True).expand(self.shape)

    @high.setter
    def high(self, value: Tensor) -> None:
        raise AttributeError(_FIXED)

    def __iter__(self) -> Iterator[Tensor]:
        """``low, high = box``, as in TorchRL."""
        yield from (self.low, self.high)

    def expand(self, shape: torch.Size) -> ContinuousBox:
        """The same for each element of ``shape``, to which this one must broadcast."""
        box = copy.copy(self)
        box.shape = shape
        return box

    def contains(self, values: Tensor) -> bool:
        """Whether every element of ``values``, ``[*lead, *shape]``, lies between its bounds. NaN does not."""
        work = values.to(self.work_low.dtype)
        if self.ends is not None and work.numel():  # three times as fast; NaN comes out of aminmax and fails
            least, most = torch.aminmax(work)
            return bool(self.ends[0] <= least.item() and most.item() <= self.ends[1])
        return bool(self.inside(values).all())

    def inside(self, values: Tensor) -> Tensor:
        """Which elements of ``values``, ``[*lead, *shape]``, lie between their bounds: a bool for each."""
        work = values.to(self.work_low.dtype)
        low, high = self.work_low.to(values.device), self.work_high.to(values.device)
        return (work >= low) & (work <= high)

    def clip(self, values: Tensor) -> Tensor:
        """The nearest member of each element of ``values``, ``[*lead, *shape]``, in the dtype of the box.

        Where the box holds integers, floats are rounded half to even.
        """
        floating = self.dtype.is_floating_point
        work = values.to(self.work_low.dtype) if floating else round_to_int64(values)
        low, high = self.work_low.to(values.device), self.work_high.to(values.device)
        return torch.minimum(torch.maximum(work, low), high).to(self.dtype)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, ContinuousBox)
            and (self.shape, self.dtype, self.ends) == (other.shape, other.dtype, other.ends)
            and (
                self.ends is not None
                or (_same(self.work_low, other.work_low) and _same(self.work_high, other.work_high))
            )
        )

    def __repr__(self) -> str:
        return f"ContinuousBox(\n    low={_describe(self.low)},\n    high={_describe(self.high)})"


@dataclasses.dataclass(frozen=True)
class CategoricalBox(Box):
    """The integers 0 to ``n - 1``."""

    n: int

    def __post_init__(self) -> None:
        if self.n < 1:
            raise SpecError(f"the number of choices must be at least 1, found {self.n}.")

    def __repr__(self) -> str:
        return f"CategoricalBox(n={self.n})"


@dataclasses.dataclass(frozen=True)
class BinaryBox(Box):
    """``n`` bits, each of which is 0 or 1."""

    n: int

    def __repr__(self) -> str:
        return f"BinaryBox(n={self.n})"


@dataclasses.dataclass(frozen=True)
class BoxList(Box):
    """One box for each entry along the last dimension; with ``nvec`` of more dimensions, lists of lists."""

    boxes: tuple[Box, ...]

    @classmethod
    def of(cls, nvec: Tensor) -> Box:
        """The boxes of ``nvec``, an integer tensor ``[*shape]`` of numbers of choices."""
        return cls(tuple(cls.of(row) for row in nvec)) if nvec.ndim else CategoricalBox(int(nvec))

    def __len__(self) -> int:
        return len(self.boxes)

    def __iter__(self) -> Iterator[Box]:
        return iter(self.boxes)

    def __getitem__(self, index: int) -> Box:
        return self.boxes[index]

    def __repr__(self) -> str:
        return f"BoxList(boxes={list(self.boxes)})"


def _compact(values: Tensor) -> Tensor:
    """A copy of ``values`` that broadcasts to the same: expanded dimensions once, ``[]`` where all elements agree."""
    strides = zip(values.stride(), values.shape, strict=True)
    once = values[tuple(slice(0, 1) if stride == 0 and size > 1 else slice(None) for stride, size in strides)]
    if once.numel() and bool((once == once.reshape(-1)[0]).all()):
        return once.reshape(-1)[0].detach().clone()
    return once.detach().clone()


def _same(left: Tensor, right: Tensor) -> bool:
    """Whether two compact tensors broadcast to equal values of one shape; on two devices they differ."""
    return left.device == right.device and bool((left == right).all())


def _describe(tensor: Tensor) -> str:
    """A tensor without its values, word for word as TorchRL prints it; that bounds are stored once is not shown."""
    return f"Tensor(shape={tensor.shape}, device={tensor.device}, dtype={tensor.dtype}, contiguous=True)"
