"""The front of an env: one row of memory between the user's TensorDicts and the env's hooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.beginning import load_row, reset_mask, shown_by_reset
from envcli.envs.idle_envs import IdleEnvs
from envcli.errors import SpecError
from envcli.keys import Key, as_user_key, nest, under_next
from envcli.mdp import leaf_paths
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.groups import set_group_batch_sizes
from envcli.memory.masks import any_of
from envcli.rows.action_gate import ActionGate
from envcli.rows.reset_request import ResetRequest
from envcli.rows.row_env import RowEnv

__all__ = ["Front", "gates", "refuse_some"]


class Front:
    """Public ``reset`` and ``step`` of one env, on a buffer of one row. Tensors handed out are fresh memory.

    Args:
        env: the env.
        onward: may a step also begin the next episode? See :attr:`leads`.
    """

    def __init__(self, env: RowEnv, onward: bool = False) -> None:
        roles = env._roles()
        self._env, self._batch_size = env, env.batch_size
        self.buffer = env._buffer(2 if onward and not roles.reset_reads_input else 1)  # the second: what comes after
        self._gates = gates(env, self.buffer)
        self._last: Key | None = None  # where the env's last moment stands: ("next",), or () for the root
        self._waiting: Array | None = None  # [*batch] bool: the envs that make no step now
        self._sealed = roles.hidden_states
        self._state = set(env.state_spec.leaves())
        self._flag_paths = set(env.full_done_spec.leaves())
        self._reads = [(as_user_key(path), path) for path in roles.reads]
        self._root = self._rows(path for path in self.buffer if path in shown_by_reset(env) - roles.writes_back)
        self._left = [(as_user_key(path), self.buffer[path][0]) for path in roles.writes_back]
        self._carried = roles.recurrent
        self._masks = roles.masks
        self._seen_masks: dict[Key, torch.Tensor] = {}  # action -> the mask that was shown last
        self._next = self._rows(path for path in self.buffer if path[0] == "next")
        self._flags = [self.buffer.array(under_next(path)) for path in env.full_done_spec.leaves()]
        self._remembers = bool(env.batch_size or self._sealed or roles.reads - self._state)
        self._root_flags = [self.buffer.array(path) for path in env.full_done_spec.leaves()]
        self._groups = sorted(env._group_parts().items(), key=lambda item: len(item[0]))
        self._ends = [self.buffer.array(under_next(path)) for path in env._end_flags()]

    def reset(self, tensordict: TensorDictBase | None, options: Mapping[str, Any] = MappingProxyType({})) -> TensorDict:
        """A new TensorDict ``[*batch]`` of observation, state and done family; ``options``: for the simulator."""
        self._env._attach(self.buffer)
        where = None if tensordict is None else reset_mask(self._env, tensordict)
        if where is not None and tensordict is not None:
            self.require_here(tensordict, reset=True)
            self._stand_at(tensordict, "reset")
        for flags in self._root_flags:
            flags[0][... if where is None else where] = False
        if where is None or any_of(where):
            self._env._reset_on_request(0, where, ResetRequest(options, tensordict))
        self._last = ()
        self._note_masks()
        return self._handed_out(self._root)

    def step(self, tensordict: TensorDictBase) -> TensorDict:
        """What the step that ``tensordict`` asks for leads to: a new TensorDict ``[*batch]``, the future ``"next"``."""
        self.take(tensordict)
        self._env._send_row(0)
        self._env._receive_row(0)
        return self.show(tensordict)

    @cached_property
    def leads(self) -> bool:
        """Can :meth:`step_onward` be used? It sends one message to other processes instead of two."""
        self._env._attach(self.buffer)
        return self.buffer.steps > 1 and self._env._autoresets

    def step_onward(self, tensordict: TensorDictBase) -> tuple[TensorDict, TensorDict | None]:
        """:meth:`step`, and a new episode wherever one ends: also what all envs go on from; None: no episode ended."""
        self.take(tensordict)
        self._env._send_row(0, True)
        self._env._receive_row(0, True)
        following = self.show(tensordict)
        if not any(any_of(flags[0]) for flags in self._ends):
            return following, None
        for path, row in self._root:
            row.copy_(self.buffer[path][1])
        self._last = ()
        self._note_masks()
        return following, self._handed_out(self._root)

    def take(self, tensordict: TensorDictBase) -> None:
        """Write into the row what the step reads from ``tensordict``."""
        if tensordict.batch_size != self._batch_size:  # 0.2 us; what came of it would have two batch sizes
            raise SpecError(
                f"step: expected a TensorDict of batch_size {list(self._batch_size)}, like the env's, found "
                f"{list(tensordict.batch_size)}. Start from env.reset()"
            )
        self._env._attach(self.buffer)
        if self._sealed:
            self.require_here(tensordict, reset=False)
        self.go_on()
        some = tensordict.get("_step", None) if self._batch_size else None  # 0.5 % of a step by hand of two CartPoles
        waiting = None if some is None else self._who_waits(tensordict, some)
        for key, path in self._reads:
            value = tensordict.get(key, None)
            if value is None:
                if path in self._state or self._last is None:
                    raise SpecError(
                        f"step: no {key!r} in the TensorDict, which this env's step reads. Start from env.reset()"
                    )
                value = self._latest(path)
            self.buffer[path][0].copy_(value)
        for key, gate in self._gates:
            value = tensordict.get(key, None)
            if value is None:
                raise SpecError(f"step: no {key!r} in the TensorDict. env.rand_action(tensordict) writes a random one")
            gate.write(0, value)
        if waiting is not None:
            self._waiting = waiting
            self._env._pause(waiting)
        for flags in self._flags:
            flags.fill(False)
        for path in self._carried:
            given = tensordict.get(as_user_key(under_next(path)), None)
            self.buffer[under_next(path)][0].copy_(self.buffer[path][0] if given is None else given)
        self._last = ()

    def show(self, tensordict: TensorDictBase) -> TensorDict:
        """The result of the step; what it wrote back at the root goes into ``tensordict``."""
        if self._waiting is not None:
            self._idle.write(0, self._waiting)
            self.go_on()
        self._last = ("next",)
        for key, row in self._left:
            tensordict.set(key, row.to(self._env.device or "cpu", copy=True))
        self._note_masks()
        return self._handed_out(self._next)

    def _who_waits(self, tensordict: TensorDictBase, some: torch.Tensor) -> Array | None:
        """The envs ``[*batch]`` that stay where ``tensordict`` shows them, as the mask ``some`` says; None: nobody."""
        where: Array = ~some.reshape(self._batch_size).numpy(force=True)
        if not any_of(where):
            return None
        if not self._env._pauses:
            refuse_some(self._env, tensordict)
        self._stand_at(tensordict, "step")
        return where

    def go_on(self) -> None:
        """Have all envs make their steps, also after one that failed and in which some had to wait."""
        if self._waiting is not None:
            self._waiting = None
            self._env._pause(None)

    @cached_property
    def _idle(self) -> IdleEnvs:
        return IdleEnvs(self._env, self.buffer)

    # -- where the env stands -------------------------------------------------------------------------------------

    def take_over(self, rows: RolloutBuffer, stays: bool = False) -> None:
        """After a rollout in ``rows``: remember the env's last moment, and release them unless the env ``stays``."""
        if rows.filled and self._remembers:
            for path in self.buffer:
                self.buffer.array(path)[0] = rows.array(path)[rows.filled - 1]
            self._last = ("next",)
            self._note_masks()
        if not stays:
            self._env._let_go(self.buffer)

    def require_here(self, tensordict: TensorDictBase, reset: bool) -> None:
        """Raise SpecError if ``tensordict`` shows another moment than the env's, and the env cannot go there.

        With ``reset``, those that ``"_reset"`` names (all, if it is not there) may be anywhere.
        """
        if self._last is None or not self._sealed:
            return
        where = torch.zeros(self._env.batch_size, dtype=torch.bool)
        if reset:
            mask = reset_mask(self._env, tensordict)
            where = torch.ones_like(where) if mask is None else torch.from_numpy(mask)
        for path in self._sealed:
            given = tensordict.get(as_user_key(path), None)
            if given is None:
                continue
            shown = self._latest(path)
            given = given.to(shown.device)
            same = (given == shown) | ((given != given) & (shown != shown))
            if not (same.reshape(*where.shape, -1).all(-1) | where).all():
                raise SpecError(
                    f"{as_user_key(path)!r} is not the env's latest value. A transform overwrites the env's state "
                    "with it, so this env can only continue from its latest step. To step from earlier ones, give "
                    "that transform separate out_keys"
                )

    def moment(self) -> TensorDict | None:
        """What a step begins with where the env stands, but for the action, in fresh memory; None before a reset."""
        if self._last is None:
            return None
        shown = {as_user_key(path): self._latest(path).clone() for path, _ in self._root}
        return TensorDict(shown, batch_size=self._batch_size)

    def _latest(self, path: Key) -> torch.Tensor:
        """What the env showed last as ``path``, ``[*batch, *value]``: a view."""
        assert self._last is not None
        latest = (*self._last, *path)
        return self.buffer[latest if latest in self.buffer else path][0]

    def _stand_at(self, tensordict: TensorDictBase, call: str) -> None:
        """The root shows where ``tensordict`` stands, and the env where that does not say.

        Raises SpecError if nobody says; ``call``, ``"reset"`` or ``"step"``, is what is asked of some envs alone.
        """
        if self._last is None:
            missing = sorted({path for path, _ in self._root} - set(leaf_paths(tensordict)) - self._flag_paths)
            if missing:
                raise SpecError(
                    f"{call}: no {as_user_key(missing[0])!r} in the TensorDict, for the envs that '_{call}' leaves "
                    "out. Reset all of them first, or pass what env.step_mdp() gives"
                )
        for path, row in self._root if self._last is not None else ():
            row.copy_(self._latest(path))
        load_row(self.buffer, 0, tensordict, (path for path, _ in self._root))

    # -- masks ----------------------------------------------------------------------------------------------------

    def mask(self, action: Key, tensordict: TensorDictBase | None) -> torch.Tensor | None:
        """``[*batch, n]``: which choices are allowed where ``tensordict`` stands, or the env itself; None: any."""
        path = self._masks.get(action)
        given = None if path is None or tensordict is None else tensordict.get(as_user_key(path), None)
        return self._seen_masks.get(action) if given is None else given

    def _note_masks(self) -> None:
        for action, path in self._masks.items():
            self._seen_masks[action] = self._latest(path).clone()

    def _rows(self, paths: Iterable[Key]) -> list[tuple[Key, torch.Tensor]]:
        return [(path[1:] if path[0] == "next" else path, self.buffer[path][0]) for path in paths]

    def _handed_out(self, rows: list[tuple[Key, torch.Tensor]]) -> TensorDict:
        device = self._env.device
        if device is None or device.type == "cpu":
            values = {path: row.clone() for path, row in rows}
        else:
            values = {path: row.to(device) for path, row in rows}
        handed = TensorDict(nest(values), batch_size=self._env.batch_size, device=device)
        set_group_batch_sizes(handed, self._groups)
        return handed


def refuse_some(env: object, tensordict: TensorDictBase) -> None:
    """Raise SpecError if ``"_step"`` in ``tensordict`` leaves out some envs of a batch that has one step for all."""
    some = tensordict.get("_step", None)
    if some is not None and not bool(some.all()):
        raise SpecError(
            f"step: '_step' leaves out some envs, but {type(env).__name__} steps all of its batch together. Leave it "
            "out, or use a SerialEnv or a ParallelEnv of single envs"
        )


def gates(env: RowEnv, buffer: RolloutBuffer) -> list[tuple[str | tuple[str, ...], ActionGate]]:
    """One gate for each action of ``env``, with the key the user knows it by."""
    leaves = env.full_action_spec.leaves()
    masks = env._roles().masks
    return [(as_user_key(path), ActionGate(path, leaf, buffer, masks.get(path))) for path, leaf in leaves.items()]
