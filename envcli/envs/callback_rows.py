"""A callback and the rows it is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tensordict import TensorDictBase

from envcli.envs.row_entries import RowEntries
from envcli.keys import as_user_key
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.row_views import RowViews
from envcli.rows.row_env import RowEnv

__all__ = ["Callback", "CallbackRows"]

Callback: TypeAlias = Callable[[Any, TensorDictBase], Any]


class CallbackRows:
    """Calls ``callback(env, tensordict)`` row by row, and stores what it sets, for the policy and the step that follow.

    It is shown a moment as ``step_mdp`` gives it: all of the root, which can be written into, and what was done last,
    which cannot. An entry that it makes gets rows of its own.
    """

    def __init__(self, env: RowEnv, buffer: RolloutBuffer, callback: Callback) -> None:
        self._env, self._buffer, self._callback = env, buffer, callback
        self._actions = list(env.full_action_spec.leaves())
        self._on_host = env.device is None or env.device.type == "cpu"
        self.look()

    def look(self) -> None:
        """Show the entries that the buffer has by now."""
        root = [path for path in self._buffer if path[0] != "next" and path not in self._actions]
        self._views = RowViews(self._buffer, root, self._env.device)
        self._done = RowViews(self._buffer, self._actions, self._env.device, copied=self._actions)
        self._entries = RowEntries(self._buffer, "the callback", {})

    def call(self, t: int) -> bool:
        """Call it on row ``t``. True if it set an entry that had no rows yet."""
        shown = self._views(t)
        before = dict(shown.items()) if self._on_host else {}  # elsewhere it was shown copies
        given = shown.copy().update(self._done(t - 1))
        self._callback(self._env, given)
        return self._entries.store(t, given.exclude("next", *map(as_user_key, self._actions)), before)
