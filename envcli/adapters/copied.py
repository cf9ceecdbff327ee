"""What adapters have in common that read and write the rows of a stepper."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

__all__ = ["Copied"]


class Copied:
    """Something that can be copied and pickled although it has functions bound to memory: a copy binds its own.

    A subclass names in ``_bound`` the attributes that :meth:`_bind` sets.
    """

    _bound: ClassVar[frozenset[str]]

    @abstractmethod
    def _bind(self) -> None:
        """Make all that reads and writes the rows."""

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self._bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()
