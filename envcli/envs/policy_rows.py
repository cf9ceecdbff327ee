"""A policy and the rows it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.envs.front import gates
from envcli.errors import SpecError
from envcli.keys import Key, as_path
from envcli.memory.buffer import RolloutBuffer, as_array
from envcli.memory.row_views import RowViews
from envcli.rows.action_gate import ActionGate
from envcli.rows.row_env import RowEnv

__all__ = ["PolicyRows"]


class PolicyRows:
    """Calls a policy row by row, and stores what it writes.

    The policy gets a TensorDict whose tensors are rows of the buffer: those it names in ``in_keys``, or all of the root
    if it names none. Everything it sets is stored: actions after they passed the gate, entries that no spec announced
    in rows of their own, and entries that it replaced (a normalised observation) in place of the old.

    Args:
        env: whose actions are written.
        buffer: whose rows are read and written.
        policy: called with a TensorDict ``[*batch]`` on ``env.device``; returns one, or None where it wrote into that.
        device: where the policy wants its input; None: it takes it as it is.

    ``policy`` and ``device`` can be read; ``reads`` are the root entries that it is shown, None for all.
    """

    def __init__(
        self,
        env: RowEnv,
        buffer: RolloutBuffer,
        policy: Callable[[TensorDictBase], TensorDictBase | None],
        device: torch.device | None = None,
    ) -> None:
        self.policy = policy
        self._buffer = buffer
        self.device = env.device if device is None else device
        self._gates: dict[Key, ActionGate] = {as_path(key): gate for key, gate in gates(env, buffer)}
        self._writers: dict[Key, ActionGate | _Entry] = dict(self._gates)
        root = [path for path in buffer if path[0] != "next" and path not in self._gates]
        self.reads = self._wanted(root)
        self._read_now(root)

    def write(self, t: int) -> bool:
        """Call the policy on row ``t``. True if it wrote an entry that had no rows yet."""
        row = self._views(t)
        before = dict(row.items())
        result = self.policy(row)
        if result is None:  # it has written into what it was given, as TorchRL's may
            result = row
        elif not isinstance(result, TensorDictBase):
            raise SpecError(
                f"the policy returned a {type(result).__name__}; it must return the TensorDict it was given, or None"
            )
        grown = self._store(t, result, before, ())
        for gate in self._gates.values():
            if gate.written != t:
                names = [".".join(path) for path in self._gates]
                raise SpecError(f"the policy set no action: expected {names}, found {sorted(map(str, result.keys()))}")
        return grown

    def _store(self, t: int, result: TensorDictBase, before: dict[str, Any], prefix: Key) -> bool:
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
                grown |= self._store(t, value, dict(old.items()) if old is not None and old is not value else {}, path)
            elif isinstance(value, torch.Tensor):
                grown |= self._begin(path, value)
                self._writers[path].write(t, value)
            else:
                raise SpecError(f"the policy wrote {'.'.join(path)}, a {type(value).__name__}; a rollout holds tensors")
        return grown

    def _begin(self, path: Key, value: torch.Tensor) -> bool:
        """``path`` is written for the first time. True if it gets rows for that."""
        grown = path not in self._buffer
        if grown:
            self._buffer.add(path, value.detach().cpu())
            if path[0] == "next" and path[1:] not in self._buffer:  # a hidden state: the next step begins with it
                self._buffer.add(path[1:], value.detach().cpu())
            self._read_now([path for path in self._buffer if path[0] != "next" and path not in self._gates])
        self._writers[path] = _Entry(path, self._buffer)
        return grown

    def _wanted(self, root: Sequence[Key]) -> set[Key] | None:
        names = getattr(self.policy, "in_keys", None)
        if names is None:
            return None
        wanted = {as_path(name) for name in names}
        return wanted | {path for path in root if any(path[: len(w)] == w for w in wanted)}

    def _read_now(self, root: Sequence[Key]) -> None:
        paths = [path for path in root if self.reads is None or path in self.reads]
        self._views = RowViews(self._buffer, paths, self.device)


class _Entry:
    """The rows of an entry that a policy writes besides the action."""

    def __init__(self, path: Key, buffer: RolloutBuffer) -> None:
        self._name = ".".join(path)
        self._rows = buffer.array(path)
        self._shape, self._dtype = buffer[path].shape[1:], buffer[path].dtype

    def write(self, t: int, value: Any) -> None:  # Any: a tensor, and whatever else a TensorDict gives out
        if value.shape != self._shape:
            raise SpecError(
                f"the policy wrote {self._name} of shape {list(value.shape)} in row {t}, after {list(self._shape)} "
                "before: an entry must keep its shape for a whole rollout"
            )
        if value.dtype != self._dtype:
            value = value.to(self._dtype)
        self._rows[t] = as_array(value)  # numpy: 0.5 us less than torch
