"""A rollout without rows: step after step on TensorDicts, which keep their graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.beginning import load_row, reset_masks, updated
from envcli.envs.ending import mark_truncated, truncatable
from envcli.envs.rollout_request import Act
from envcli.envs.stepped_env import SteppedEnv
from envcli.keys import as_user_key, under_next
from envcli.mdp import leaf_paths, renewed
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.parts import named
from envcli.rows.row_env import RowEnv

__all__ = ["cast", "collected", "each_step", "stacked", "unrolled"]

_TICK = 256  # steps between two calls of progress()


def each_step(
    env: SteppedEnv,
    steps: int,
    moment: TensorDictBase,
    policy: Act | None = None,
    callback: Callable[[Any, TensorDictBase], Any] | None = None,
    at_end: str = "reset",
) -> Iterator[TensorDictBase]:
    """Up to ``steps`` steps from ``moment``, of whatever batch size that is, each ``[*batch]``.

    Args:
        env: its ``step`` leaves its input's graph whole.
        steps: at least 1.
        moment: ``[*batch]``, what the first step begins with; it is written into.
        policy: None: random actions.
        callback: called as ``callback(env, moment)`` before each step but the first.
        at_end: ``"reset"``: envs that are done begin anew, and there their graph ends. ``"stop"``: it is over once any
            env is done. ``"wait"``: when all are; until then those that are done show what they showed last, and earn
            nothing.
    """
    waiting: Array | None = None  # [*batch] bool
    for left in reversed(range(steps)):
        acted = env.rand_action(moment) if policy is None else policy(moment)
        acted = moment if acted is None else acted
        if waiting is not None and env._pauses:
            acted.set("_step", torch.from_numpy(~waiting))
        made = env.step(acted)
        if waiting is not None:
            made.set("next", _without(env, made, waiting)).pop("_step", None)
        yield made
        moment = env.step_mdp(made)
        over = env.any_done(moment)
        if not left or (over and at_end == "stop"):
            return
        if over and at_end == "reset":
            moment = env.reset(moment)
        elif over:
            waiting = named(reset_masks(env, moment, moment.batch_size), moment.batch_size)
            if waiting.all():
                return
            moment = updated(moment, moment, env.reset_keys)
        if callback is not None:
            callback(env, moment)


def _without(env: SteppedEnv, made: TensorDictBase, waiting: Array) -> TensorDictBase:
    """What follows, were the envs ``waiting`` to make no step."""
    before, following = made.exclude("next"), made.get("next")
    for path in env.full_reward_spec.leaves():
        before.set(as_user_key(path), torch.zeros_like(following.get(as_user_key(path))))
    return renewed(before, following, torch.from_numpy(~waiting))


def unrolled(env: SteppedEnv, steps: int, moment: TensorDictBase, policy: Act | None = None) -> TensorDictBase:
    """``steps`` steps in one TensorDict ``[*batch, time]``, as of a rollout; see :func:`each_step`."""
    return stacked(list(each_step(env, steps, moment, policy)))


def stacked(made: Sequence[TensorDictBase]) -> TensorDictBase:
    """Steps as one TensorDict ``[*batch, time]``."""
    found: TensorDictBase = TensorDict.stack(made, -1)
    found.names = [*found.names[:-1], "time"]
    return found


def collected(
    env: RowEnv,
    steps: Iterable[TensorDictBase],
    out: RolloutBuffer | None,
    set_truncated: bool,
    progress: Callable[[int], None] | None,
) -> TensorDictBase:
    """``steps`` of ``env`` in one TensorDict: as they are, with their graph, or in the rows of ``out``.

    See :meth:`envcli.Env.rollout`. What is in ``out`` when a step fails stays there.
    """
    made: list[TensorDictBase] = []
    count = 0
    if out is not None:
        out.drop_added()
        out.filled = 0
    for count, step in enumerate(steps, 1):
        if out is None:
            made.append(step)
        else:
            _keep_row(out, step)
        if progress is not None and count % _TICK == 0:
            progress(count)
    if progress is not None and count % _TICK:
        progress(count)
    if out is not None:
        if set_truncated:
            mark_truncated(env, out)
        return out.tensordict(device=env.device)
    for path in truncatable(env) if set_truncated else ():
        key = as_user_key(under_next(path))
        made[-1].set(key, torch.ones_like(made[-1].get(key)))
    return stacked(made)


def _keep_row(buffer: RolloutBuffer, tensordict: TensorDictBase) -> None:
    """Write a step into the next row of ``buffer``, which gets rows for what it lacks."""
    paths, values = leaf_paths(tensordict), tensordict.detach()
    for path in paths:
        if path not in buffer:
            buffer.add(path, values.get(as_user_key(path)).cpu())
    load_row(buffer, buffer.filled, values, paths)
    buffer.filled += 1


def cast(policy: Act, device: torch.device) -> Act:
    """``policy`` on ``device``, its input being moved there and its output back."""

    def act(tensordict: TensorDictBase) -> TensorDictBase:
        moved = tensordict.to(device)
        acted = policy(moved)
        return tensordict.update((moved if acted is None else acted).to(tensordict.device or "cpu"))

    return act
