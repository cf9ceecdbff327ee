"""Entries of a row as one value of another library: an array, or a dict, a tuple or a list of such."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import Any, Protocol

import torch

from envcli.adapters.encoding import Encoding
from envcli.errors import ActionError
from envcli.keys import Key
from envcli.memory.buffer import Array
from envcli.rows.action_gate import ActionGate

__all__ = ["Entries", "Entry", "Nest"]


class Entries(Protocol):
    """What is read from rows and written to them."""

    def paths(self) -> Iterator[Key]:
        """The entries of a row."""

    def reader(self, rows: Mapping[Key, Array]) -> Callable[[], Any]:
        """What gives the value that ``rows``, path -> ``[*lead, *value]``, hold at the time, in fresh memory."""

    def writer(
        self, rows: Mapping[Key, Array], gates: Mapping[Key, ActionGate], masked: Set[Key]
    ) -> Callable[[Any], None]:
        """What writes a value into ``rows``, whose ``gates`` look at it. It raises ActionError if it does not fit.

        ``masked``: the entries of which not all choices are allowed in each row.
        """


class Entry:
    """One entry.

    Args:
        path: where it stands in a row.
        encoding: how others see it.
    """

    def __init__(self, path: Key, encoding: Encoding) -> None:
        self.path, self.encoding = path, encoding

    def paths(self) -> Iterator[Key]:
        """See :class:`Entries`."""
        yield self.path

    def reader(self, rows: Mapping[Key, Array]) -> Callable[[], Any]:
        """See :class:`Entries`."""
        return self.encoding.reader(rows[self.path])

    def writer(
        self, rows: Mapping[Key, Array], gates: Mapping[Key, ActionGate], masked: Set[Key]
    ) -> Callable[[Any], None]:
        """See :class:`Entries`. What the encoding proves, and no mask forbids, need not pass the gate."""
        row, gate, encoding, name = rows[self.path], gates[self.path], self.encoding, ".".join(self.path)
        lead = encoding.lead(row)
        if encoding.proves and self.path not in masked:
            return encoding.writer(row, name)
        return lambda value: gate.write(0, torch.from_numpy(encoding.inward(value, lead, name)))


class Nest:
    """Several entries.

    Args:
        children: what each is called, or where it stands in the sequence; and the entry.
        kind: ``dict``, ``tuple`` or ``list``.
    """

    def __init__(self, children: Sequence[tuple[Any, Entries]], kind: type[Any]) -> None:
        self.children, self.kind = list(children), kind

    def paths(self) -> Iterator[Key]:
        """See :class:`Entries`."""
        for _, child in self.children:
            yield from child.paths()

    def reader(self, rows: Mapping[Key, Array]) -> Callable[[], Any]:
        """See :class:`Entries`."""
        readers = [(at, child.reader(rows)) for at, child in self.children]
        if self.kind is dict:
            return lambda: {at: read() for at, read in readers}
        return lambda: self.kind(read() for _, read in readers)

    def writer(
        self, rows: Mapping[Key, Array], gates: Mapping[Key, ActionGate], masked: Set[Key]
    ) -> Callable[[Any], None]:
        """See :class:`Entries`."""
        writers = [(at, child.writer(rows, gates, masked)) for at, child in self.children]

        def write(value: Any) -> None:
            for at, one in writers:
                try:
                    part = value[at]
                except (KeyError, IndexError, TypeError):
                    expected = [name for name, _ in writers]
                    raise ActionError(f"action: expected entries {expected}, found {type(value).__name__}") from None
                one(part)

        return write
