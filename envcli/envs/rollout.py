"""The loop: rows of one env, one after the other, from the first to the last."""

from __future__ import annotations

import time
from collections.abc import Callable

from tensordict import TensorDictBase

from envcli.envs.beginning import load_row, reset_masks
from envcli.envs.callback_rows import Callback, CallbackRows
from envcli.envs.idle_envs import IdleEnvs
from envcli.envs.policy_rows import PolicyRows
from envcli.envs.random_actions import RandomActions
from envcli.keys import under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import all_of, any_of
from envcli.rows.carry_over import carried_over
from envcli.rows.parts import EndFlags, Masks, is_split, named, names_all
from envcli.rows.reset_request import ResetRequest
from envcli.rows.row_env import RowEnv

__all__ = ["Callback", "Rollout"]

_FIRST_TICK = 16  # rows until somebody may look; if the envs of a batch are led, their rows are whole only then
_GROWTH = 16  # times as many the next time, at most
_CACHE = 2**18  # bytes that the cache of a core keeps: a frame of Atari is moved from there in 8 us, and not in 15
_TICK_IN = 0.25  # seconds that they should take: long, because the workers of a batch wait for each other at the end


class Rollout:
    """One rollout of ``env`` into ``buffer``.

    Args:
        env: any env; it is bound to ``buffer`` here.
        buffer: memory for the steps.
        steps: how many to make, at most as many as the buffer has rows.
        policy: writes actions, row by row; None: random ones, drawn from the action spec by torch's global generator.
        callback: called with the env and the moment that a step has led to, after each but the last. Like the policy,
            it may use the env itself.
        at_end: what happens when an episode ends before the last row: ``"reset"`` begins the next one, ``"stop"`` ends
            the rollout, ``"wait"`` lets the other envs of the batch finish.
        progress: called with the number of rows done, now and then.
        watched: does somebody look at the rows before all are made, or where they never are?
    """

    def __init__(
        self,
        env: RowEnv,
        buffer: RolloutBuffer,
        steps: int,
        policy: PolicyRows | None = None,
        callback: Callback | None = None,
        at_end: str = "reset",
        progress: Callable[[int], None] | None = None,
        watched: bool = True,
    ) -> None:
        self.env = env
        self.buffer = buffer
        self.steps = steps
        self.policy = policy
        self.at_end = at_end
        self.progress = progress
        self.watched = watched
        env._attach(buffer)
        self._random = RandomActions(env, buffer)
        self._flags = [(buffer.array(under_next(path)), buffer.array(path)) for path in env.full_done_spec.leaves()]
        self._autoresets = env._autoresets and at_end == "reset" and callback is None
        self._acts_itself = self._autoresets and (
            env._adopt(None, None) if policy is None else env._adopt(policy.policy, policy.device)
        )
        self._look_for_ends()
        self._waiting: Array | None = None  # the envs that are done while others are not
        self._carried = 0  # root rows up to this one are complete
        self._callback = None if callback is None else CallbackRows(env, buffer, callback)
        roles = env._roles()
        self._presets = [(buffer.array(path), buffer.array(under_next(path)), path) for path in roles.recurrent]
        self._sort_moves()

    def _look_for_ends(self) -> None:
        """Look up which flags end an episode, from the specs that the env has now."""
        self._version = self.env._specs_version
        self._ends_at, self._done = EndFlags(self.env, self.buffer), self.env._done_test()
        loose = set(self.env.full_done_spec.leaves()) - set(self.env._governing_flags())
        self._beneath = [self.buffer.array(path) for path in loose]  # flags that only tell of a part

    def _wipe_flags(self, start: int, stop: int) -> None:
        """Clear the flags that an earlier rollout left in these rows: envs write flags only where they are true."""
        for following, root in self._flags:
            following[start:stop] = False
            root[start : stop + 1] = False

    def _sort_moves(self) -> None:
        """Sort out which entries the next step reads, and which can be moved later, many rows at once."""
        self._now: list[tuple[Array, Array]] = []
        self._later: list[tuple[Array, Array]] = []
        self._cached = self.steps  # rows that are moved before the processor's cache forgets them
        if self._acts_itself:
            return
        env, buffer, policy = self.env, self.buffer, self.policy
        everything = self._callback is not None or self.at_end == "wait"
        everything = everything or (policy is not None and policy.reads is None)
        read = env._roles().reads | ((policy.reads or set()) if policy is not None else set())
        own = set(env._row_layout()) if self._autoresets else set()  # what the env carries over by itself
        acted = env.full_action_spec.leaves()  # shown as they were last until another is chosen, and not later
        for path, source in carried_over(env, buffer).items():
            if path in own:
                continue
            if everything or path in read or path in acted:
                self._now.append((buffer.array(source), buffer.array(path)))
            elif source != path:
                self._later.append((buffer.array(source), buffer.array(path)))
        size = sum(target[:1].nbytes for _, target in self._later)
        if size and not env.batch_size:  # a row of a batch is larger, and some engines make the next one meanwhile
            self._cached = max(1, _CACHE // size)
        if self._callback is not None:
            self._callback.look()
        if self.at_end == "wait":
            self._idle = IdleEnvs(env, buffer)

    # -- the first row --------------------------------------------------------------------------------------------

    def begin(self, tensordict: TensorDictBase | None, reset: bool) -> None:
        """Fill the first row: from a reset, or from where ``tensordict`` stands (and a reset of what is done there)."""
        self._wipe_flags(0, max(self.buffer.filled, self.buffer.used) + 1)
        self.buffer.filled = self.buffer.used = 0
        batch_size, masks = self.env.batch_size, None
        if tensordict is not None:
            paths = [path for path in self.buffer if path[0] != "next"]
            masks = reset_masks(self.env, tensordict, batch_size) if reset else None
            if not reset or (masks and not names_all(self.env, masks, batch_size)):
                load_row(self.buffer, 0, tensordict, paths)
        if not reset:
            masks = self._ends_at.masks(0, of_next=False)
        if not masks or names_all(self.env, masks, batch_size):
            self._clear_root_flags(0, None)
            self.env._reset_on_request(0, None, ResetRequest(given=tensordict if reset else None))
        else:
            self._reset_where(0, masks)

    # -- the others -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Make the steps. ``buffer.filled`` says how many rows are complete, also after an exception."""
        tick = _FIRST_TICK if self.watched else self.steps
        try:
            at_a_time = self._random.rows_at_a_time
            for first in range(0, self.steps, at_a_time):
                last = min(first + at_a_time, self.steps)
                if self.policy is None:
                    self._random.draw(first, last)
                while self.buffer.filled < last:
                    began, start = time.perf_counter(), self.buffer.filled
                    if self._rows(start, min(start + tick, last)):
                        return
                    if self.watched:
                        in_time = (self.buffer.filled - start) * _TICK_IN / (time.perf_counter() - began)
                        tick = max(1, min(tick * _GROWTH, int(in_time)))
                    if self.progress is not None:
                        self.progress(self.buffer.filled)
        finally:
            if self._waiting is not None:
                self.env._pause(None)
            self._carry(min(self.buffer.filled, self.steps - 1))

    def autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        """Rows ``start`` to ``stop``, whose actions are in place; ``onward``: the root of row ``stop`` too."""
        self.steps = stop + onward
        self.buffer.filled = self._carried = start
        self._rows(start, stop)
        self._carry(min(self.buffer.filled, self.steps - 1))

    def _rows(self, start: int, stop: int) -> bool:
        """Rows ``start`` to ``stop``. True if the rollout is over."""
        buffer = self.buffer
        drawn = self.policy is None and not self._random.row_by_row  # are all actions of these rows in place?
        if self._acts_itself or (self._autoresets and drawn and not (self._presets or self._now)):
            self._have_env_make(start, stop)
            return False
        if drawn and self._callback is None and not (self._presets or self._now):
            while buffer.filled < stop and not self._is_halted():
                buffer.filled = self.env._step_rows(buffer.filled, min(stop, buffer.filled + self._cached))
                if self._done(buffer.filled - 1) and self._episode_over(buffer.filled - 1):
                    return True
                self._carry(min(buffer.filled, self.steps - 1))
            return False
        for t in range(start, stop):
            self._row(t)
            buffer.filled = t + 1
            if not self._autoresets and self._done(t) and self._episode_over(t):
                return True
            if self._callback is not None and t + 1 < self.steps:
                self._call_back(self._callback, t + 1)
            if self._is_halted():
                return True
        return False

    def _is_halted(self) -> bool:
        """Are the remaining rows no longer wanted?"""
        return False

    def _call_back(self, callback: CallbackRows, t: int) -> None:
        if callback.call(t):
            if self.policy is not None:
                self.policy.look()
            self._sort_moves()
        self.env._attach(self.buffer)  # it may have made steps of its own
        if self._version != self.env._specs_version:  # or have changed what ends an episode
            self._look_for_ends()

    def _have_env_make(self, start: int, stop: int) -> None:
        try:
            self.env._autoreset_rows(start, stop, stop < self.steps)
        except BaseException:  # some envs of the batch may have gone farther than others
            self._wipe_flags(start, stop)
            raise
        self.buffer.filled = stop

    def _row(self, t: int) -> None:
        if self.policy is None:
            self._random.draw_masked(t)
        elif self.policy.write(t):
            self._sort_moves()
        for root, following, path in self._presets:  # a hidden state stays as it is, unless the policy has moved it
            if self.policy is None or not self.policy.wrote(t, under_next(path)):
                following[t] = root[t]
        if self.policy is not None:
            self.env._attach(self.buffer)  # the policy may have made steps of its own
        if self._autoresets:
            self._have_env_make(t, t + 1)
        else:
            self.env._step_row(t)
        if self._waiting is not None:
            self._idle.write(t, self._waiting)
        if t + 1 == self.steps:
            return
        for source, target in self._now:
            target[t + 1] = source[t]

    # -- the end of an episode ------------------------------------------------------------------------------------

    def _episode_over(self, t: int) -> bool:
        """An env is done in row ``t``. True if that ends the rollout."""
        if self.at_end == "stop" or t + 1 == self.steps:
            return self.at_end == "stop"
        if self.at_end == "reset":
            self._carry(t + 1)
            self.begin_anew(t)
            return False
        if not self.env.batch_size:
            return True
        for following, root in self._flags:
            root[t + 1] = following[t]
        self._waiting = where = self._ends_at.envs(t)
        self.env._pause(where)
        return all_of(where)

    def begin_anew(self, t: int) -> None:
        """Begin new episodes in the row after ``t``, which shows what ``t`` led to, wherever one ended in ``t``."""
        if not (self.env.batch_size or self._ends_at.has_parts):
            for flags in self._beneath:
                flags[t + 1] = False
            self.env._reset_row(t + 1, None)
            return
        for following, root in self._flags:
            root[t + 1] = following[t]
        self._reset_where(t + 1, self._ends_at.masks(t, of_next=True))

    def _reset_where(self, t: int, masks: Masks) -> None:
        if self._ends_at.has_parts and is_split(self.env, masks, self.env.batch_size):
            self.env._reset_parts(t, masks)
            return
        where = named(masks, self.env.batch_size)
        if any_of(where):
            self._clear_root_flags(t, where)
            self.env._reset_row(t, where if self.env.batch_size else None)

    def _clear_root_flags(self, t: int, where: Array | None) -> None:
        for _, root in self._flags:
            root[t][... if where is None else where] = False

    def _carry(self, stop: int) -> None:
        """Complete the root up to row ``stop``: each row begins with what the one before it led to."""
        if stop > self._carried:
            for source, target in self._later:
                target[self._carried + 1 : stop + 1] = source[self._carried : stop]
            self._carried = stop
