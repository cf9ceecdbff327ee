"""What transforms that scale and shift know: two numbers, or as many as a value has."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Any

import torch

from envcli.errors import ConfigError
from envcli.transforms.transform import Transform

__all__ = ["LocScale", "Numbers", "as_numbers"]

Numbers = float | Sequence[float] | torch.Tensor
"""A number, or numbers that broadcast against the trailing dimensions of a value."""


class LocScale(Transform, ABC):
    """Holds ``loc`` and ``scale``, which are given or found out later: None until they are known.

    Both are buffers: they are in ``state_dict`` and move with ``to``. A subclass calls :meth:`_hold_numbers` once its
    other bases are made.
    """

    loc: torch.Tensor | None
    scale: torch.Tensor | None
    standard_normal: bool

    def _hold_numbers(self, loc: Numbers | None, scale: Numbers | None, standard_normal: bool) -> None:
        """Raises ConfigError where only one of ``loc`` and ``scale`` is given, or one is not made of numbers."""
        name = type(self).__name__
        if (loc is None) != (scale is None):
            raise ConfigError(f"{name}: loc={loc!r} and scale={scale!r}. Give both, or neither")
        self.standard_normal = standard_normal
        self.register_buffer("loc", None if loc is None else as_numbers(loc, f"{name}: loc"))
        self.register_buffer("scale", None if scale is None else as_numbers(scale, f"{name}: scale"))

    def _learn(self, loc: torch.Tensor, scale: torch.Tensor) -> None:
        """These from now on; the env that holds this works out its specs again."""
        self._set_silently(loc=loc, scale=scale)
        if self._container is not None:
            self._container._changed()

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:  # Any: torch's own hook
        loc, scale = state_dict.get(f"{prefix}loc"), state_dict.get(f"{prefix}scale")
        before = self.loc, self.scale, self.standard_normal
        if loc is not None and scale is not None:
            self._set_silently(loc=_room(loc), scale=_room(scale))  # of another shape, perhaps, or None
        super()._load_from_state_dict(state_dict, prefix, *args)
        if loc is not None and scale is not None and self.loc is not None and self.scale is not None:
            try:
                self._learn(self.loc, self.scale)
            except Exception:  # whatever made them misfit: the env must stay usable, and the caller gets the reason
                self._set_silently(**dict(zip(("loc", "scale", "standard_normal"), before, strict=True)))
                self._container._changed()
                raise

    @property
    def initialized(self) -> bool:
        """Are ``loc`` and ``scale`` known?"""
        return self.loc is not None and self.scale is not None


def _room(numbers: torch.Tensor) -> torch.Tensor:
    """Memory for ``numbers``, which are whole ones where a user of TorchRL wrote them so."""
    return torch.empty_like(numbers, dtype=None if numbers.is_floating_point() else torch.get_default_dtype())


def as_numbers(numbers: Numbers, where: str) -> torch.Tensor:
    """A tensor of its own, of torch's default dtype unless it was one. Raises ConfigError if they are none.

    >>> as_numbers([1, 2], "loc")
    tensor([1., 2.])
    """
    if isinstance(numbers, torch.Tensor):
        return numbers.detach().clone()
    try:
        return torch.tensor(numbers, dtype=torch.get_default_dtype())
    except (TypeError, ValueError):
        raise ConfigError(f"{where} is {numbers!r}, expected numbers") from None
