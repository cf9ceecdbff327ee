"""The base of adapters that read and write the rows of a stepper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from envcli.adapters.entries import Entries
from envcli.adapters.stepper import Stepper
from envcli.keys import Key
from envcli.memory.buffer import Array

__all__ = ["OverStepper"]


class OverStepper:
    """An adapter that reads values from the rows of a stepper, and writes actions there.

    It can be copied and pickled although its functions are bound to memory: a copy binds functions of its own. A
    subclass names in ``_bound`` the attributes that its :meth:`_bind` sets. ``_stepped`` says whether the present
    moment is the result of a step, and not of a reset.
    """

    _bound: ClassVar[frozenset[str]] = frozenset({"_act", "_first", "_later"})
    _stepper: Stepper
    _stepped = False

    def _entries(self) -> tuple[Entries, Entries]:
        """The entries of the observation, and those of the action."""
        raise NotImplementedError

    def _bind(self) -> None:
        """Make the functions that read and write the rows."""
        stepper, (shown, taken) = self._stepper, self._entries()
        self._act = taken.writer(stepper.root, stepper.gates(), set(stepper.env._roles().masks))
        self._first, self._later = (shown.reader(rows) for rows in (stepper.root, stepper.following))

    @property
    def _now(self) -> Mapping[Key, Array]:
        """The rows that show the present moment."""
        return self._stepper.following if self._stepped else self._stepper.root

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self._bound}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()
