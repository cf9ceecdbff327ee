"""The base of contenders that are vector envs, stepped in a loop."""

from __future__ import annotations

from abc import ABC
from typing import Any

from envcli.contenders.contender import Array, Contender

__all__ = ["VectorContender"]


class VectorContender(Contender, ABC):
    """Calls ``reset``, ``step`` and ``close`` of a vector env; a subclass makes it and passes the actions."""

    def _take(self, envs: Any, actions: Array) -> None:  # Any: each library has a class of its own
        """Make :meth:`run` step ``envs``, which has been reset, with ``actions``, ``[env, time, ...]``."""
        self._envs = envs
        self._actions = list(actions.swapaxes(0, 1))

    def run(self) -> None:
        """A loop over ``step``."""
        self._envs.reset()
        step = self._envs.step
        for actions in self._actions:
            step(actions)

    def close(self) -> None:
        """Close the envs, and with them their processes or threads."""
        self._envs.close()
