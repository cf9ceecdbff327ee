"""What somebody sets in a row, on its way into the buffer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.keys import Key
from envcli.memory.buffer import RolloutBuffer, as_array

__all__ = ["RowEntries"]


class _Writer(Protocol):
    """What takes a value into row ``t``: an action's gate is one."""

    def write(self, t: int, value: Any) -> object: ...  # Any: a tensor, and whatever else a TensorDict gives out


class RowEntries:
    """Stores what a policy or a callback sets in the TensorDict of a row, in rows of its own where it has none yet.

    Args:
        buffer: whose rows.
        who: sets it, for messages.
        writers: path -> what takes it instead.
    """

    def __init__(self, buffer: RolloutBuffer, who: str, writers: Mapping[Key, _Writer]) -> None:
        self._buffer, self._who = buffer, who
        self._writers = dict(writers)

    def store(self, t: int, result: TensorDictBase, before: Mapping[str, Any], prefix: Key = ()) -> bool:
        """All of ``result`` that is not in ``before`` already. True if an entry got rows for that."""
        grown = False
        for name, value in result.items():
            if type(value) is torch.Tensor and before.get(name) is value:
                continue  # what was read and left alone: most entries of most policies
            path = (*prefix, name)
            writer = self._writers.get(path)
            if writer is not None:
                writer.write(t, value)
            elif isinstance(value, TensorDictBase):
                old = before.get(name)
                known = dict(old.items()) if old is not None and old is not value else {}
                grown |= self.store(t, value, known, path)
            elif isinstance(value, torch.Tensor):
                grown |= self._begin(path, value)
                self._writers[path].write(t, value)
            else:
                raise SpecError(
                    f"{self._who} wrote {'.'.join(path)}, a {type(value).__name__}; a rollout holds tensors"
                )
        return grown

    def wrote(self, t: int, path: Key) -> bool:
        """Was ``path`` set in row ``t``?"""
        return getattr(self._writers.get(path), "written", -1) == t

    def _begin(self, path: Key, value: torch.Tensor) -> bool:
        """``path`` is written for the first time. True if it gets rows for that."""
        grown = path not in self._buffer
        if grown:
            self._buffer.add(path, value.detach().cpu())
            if path[0] == "next" and path[1:] not in self._buffer:  # a hidden state: the next step begins with it
                self._buffer.add(path[1:], value.detach().cpu())
        self._writers[path] = _Entry(path, self._buffer, self._who)
        return grown


class _Entry:
    """The rows of an entry that is set besides the action."""

    def __init__(self, path: Key, buffer: RolloutBuffer, who: str) -> None:
        self._name, self._who = ".".join(path), who
        self._rows = buffer.array(path)
        self._shape, self._dtype = buffer[path].shape[1:], buffer[path].dtype
        self.written = -1  # the last row that was set

    def write(self, t: int, value: Any) -> None:
        if value.shape != self._shape:
            raise SpecError(
                f"{self._who} wrote {self._name} of shape {list(value.shape)} in row {t}, after {list(self._shape)} "
                "before: an entry must keep its shape for a whole rollout"
            )
        if value.dtype != self._dtype:
            value = value.to(self._dtype)
        self._rows[t] = as_array(value)  # numpy: 0.5 us less than torch
        self.written = t
