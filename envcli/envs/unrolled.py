"""A rollout without rows: step after step on TensorDicts, which keep their graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from tensordict import TensorDict, TensorDictBase

__all__ = ["unrolled"]


class Stepped(Protocol):
    """What of :class:`~envcli.Env` is asked for here."""

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase: ...
    def step(self, tensordict: TensorDictBase) -> TensorDictBase: ...
    def step_mdp(self, tensordict: TensorDictBase) -> TensorDictBase: ...
    def any_done(self, tensordict: TensorDictBase) -> bool: ...
    def reset(self, tensordict: TensorDictBase | None = None) -> TensorDictBase: ...


def unrolled(
    env: Stepped,
    steps: int,
    moment: TensorDictBase,
    policy: Callable[[TensorDictBase], TensorDictBase | None] | None = None,
    callback: Callable[[Any, TensorDictBase], Any] | None = None,
    stop: bool = False,
) -> TensorDictBase:
    """Up to ``steps`` steps from ``moment``, of whatever batch size that is.

    Args:
        env: its ``step`` leaves its input's graph whole.
        steps: at least 1.
        moment: ``[*batch]``, what the first step begins with; it is written into.
        policy: called with a TensorDict, sets the action in it; None: random actions.
        callback: called as ``callback(env, tensordict)`` after each step but the last.
        stop: end as soon as any env is done. Otherwise those that are done begin anew, and there their graph ends.

    Returns:
        ``[*batch, time]``, as of a rollout.
    """
    made: list[TensorDictBase] = []
    while True:
        acted = env.rand_action(moment) if policy is None else policy(moment)
        made.append(env.step(moment if acted is None else acted))
        moment = env.step_mdp(made[-1])
        over = env.any_done(moment)
        if len(made) == steps or (stop and over):
            break
        if callback is not None:
            callback(env, made[-1])
        if over:
            moment = env.reset(moment)
    stacked: TensorDictBase = TensorDict.stack(made, -1)
    stacked.names = [*stacked.names[:-1], "time"]
    return stacked
