"""The contract of all specs: what a value looks like, and the things one can do knowing that."""

from __future__ import annotations

import bisect
import textwrap
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from envcli.errors import MemberError, SpecError
from envcli.specs.shaped import Shape, Shaped
from envcli.specs.space import Box

__all__ = ["TensorSpec", "stacked"]


class TensorSpec(Shaped):
    """A set of tensors: one shape, dtype and device, and which values they may hold.

    A spec is an immutable value: it compares by value, can be hashed, pickled and copied, and a changed spec is a new
    one. (Two exceptions that TorchRL has: a ``Composite`` is also a dict, and ``update_mask`` replaces a mask in
    place.)

    On the device "meta", where tensors have a shape and no values, specs keep their numbers on the host, and a tensor
    there is a member if its shape and dtype are right.

    A subclass must write :meth:`rand`, ``_holds``, ``_nearest`` and ``_rebuild``. It may write :meth:`enumerate` and
    :meth:`cardinality`, set ``_event_dims`` to the number of trailing dimensions that no reshaping may touch (one for a
    one-hot vector), and write ``_array_test`` and ``_members_in_words``. ``_holds`` and ``_nearest`` are called with a
    tensor whose shape was checked; ``_holds`` with the right dtype, ``_nearest`` without NaN.
    """

    _kinds: ClassVar[dict[str, Callable[..., TensorSpec]]] = {}

    def __init_subclass__(cls) -> None:
        # Pairs of specs turn into each other (one-hot and categorical) without their files importing each other.
        TensorSpec._kinds.setdefault(cls.__name__, cls)

    def __init__(
        self,
        shape: torch.Size,
        space: Box | None,
        device: torch.device | None,
        dtype: torch.dtype | None,
        domain: str | None,
    ) -> None:
        super().__init__(shape, device, dtype)
        self._space, self._domain = space, domain

    # What a subclass must write.

    @abstractmethod
    def rand(self, shape: Shape = ()) -> Any:  # a Tensor; a TensorDict of a Composite
        """A random member ``[*shape, *self.shape]`` from torch's global generator of the device."""

    @abstractmethod
    def _holds(self, value: Any) -> bool:
        """Whether ``value``, of the right shape and dtype, is a member."""

    @abstractmethod
    def _nearest(self, value: Any) -> Any:
        """The member nearest to ``value``, which has the right shape and any dtype, as fresh memory."""

    # What it is.

    @property
    def domain(self) -> str | None:
        """``"continuous"`` or ``"discrete"``."""
        return self._domain

    @property
    def space(self) -> Any:  # the Box differs per spec, and None is TorchRL's answer for a Composite
        """The set of values, one of the boxes of :mod:`envcli.specs.space`."""
        return self._space

    def is_empty(self) -> bool:
        """Whether this is a Composite without a leaf."""
        return False

    # Members.

    def sample(self, shape: Shape = ()) -> Any:
        """:meth:`rand` by its other name."""
        return self.rand(shape)

    def zero(self, shape: Shape = ()) -> Any:
        """The member nearest to zero, ``[*shape, *self.shape]``, as fresh memory.

        TorchRL gives zeros here even where the spec does not hold them; this is a member always.
        """
        return self._near(torch.zeros(self._size(shape), dtype=self._dtype, device=self._device))

    def zeros(self, shape: Shape = ()) -> Any:
        """:meth:`zero` by its other name."""
        return self.zero(shape)

    def one(self, shape: Shape = ()) -> Any:
        """The member nearest to one, ``[*shape, *self.shape]``, as fresh memory."""
        return self._near(torch.ones(self._size(shape), dtype=self._dtype, device=self._device))

    def ones(self, shape: Shape = ()) -> Any:
        """:meth:`one` by its other name."""
        return self.one(shape)

    def enumerate(self, use_mask: bool = False) -> Any:
        """All members, stacked along a new first dimension. Raises SpecError where that cannot be."""
        raise SpecError(f"{type(self).__name__} cannot list its members. Draw some with rand().")

    def cardinality(self) -> float:
        """The number of members: an int, or infinity for floats."""
        return float("inf")

    def is_in(self, val: Any) -> bool:
        """Whether ``val`` is a member: a tensor ``[*lead, *self.shape]`` of this dtype with allowed values only.

        Leading dimensions are free, the device is not looked at. Anything else than a tensor is no member.
        """
        fits = isinstance(val, Tensor) and val.dtype == self._dtype and self._fits(val.shape)
        return fits and (val.is_meta or self._holds(val))

    def contains(self, item: Any) -> bool:
        """:meth:`is_in` by its other name."""
        return self.is_in(item)

    def assert_is_in(self, value: Any) -> None:
        """Raise MemberError with what differs where ``value`` is not a member."""
        if not self.is_in(value):
            mendable = hasattr(value, "shape") and self._fits(value.shape)
            cure = " Call project(value) first, or correct the value." if mendable else ""
            raise MemberError(f"{self._complaint(value)}{cure}")

    def type_check(self, value: Tensor, key: object = None) -> None:
        """Raise SpecError, naming ``key``, where the dtype of ``value`` is not this spec's."""
        if value.dtype != self._dtype:
            where = "" if key is None else f" at key {key!r}"
            raise SpecError(f"the value{where} has dtype {value.dtype}, expected {self._dtype}.")

    def project(self, val: Any) -> Any:
        """``val`` itself where it is a member, else its nearest member as a fresh tensor of this dtype.

        ``val`` is a tensor ``[*lead, *self.shape]``. Raises SpecError for another shape, and for NaN, which is near
        to nothing.
        """
        if self.is_in(val):
            return val
        if not isinstance(val, Tensor) or not self._fits(val.shape):
            raise SpecError(f"cannot project: {self._complaint(val)}")
        if val.is_floating_point() and not val.is_meta and bool(val.isnan().any()):
            raise SpecError(f"cannot project NaN: no member of {type(self).__name__} is nearest to it.")
        return self._near(val)

    def encode(self, val: Any, *, ignore_device: bool = False) -> Any:
        """``val`` (array, number, list or tensor) as a member in fresh memory.

        A single number becomes ``[1]`` where that is the shape. Floats may lose precision, integers and booleans must
        stay what they are. With ``ignore_device`` it stays where ``val`` is, an array on the host. Raises SpecError
        where the result is not a member.
        """
        tensor = as_tensor(val)
        encoded = self._encoded(tensor.to(self._device))
        return encoded.to(tensor.device) if ignore_device else encoded

    def to_numpy(self, val: Any, safe: bool = True) -> Any:
        """``val`` as an array, the way a simulator takes it; shares memory where torch does.

        ``safe=False`` leaves out the check that ``val`` is a member, which otherwise raises SpecError.
        """
        if safe:
            self.assert_is_in(val)
        return val.detach().cpu().numpy()

    def index(self, index: Tensor, tensor_to_index: Tensor) -> Tensor:
        """The entries of ``tensor_to_index`` that ``index``, a member, points at. Only specs of choices have it."""
        raise SpecError(f"{type(self).__name__} holds no indices. Use a Categorical or a OneHot.")

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Give ``torch.stack`` a meaning, see :func:`stacked`. Others have none."""
        if func is torch.stack:
            return stacked(*args, **(kwargs or {}))
        return NotImplemented

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, TensorSpec)
            and (isinstance(other, type(self)) or isinstance(self, type(other)))
            and (self._shape, self._dtype, self._device) == (other._shape, other._dtype, other._device)
            and self._space == other._space
        )

    def __hash__(self) -> int:
        # of what no subclass changes in place: a mask and the entries of a Composite are
        return hash((self._shape, self._dtype, self._device))

    def __repr__(self) -> str:
        lines = [f"shape={self._shape}", f"space={self._space}", f"device={self._device}"]
        lines += [f"dtype={self._dtype}", f"domain={self._domain}"]
        return f"{type(self).__name__}(\n" + textwrap.indent(",\n".join(lines), "    ") + ")"

    # For who asks at every step.

    def row_test(self) -> Callable[[npt.NDArray[Any]], bool]:
        """The cheapest test whether an array of this spec's own shape and dtype is a member.

        bfloat16, which numpy lacks, comes as an array of its bits. The test keeps the mask that the spec has now.
        """
        if self._dtype == torch.bfloat16:
            return lambda row: self.is_in(torch.from_numpy(row).view(torch.bfloat16))
        return self._array_test()

    def in_words(self) -> str:
        """The spec in a few words: ``"float32 [3] within [-1, 1]"``."""
        return f"{str(self._dtype).removeprefix('torch.')} {list(self._shape)}{self._members_in_words()}"

    # For subclasses.

    def _array_test(self) -> Callable[[npt.NDArray[Any]], bool]:
        """:meth:`row_test` for a dtype that numpy has."""
        return lambda row: self.is_in(torch.from_numpy(row))

    def _members_in_words(self) -> str:
        """What ends :meth:`in_words`: which values are members."""
        return f", {type(self).__name__}"

    def _described(self) -> str:
        """:meth:`in_words`, and of which kind and where it is."""
        return f"{type(self).__name__} ({self.in_words()}) on {self._device}"

    def _near(self, value: Tensor) -> Tensor:
        """``_nearest``, also of a tensor without values."""
        near: Tensor = torch.empty_like(value, dtype=self._dtype) if value.is_meta else self._nearest(value)
        return near

    def _stacked(self, specs: Sequence[Self], where: int) -> Self:
        """The spec of stacks along the new dimension ``where``: of ``specs``, whose form is this one's, first this one.

        Raises SpecError where they differ in something that this kind of spec has once only.
        """
        raise SpecError(_unlike(next(spec for spec in specs if spec != self), self))

    def _repeated(self, where: int, count: int) -> Self:
        """With ``count`` times the same along the new dimension ``where``."""
        shape = (*self._shape[:where], count, *self._shape[where:])
        return self.unsqueeze(where).expand(shape)

    def _size(self, shape: Shape) -> tuple[int, ...]:
        """The shape of ``[*shape, *self.shape]``."""
        if isinstance(shape, int):
            return (shape, *self._shape)
        return (*shape, *self._shape) if shape else self._shape

    def _fits(self, shape: torch.Size) -> bool:
        """Whether ``shape`` ends with this one."""
        return shape[len(shape) - len(self._shape) :] == self._shape if len(shape) >= len(self._shape) else False

    def _complaint(self, value: Any) -> str:
        """What is wrong with ``value``, in one sentence."""
        name = type(self).__name__
        if not isinstance(value, Tensor):
            return f"{name} takes a tensor, found {type(value).__name__}."
        if not self._fits(value.shape):
            return f"{name} takes the shape [*, {', '.join(map(str, self._shape))}], found {list(value.shape)}."
        if value.dtype != self._dtype:
            return f"{name} takes the dtype {self._dtype}, found {value.dtype}."
        lead = value.shape[: value.ndim - self.ndim]
        rows = value.reshape(-1, *self._shape)
        first = _first(len(rows), lambda upto: not self._holds(rows[:upto]))
        place = [int(i) for i in np.unravel_index(first, lead)] if lead else []
        return f"{name} does not hold {self._misfit(rows[first], place)}."

    def _misfit(self, row: Tensor, place: list[int]) -> str:
        """What in ``row``, which is no member, is wrong and what was expected; it was found at ``place``."""
        return f"{_excerpt(row)}{f' at {place}' if place else ''}: expected {self.in_words()}"

    def _encoded(self, tensor: Tensor) -> Tensor:
        """:meth:`encode` of ``tensor``, which is on this device: a fresh member, cast where only precision is lost."""
        if not tensor.ndim and self._shape == (1,):
            tensor = tensor.unsqueeze(-1)
        cast = tensor.to(self._dtype, copy=True)
        if not cast.is_floating_point() and not torch.equal(cast.to(tensor.dtype), tensor):
            raise SpecError(f"{type(self).__name__} of {self._dtype} cannot hold {_excerpt(tensor)} without change.")
        self.assert_is_in(cast)
        return cast


def as_tensor(value: Any) -> Tensor:
    """``value`` as a tensor, never one that shares memory with an array. Raises SpecError for what is no number."""
    if isinstance(value, Tensor):
        return value.detach()
    try:
        return torch.from_numpy(np.array(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise SpecError(f"expected numbers of one shape, found {type(value).__name__}: {error}") from error


def domain_of(dtype: torch.dtype, said: str | None = None) -> str:
    """Of numbers of ``dtype``: "continuous" or "discrete". Raises SpecError where another one is ``said``."""
    domain = "continuous" if dtype.is_floating_point else "discrete"
    if said not in (None, domain):
        raise SpecError(f"domain: found {said!r}, but {dtype} is {domain}. Give another dtype, or leave domain out.")
    return domain


def _first(count: int, found: Callable[[int], bool]) -> int:
    """The least ``i`` below ``count`` for which ``found(i + 1)``, which stays true from there on."""
    return bisect.bisect_left(range(1, count), True, key=found)


def _excerpt(tensor: Tensor) -> str:
    """The values of a small tensor, the range of a large one."""
    if tensor.numel() <= 32:
        return repr(tensor.tolist())
    return f"the values of a tensor {list(tensor.shape)} from {tensor.min().item()} to {tensor.max().item()}"


def stacked(specs: Sequence[Any], dim: int = 0, *, out: None = None) -> Any:
    """``torch.stack`` of specs: the set of stacks of one member of each, along a new dimension ``dim``.

    Raises SpecError where they differ in kind, shape, dtype or device, or in what one spec cannot hold side by side.
    """
    first = specs[0]
    where = first._dim(dim, new=True)
    if all(spec == first for spec in specs):
        return first._repeated(where, len(specs))
    for spec in specs:
        if type(spec) is not type(first) or _form(spec) != _form(first):
            raise SpecError(_unlike(spec, first))
    return first._stacked(specs, where)


def _form(spec: TensorSpec) -> tuple[object, ...]:
    return spec.shape, spec.dtype, spec.device


def _unlike(spec: TensorSpec, first: TensorSpec) -> str:
    return (
        "specs can be stacked if they are of one kind, shape, dtype and device, and a Composite of the same keys; "
        f"found {spec._described()} beside {first._described()}"
    )
