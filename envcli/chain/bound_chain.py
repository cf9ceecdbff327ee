"""A chain of transforms bound to the memory of one rollout."""

from __future__ import annotations

from collections.abc import Callable, Collection, Set

import torch

from envcli.chain.stages import Stages
from envcli.chain.tensordict_rows import TensorDictRows
from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import any_of
from envcli.rows.row_hooks import RowHooks
from envcli.transforms.inner_env import InnerEnv
from envcli.transforms.transform import Transform

__all__ = ["BoundChain", "PrivateRows"]

PrivateRows = dict[tuple[int, Key], Array]
"""Stage and path -> rows that a step reads and that are not visible outside."""

_Hook = Callable[[int], None]
_Reset = Callable[[int, Array | None], None]


class BoundChain:
    """The transforms of an env between the base env's rows and the user's, with the base env beneath them.

    Args:
        stages: of the chain.
        outer: the user's memory.
        device: of the TensorDicts that transforms with TensorDict hooks are given.
        before: the private rows of the memory that was bound before; their values are kept.

    Attributes:
        inner: the base env's memory.
        private: see :data:`PrivateRows`.
        is_idle: is a step that of the base env, and nothing else?
        is_idle_at_reset: the same for a reset.
    """

    def __init__(self, stages: Stages, outer: RolloutBuffer, device: torch.device | None, before: PrivateRows) -> None:
        self._stages, self._base = stages, stages.base
        buffers = stages.buffers(outer)
        self.inner = buffers[0]
        self.inner.recoloured = stages.recoloured
        self._before_reset = [each._begin_reset for each in stages.chain if "_begin_reset" in each._hook_plan.own]
        self._inverses: list[_Hook] = []  # in the order of their calls: from the user inwards
        self._steps: list[_Hook] = []
        self._resets: list[_Reset] = []
        entering: list[tuple[Transform, Callable[[], InnerEnv]]] = []
        one_batch = all(rows.batch_size == outer.batch_size for rows in buffers)
        self._core: _Hook | None = None  # the innermost step, where it may be left out; None: the base env's own
        leaving_out: list[tuple[int, list[tuple[Array, Array]]]] = []
        self._placed = _fused(stages.chain, buffers)
        rows_before: TensorDictRows | None = None
        for stage, transform, within, without in self._placed:
            if "_bind_inner" in transform._hook_plan.own:
                entering.append((transform, self._inner_env(stage, within)))
            if "_skips" in transform._hook_plan.own:
                leaving_out.append((stage, self._let_skip(transform)))
            actions = stages.specs[stage].full_action_spec.leaves()
            hooks, rows_before = row_hooks(transform, within, without, device, actions, rows_before)
            if hooks.reset is not None and not one_batch:
                hooks = hooks._replace(reset=_of_batch(hooks.reset, without))
            self._add(hooks)
        self._seen = [rows.reshaped(outer.batch_size) for rows in buffers]  # in which masks of envs are given
        self.private = {(i, path): self._seen[i].array(path) for i, path in stages.private_reads}
        for place, rows in before.items():
            if place in self.private and self.private[place][0].shape == rows[0].shape:
                self.private[place][0] = rows[0]
        self._stepped: Array | None = None  # [*batch] bool: who makes steps, where others wait; None: all
        self._moves = self._moves_up_to(len(stages.chain))
        for stage, moves in leaving_out:
            moves += self._moves_up_to(stage)
        flags = ((self._seen[i], path) for i, path in stages.private_flags)
        self._flags = [(rows.array(path), rows.array(under_next(path))) for rows, path in flags]
        self._base._attach(self.inner)
        self._base_step = self._base._step_row
        self._base_reset = self._base._reset_row if one_batch else _of_batch(self._base._reset_row, self.inner)
        for transform, inner in entering:
            transform._attach_inner(inner())
        self.is_idle = not (self._inverses or self._steps or self._moves or self._flags or self._core)
        self.is_idle_at_reset = not (self._before_reset or self._resets)

    def _add(self, hooks: RowHooks) -> None:
        """Called for one transform after the other, from the simulator's side outwards."""
        if hooks.inverse is not None:
            self._inverses.insert(0, hooks.inverse)
        if hooks.step is not None:
            self._steps.append(hooks.step)
        if hooks.reset is not None:
            self._resets.append(hooks.reset)

    def _inner_env(self, stage: int, rows: RolloutBuffer) -> Callable[[], InnerEnv]:
        """A function that makes the env inside, of the transforms added so far; called once all are bound."""
        inverses, steps, resets = list(self._inverses), list(self._steps), list(self._resets)
        core = self._core

        def reset(t: int, where: Array | None) -> None:
            self._base_reset(t, where)
            for hook in resets:
                hook(t, where)

        def made() -> InnerEnv:
            moves = self._moves_up_to(stage)  # further out, no step has been made yet

            def step(t: int) -> None:
                self._run(t, inverses, core, steps, moves)

            specs, reads = self._stages.specs[stage], self._stages.reads_of(stage)
            return InnerEnv(specs, self._base, rows, step, reset, reads)

        return made

    def _let_skip(self, transform: Transform) -> list[tuple[Array, Array]]:
        """From here outwards, the step of all that was added so far is left out where ``transform`` says so.

        Returns an empty list for what the next step reads of all that: a step that is left out leads to where it began.
        """
        inverses, steps, core = self._inverses, self._steps, self._core
        self._inverses, self._steps = [], []
        moves: list[tuple[Array, Array]] = []

        def step(t: int) -> None:
            if not transform._skips():
                self._run(t, inverses, core, steps, moves)
                return
            for inverse in inverses:  # they may note in the row what the simulator would have got
                inverse(t)
            for following, root in moves:
                following[t] = root[t]

        self._core = step
        return moves

    def _moves_up_to(self, stage: int) -> list[tuple[Array, Array]]:
        """What the next step reads of each private entry up to ``stage``: pairs of where a step leaves it and root."""
        own = [(place, rows) for place, rows in self.private.items() if place[0] <= stage]
        return [(self._seen[i].array(under_next(path)), rows) for (i, path), rows in own]

    def rebind(self, transform: Transform) -> None:
        """Bind ``transform`` again to the rows that it has, after one of its attributes was set."""
        for _, placed, inner, outer in self._placed:
            if placed._runs(transform) and _binds(placed._hook_plan.on_tensordicts):
                placed._attach(inner, outer)

    # -- what an env does with its rows ---------------------------------------------------------------------------

    def reset(self, t: int, where: Array | None) -> None:
        """See :meth:`RowEnv._reset_row`; the methods below have their counterparts there too."""
        for flags, _ in self._flags:
            flags[t][... if where is None else where] = False
        for begin in self._before_reset:
            begin()
        self._base_reset(t, where)
        for hook in self._resets:
            hook(t, where)

    def step(self, t: int) -> None:
        """One step."""
        self._run(t, self._inverses, self._core, self._steps, self._moves)

    def wait(self, where: Array | None) -> None:
        """The envs in ``where``, ``[*batch]`` bool, make no step for now; None: all do."""
        self._stepped = None if where is None else ~where
        for _, transform, _, rows in self._placed:
            transform._wait(None if where is None else where.reshape(rows.batch_size))

    def send(self, t: int, onward: bool = False) -> None:
        """The first half of a step; ``onward`` only where nothing happens but the base env's own."""
        self._inwards(t, self._inverses)
        if self._core is None:
            self._base._send_row(t, onward)
        else:
            self._core(t)

    def receive(self, t: int, onward: bool = False) -> None:
        """The other half."""
        if self._core is None:
            self._base._receive_row(t, onward)
        self._outwards(t, self._steps, self._moves)

    def _run(
        self, t: int, inverses: list[_Hook], core: _Hook | None, steps: list[_Hook], moves: list[tuple[Array, Array]]
    ) -> None:
        self._inwards(t, inverses)
        if core is None:
            self._base_step(t)
        else:
            core(t)
        self._outwards(t, steps, moves)

    def _inwards(self, t: int, inverses: list[_Hook]) -> None:
        for _, flags in self._flags:
            flags[t] = False
        for inverse in inverses:
            inverse(t)

    def _outwards(self, t: int, steps: list[_Hook], moves: list[tuple[Array, Array]]) -> None:
        for step in steps:
            step(t)
        for source, target in moves:
            if self._stepped is None:
                target[t] = source[t]
            else:
                target[t][self._stepped] = source[t][self._stepped]


