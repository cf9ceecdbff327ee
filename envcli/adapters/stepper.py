"""An env stepped by hand, on a single row of memory and without a TensorDict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from envcli.envs.env import Env
from envcli.envs.front import gates
from envcli.errors import ConfigError, EnvError
from envcli.keys import Key, as_path
from envcli.memory.buffer import Array
from envcli.rows.action_gate import ActionGate
from envcli.rows.reset_request import ResetRequest

__all__ = ["Stepper"]


class Stepper:
    """Resets and steps ``env``. The results are in :attr:`root` and :attr:`following` until the next call.

    Args:
        env: a single one or a batch.
        onward: each step is followed by :meth:`begin_anew` where an episode has ended: an env that can do both at once
            does, which in other processes takes one message instead of two.

    Attributes:
        root: path -> ``[*batch, *value]``, what the next step begins with, and where the action is written.
        following: the same, what the last step led to.
        rewards: ``[*batch]``, of the last step, in the dtype of the spec.

    Raises:
        ConfigError: the env pays several rewards at once.
    """

    def __init__(self, env: Env, onward: bool = False) -> None:
        env._require_open()  # a batch is started: what it shows must be known
        self.env = env
        self.buffer = buffer = env._buffer(1 + onward)
        env._attach(buffer)
        self._asked, self._onward = onward, onward and env._autoresets
        self.root: Mapping[Key, Array] = {path: buffer.array(path)[0, ...] for path in buffer if path[0] != "next"}
        self.following: Mapping[Key, Array] = {
            path[1:]: buffer.array(path)[0, ...] for path in buffer if path[0] == "next"
        }
        self.rewards = self._only_reward()
        flags = env.full_done_spec.leaves()
        self._flags = [(self.root[path], self.following[path]) for path in flags]
        ends = {path: self.following[path].reshape((*env.batch_size, -1)) for path in env._governing_flags()}
        self._terminated, self._truncated = (
            [rows for path, rows in ends.items() if path[-1] == name] for name in ("terminated", "truncated")
        )
        follow = {(*path[:-1], "done") for path in ends if path[-1] == "terminated"} - env._roles().end_flags
        self._done = [
            rows for path, rows in ends.items() if path[-1] not in ("terminated", "truncated") and path not in follow
        ]
        self._preset = [(self.root[path], self.following[path]) for path in env._roles().recurrent]
        stay = {*flags, *env.full_action_spec.leaves()}
        moves = {path: (self.root[path], row) for path, row in self.following.items() if path in self.root}
        self._moves = [move for path, move in moves.items() if path not in stay]
        self._reads = [moves[path] for path in env._roles().reads if path in moves and path not in stay]
        shown = [path for path in self.root if path not in env.full_action_spec.leaves()]
        self._anew = [(self.root[path], buffer.array(path)[1, ...]) for path in shown] if self._onward else []
        self._begun = False

    def __getstate__(self) -> dict[str, Any]:
        """A copy has rows of its own, with the same values."""
        rows = {path: self.buffer.array(path).copy() for path in self.buffer}
        return {"env": self.env, "onward": self._asked, "begun": self._begun, "rows": rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Stepper.__init__(self, state["env"], state["onward"])
        for path, rows in state["rows"].items():
            self.buffer.array(path)[...] = rows
        self._begun = state["begun"]

    def _only_reward(self) -> Array:
        leaves = self.env.full_reward_spec.leaves()
        if len(leaves) != 1 or next(iter(leaves.values())).shape.numel() != self.env.numel():
            found = {".".join(path): list(leaf.shape) for path, leaf in leaves.items()}
            cure = "Add them up: transforms=linearise_rewards" if len(leaves) == 1 else "Select or sum the rewards"
            raise ConfigError(f"the env's reward is {found}, expected one number per env. {cure}")
        return self.following[as_path(self.env.reward_key)].reshape(self.env.batch_size)

    def gates(self) -> dict[Key, ActionGate]:
        """The checks that actions pass before they are written into the row."""
        return {as_path(key): gate for key, gate in gates(self.env, self.buffer)}

    def reset(self, where: Array | None = None, options: Mapping[str, Any] | None = None) -> None:
        """Begin new episodes; :attr:`root` shows them.

        Args:
            where: ``[*batch]`` bool, which envs; None: all.
            options: for the simulators' own ``reset``.
        """
        env = self._at_hand()
        if where is not None and where.all():
            where = None
        if where is not None and not self._begun:
            raise EnvError("reset: the other envs have not been reset yet. Reset all of them first")
        for root, _ in self._flags:
            root[... if where is None else where] = False
        env._reset_on_request(0, where, ResetRequest(options or {}))
        self._begun = True

    def step(self) -> None:
        """Make a step with the action in :attr:`root`; the result is in :attr:`following`."""
        self.send()
        self.receive()

    def send(self, waiting: Array | None = None) -> None:
        """Begin :meth:`step`.

        ``waiting``: ``[*batch]`` bool, the envs that are reset next, and need not be stepped; None: none of them.
        """
        if not self._begun:
            raise EnvError("step: no episode has started. Call reset() first")
        env = self._at_hand()
        if waiting is not None:
            env._pause(waiting)
        for _, following in self._flags:
            following.fill(False)
        for root, following in self._preset:
            following[...] = root
        env._send_row(0, self._onward)

    def receive(self) -> None:
        """End :meth:`step`."""
        self.env._receive_row(0, self._onward)

    def go_on(self, everything: bool = False) -> None:
        """Begin the next step where the last one ended: :attr:`root` gets what it reads, or ``everything``."""
        for root, following in [*self._moves, *self._flags] if everything else self._reads:
            root[...] = following

    def begin_anew(self, where: Array) -> None:
        """:meth:`go_on`, with new episodes in ``where``, ``[*batch]`` bool: those that the last step ended."""
        if self._onward:
            for root, begun in self._anew:
                root[...] = begun
        else:
            self.go_on(everything=True)
            self.reset(where)

    def ends(self) -> tuple[Array, Array]:
        """``[*batch]`` bool, fresh: is the episode terminated, and is it truncated? Done without a reason: terminated.

        Of several flags of which none is above the others, such as those of agents, any ends it.
        """
        terminated, truncated = self._any(self._terminated), self._any(self._truncated)
        if self._done:
            terminated |= self._any(self._done) & ~truncated
        return terminated, truncated

    def _any(self, flags: list[Array]) -> Array:
        """``[*batch]`` of ``[*batch, *]``, fresh."""
        if len(flags) == 1 and flags[0].shape[-1] == 1:  # as nearly everywhere, and a third of the price
            return flags[0][..., 0].copy()
        found = np.zeros(tuple(self.env.batch_size), bool)
        for flag in flags:
            found |= flag.any(-1)
        return found

    def _at_hand(self) -> Env:
        """The env, bound to these rows again if it was used elsewhere; a batch that was closed is started again."""
        self.env._require_open()
        self.env._attach(self.buffer)
        return self.env
