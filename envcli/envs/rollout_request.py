"""What a rollout is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import index

import torch
from tensordict import TensorDictBase

from envcli.envs.callback_rows import Callback
from envcli.errors import EnvError
from envcli.memory.buffer import RolloutBuffer

__all__ = ["Act", "RolloutRequest"]

Act = Callable[[TensorDictBase], TensorDictBase | None]
"""A policy: it sets the action in what it is given, and returns that, or None."""


@dataclass(frozen=True)
class RolloutRequest:
    """The arguments of :meth:`envcli.Env.rollout`, as whoever makes the steps wants them.

    Args:
        steps: at most so many, at least 1.
        act: the policy; None: random actions.
        act_on: where the policy wants its input; None: it takes it as it is.
        callback: called after each step that another one follows.
        reset: begin with a reset; otherwise ``begin`` says where the envs stand.
        at_end: what happens where an episode ends, see :class:`~envcli.envs.rollout.Rollout`.
        begin: where to begin, or what the reset is given.
        set_truncated: mark the last step as truncated.
        out: the rows to write into; None: new ones.
        progress: called with the number of steps made, now and then.

    Raises:
        EnvError: there is neither a reset nor something to begin with.
        TypeError: ``steps`` is no whole number.
        ValueError: it is less than 1.
    """

    steps: int
    act: Act | None
    act_on: torch.device | None
    callback: Callback | None
    reset: bool
    at_end: str
    begin: TensorDictBase | None
    set_truncated: bool
    out: RolloutBuffer | None
    progress: Callable[[int], None] | None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "steps", index(self.steps))
        except TypeError:
            raise TypeError(f"rollout: max_steps must be a whole number, found {self.steps!r}") from None
        if self.steps < 1:
            raise ValueError(f"rollout: max_steps must be at least 1, found {self.steps}")
        if not self.reset and self.begin is None:
            raise EnvError("rollout: tensordict must be provided when auto_reset is False. Pass tensordict=env.reset()")