def row_hooks(
    transform: Transform,
    inner: RolloutBuffer,
    outer: RolloutBuffer,
    device: torch.device | None,
    actions: Collection[Key],
    before: TensorDictRows | None = None,
) -> tuple[RowHooks, TensorDictRows | None]:
    """``transform`` bound between two buffers, whichever hooks it is written on.

    Args:
        transform, inner, outer, device, actions, before: see :class:`TensorDictRows`.

    Returns:
        The hooks, and what makes TensorDicts of rows, if some of them need these.
    """
    speaks, hooks = transform._hook_plan.on_tensordicts, RowHooks()
    if _binds(speaks):
        transform._attach(inner, outer)
        hooks = transform._row_hooks()
    if not speaks:
        return hooks, None
    rows = TensorDictRows(transform, inner, outer, device, actions, before)
    mixed = RowHooks(
        rows.inv_row if "inverse" in speaks else hooks.inverse,
        rows.step_row if "step" in speaks else hooks.step,
        rows.reset_row if "reset" in speaks else hooks.reset,
    )
    return mixed, rows


def _of_batch(reset: _Reset, rows: RolloutBuffer) -> _Reset:
    """``reset``, called with masks of as many envs in another shape than ``rows`` have."""

    def reshaped(t: int, where: Array | None) -> None:
        if where is None or rows.batch_size:
            reset(t, None if where is None else where.reshape(rows.batch_size))
        elif any_of(where):  # a single env knows no masks
            reset(t, None)

    return reshaped


def _binds(on_tensordicts: Set[str]) -> bool:
    """Is any hook one on rows, and not on TensorDicts?"""
    return on_tensordicts != set(RowHooks._fields)


def _fused(
    chain: list[Transform], buffers: list[RolloutBuffer]
) -> list[tuple[int, Transform, RolloutBuffer, RolloutBuffer]]:
    """Stage, transform, memory on its two sides: neighbours that can run as one are one."""
    placed: list[tuple[int, Transform, RolloutBuffer, RolloutBuffer]] = []
    for stage, (transform, inner, outer) in enumerate(zip(chain, buffers, buffers[1:], strict=False)):
        if placed and (one := placed[-1][1]._fused(transform)) is not None:
            first, _, before, _ = placed.pop()
            placed.append((first, one, before, outer))
        else:
            placed.append((stage, transform, inner, outer))
    return placed
