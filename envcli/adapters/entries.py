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
    """One or more entries of a row, which can be read as one value of the other library, and written from one."""

    def paths(self) -> Iterator[Key]:
        """The entries of a row."""

    def reader(self, rows: Mapping[Key, Array]) -> Callable[[], Any]:
        """A function that returns the current value in ``rows``, path -> ``[*lead, *value]``, in fresh memory."""

    def writer(
        self, rows: Mapping[Key, Array], gates: Mapping[Key, ActionGate], masked: Set[Key]
    ) -> Callable[[Any], None]:
        """A function that writes a value into ``rows``, checked by ``gates``. It raises ActionError if it does not fit.

        ``masked``: the entries whose choices a mask can forbid in a row.
        """


class Entry:
    """One entry.

    Args:
        path: where it stands in a row.
        encoding: how the other library represents it.
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
        """See :class:`Entries`. Without a mask, a value that the encoding proves to fit does not pass the gate."""
        row, gate, encoding, name = rows[self.path], gates[self.path], self.encoding, ".".join(self.path)
        lead = encoding.lead(row)
        if encoding.proves and self.path not in masked:
            return encoding.writer(row, name)
        return lambda value: gate.write(0, torch.from_numpy(encoding.inward(value, lead, name)))


class Nest:
    """Several entries.

    Args:
        children: the key of each, or its place in the sequence; and the entry.
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
