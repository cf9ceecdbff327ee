"""What adapters have in common that read and write the rows of a stepper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from envcli.adapters.entries import Entries
from envcli.adapters.stepper import Stepper
from envcli.keys import Key
from envcli.memory.buffer import Array

__all__ = ["OverStepper"]


class OverStepper:
    """An adapter whose values are read from the rows of a stepper, and whose actions are written there.

    It can be copied and pickled although it has functions bound to memory: a copy binds its own. A subclass names in
    ``_bound`` the attributes that its :meth:`_bind` sets, and says in ``_stepped`` whether what the last step led to is
    the present moment.
    """

    _bound: ClassVar[frozenset[str]] = frozenset({"_act", "_first", "_later"})
    _stepper: Stepper
    _stepped = False

    def _entries(self) -> tuple[Entries, Entries]:
        """Those that are shown, and those that an action is made of."""
        raise NotImplementedError

    def _bind(self) -> None:
        """Make all that reads and writes the rows."""
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
