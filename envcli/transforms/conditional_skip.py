"""Leaves steps out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, under_next
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.row_views import RowViews
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.roles import Roles
from envcli.transforms.given_function import given_function, name_of
from envcli.transforms.transform import Transform

__all__ = ["ConditionalSkip"]


class ConditionalSkip(Transform):
    """Where ``cond`` says so, before a step, the env does not make it: the step leads to where it began, with a reward
    of 0 and no end.

    It leaves out what stands before it. What stands after it goes on: a ``StepCounter`` before it counts the steps that
    were made, one after it all of them. (TorchRL leaves those after it out as well, unless they stand in a second env
    around the first.) A sum of rewards, as ``RewardSum``'s, stays what it was.

    >>> import torch
    >>> from envcli import Compose, ConditionalSkip, StepCounter, TransformedEnv
    >>> from envcli.testing.toys import CountingEnv
    >>> skip = ConditionalSkip(lambda td: td["action"] < 0)
    >>> env = TransformedEnv(CountingEnv(9), Compose(skip, StepCounter()))
    >>> actions = iter([1.0, -1.0, -1.0, 1.0])
    >>> data = env.rollout(4, lambda td: td.set("action", torch.tensor([next(actions)])))
    >>> data["next", "observation"].flatten().tolist(), data["next", "step_count"].flatten().tolist()
    ([1.0, 1.0, 1.0, 2.0], [1, 2, 3, 4])

    Args:
        cond: takes a TensorDict, the action in it, and gives a bool, or a tensor of one. From YAML ``module:function``,
            with ``allow_imports=true``.
        allow_imports: it may be the name of a function, whose module is imported.

    Raises:
        ConfigError: it is no function, nor the name of one.
        TransformError: the env is a batch, whose envs cannot be stepped one by one: give each of them this transform.
            On a TensorDict: always, as its steps are already done.
    """

    def __init__(self, cond: Callable[[TensorDictBase], Any] | str, *, allow_imports: bool = False) -> None:
        super().__init__()
        self.cond: Callable[[TensorDictBase], Any] = given_function(cond, "cond", "a TensorDict", allow_imports)
        self._device: torch.device | None = None
        self._lasting: set[Key] = set()  # observations and state
        self._kept: set[Key] = set()  # those that a step which is left out leads to, as they were
        self._rewards: set[Key] = set()  # those of a single step
        self._skipped = False

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Refused: see the class."""
        raise TransformError("ConditionalSkip leaves steps of an env out, but those of a TensorDict are already done")

    def _inspect(self, before: EnvSpecs) -> None:
        if before.batch_size:
            raise TransformError(
                f"ConditionalSkip is for single envs, found a batch {list(before.batch_size)}. Put it into each env of "
                "the batch"
            )
        roles = before._roles()
        self._device = before.device
        self._lasting = {*before.observation_spec.leaves(), *before.state_spec.leaves()}
        self._kept = self._lasting - roles.reset_markers - roles.recurrent
        self._rewards = before.full_reward_spec.leaves().keys() - self._lasting

    def _roles(self) -> Roles:
        return Roles(reads=self._lasting)

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        root = [path for path in inner if path[0] != "next"]
        self._shown = RowViews(inner, root, self._device, lasting=True)
        self._moved = [
            (inner.array(path), inner.array(under_next(path))) for path in self._kept if under_next(path) in inner
        ]
        self._paid = [inner.array(under_next(path)) for path in self._rewards]

    def _inv_row(self, t: int) -> None:
        self._skipped = bool(torch.as_tensor(self.cond(self._shown(t))).all())

    def _skips(self) -> bool:
        return self._skipped

    def _step_row(self, t: int) -> None:
        if self._skipped:
            for root, following in self._moved:
                following[t] = root[t]
            for rows in self._paid:
                rows[t] = 0

    def extra_repr(self) -> str:
        """Its function, for ``repr``."""
        return f"cond={name_of(self.cond)}"
