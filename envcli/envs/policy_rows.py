"""A policy and the rows it reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from tensordict import TensorDictBase

from envcli.envs.front import gates
from envcli.envs.row_entries import RowEntries
from envcli.errors import SpecError
from envcli.keys import Key, as_path, under_next
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.row_views import RowViews
from envcli.rows.action_gate import ActionGate
from envcli.rows.row_env import RowEnv

__all__ = ["PolicyRows"]


class PolicyRows:
    """Calls a policy row by row, and stores what it writes.

    The policy gets a TensorDict whose tensors are rows of the buffer: those it names in ``in_keys``, or all of the root
    if it names none. Everything it sets is stored: actions once they have passed the gate, entries that no spec
    declares in rows of their own, and entries that it replaces (a normalised observation) in place of the old.

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
        self._entries = RowEntries(buffer, "the policy", self._gates)
        self.reads = self._wanted(self._root())
        self.look()

    def look(self) -> None:
        """Show the policy the entries that the buffer has by now."""
        paths = [path for path in self._root() if self.reads is None or path in self.reads]
        self._views = RowViews(self._buffer, paths, self.device)

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
        grown = self._entries.store(t, result, before)
        if grown:
            self.look()
        for gate in self._gates.values():
            if gate.written != t:
                names = [".".join(path) for path in self._gates]
                raise SpecError(f"the policy set no action: expected {names}, found {sorted(map(str, result.keys()))}")
        return grown

    def wrote(self, t: int, path: Key) -> bool:
        """Did the policy set ``path`` in row ``t``?"""
        return self._entries.wrote(t, path)

    def _wanted(self, root: Sequence[Key]) -> set[Key] | None:
        names = getattr(self.policy, "in_keys", None)
        if names is None:
            return None
        wanted = {as_path(name) for name in names}
        return wanted | {path for path in root if any(path[: len(w)] == w for w in wanted)}

    def _root(self) -> list[Key]:
        chosen = {path for path in self._gates if under_next(path) not in self._buffer}  # each row has its own
        return [path for path in self._buffer if path[0] != "next" and path not in chosen]
