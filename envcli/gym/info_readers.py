"""All that is read from a simulator's ``info``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from envcli.errors import SpecError
from envcli.gym.info_reader import InfoReader
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Composite

__all__ = ["InfoReaders"]


class InfoReaders:
    """One :class:`InfoReader` after the other; where two read the same entry, it is that of the later one.

    Args:
        readers: which; a value: :meth:`and_then` makes another one.
    """

    def __init__(self, readers: Sequence[InfoReader] = ()) -> None:
        self.readers = list(readers)

    def and_then(self, reader: InfoReader) -> InfoReaders:
        """These, and ``reader``."""
        return InfoReaders([*self.readers, reader])

    def added_to(self, shown: Composite, device: torch.device | None) -> Composite:
        """``shown``, with what they read. Raises SpecError if it has an entry of theirs."""
        both = shown.clone()
        for reader in self.readers:
            if taken := sorted(map(str, set(reader.info_spec.keys()) & set(shown.keys()))):
                raise SpecError(f"info reader: the observation already has {taken}. Read other keys")
            both.update(reader.info_spec if device is None else reader.info_spec.to(device))
        return both

    def writer(
        self, buffer: RolloutBuffer, prefix: tuple[str, ...]
    ) -> Callable[[int, Mapping[str, Any]], None] | None:  # Any: whatever a simulator says
        """``write(t, info)`` into the rows under ``prefix``, by all of them; None: there are none."""
        writers = [reader.writer(buffer, prefix) for reader in self.readers]
        if len(writers) < 2:
            return writers[0] if writers else None

        def write(t: int, info: Mapping[str, Any]) -> None:
            for one in writers:
                one(t, info)

        return write
