"""Lets another policy take its turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import EnvError, TransformError
from envcli.keys import Key, as_user_key, under_next
from envcli.memory.buffer import Array
from envcli.memory.masks import any_of
from envcli.memory.row_views import RowViews
from envcli.rows.action_gate import as_member
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import TensorSpec
from envcli.transforms.given_function import given_function, name_of
from envcli.transforms.inner_env import InnerEnv, put_back
from envcli.transforms.transform import Transform

__all__ = ["ConditionalPolicySwitch"]

_MOST = 100  # episodes that the other policy may end before the user's first step

Policy = Callable[[TensorDictBase], TensorDictBase | None]


class ConditionalPolicySwitch(Transform):
    """Where ``condition`` says so of what a step or a reset has led to, ``policy`` makes one more step at once.

    The user sees what that one led to, as in a game against an opponent that moves in between. Its reward and its flags
    are those that count, as in TorchRL; after a step that ends the episode nobody moves. If ``policy`` ends an episode
    that the user has not begun yet, the env is reset again.

    The transforms before this one run in the policy's steps too, those after it do not: a ``StepCounter`` before it
    counts everybody's steps, one after it the user's.

    >>> import torch
    >>> from envcli import ConditionalPolicySwitch, TransformedEnv
    >>> from envcli.testing.toys import CountingEnv
    >>> def backwards(td):
    ...     return td.set("action", torch.full((1,), -1.0))
    >>> switch = ConditionalPolicySwitch(backwards, lambda td: td["observation"] % 2 == 1)
    >>> data = TransformedEnv(CountingEnv(9), switch).rollout(3)
    >>> data["observation"].flatten().tolist(), data["next", "reward"].flatten().tolist()
    ([0.0, 2.0, 4.0], [-1.0, -1.0, -1.0])

    Args:
        policy: takes a TensorDict, and writes the action into it, or into the one that it returns. From YAML
            ``module:function``, with ``allow_imports=true``.
        condition: takes the same TensorDict and gives a bool, or a tensor of one. From YAML as ``policy``.
        allow_imports: both may be names of functions, whose modules are imported.

    Raises:
        ConfigError: one of them is no function, nor the name of one.
        TransformError: the env is a batch, whose envs cannot be stepped one by one: give each of them this transform.
            Or ``policy`` wrote no action. On a TensorDict: always, as it makes steps.
        EnvError: from a reset: ``policy`` ended 100 episodes in a row.
        ActionError: ``policy`` wrote an action that is none of ``action_spec``.
    """

    _inner_env: InnerEnv

    def __init__(
        self,
        policy: Policy | str,
        condition: Callable[[TensorDictBase], Any] | str,
        *,
        allow_imports: bool = False,
    ) -> None:
        super().__init__()
        self.policy: Policy = given_function(policy, "policy", "a TensorDict", allow_imports)
        self.condition: Callable[[TensorDictBase], Any] = given_function(
            condition, "condition", "a TensorDict", allow_imports
        )
        self._device: torch.device | None = None

    def _inspect(self, before: EnvSpecs) -> None:
        if before.batch_size:
            raise TransformError(
                f"ConditionalPolicySwitch steps a single env, found a batch {list(before.batch_size)}. Put it into "
                "each env of the batch"
            )
        self._device = before.device

    def _bind_inner(self, inner: InnerEnv) -> None:
        self._inner_env, rows = inner, inner.rows
        leaves = inner.specs.full_action_spec.leaves()
        rewards = inner.specs.full_reward_spec.leaves()
        self._actions: list[tuple[Key, TensorSpec, Array]] = [(path, leaves[path], rows.array(path)) for path in leaves]
        root = [path for path in rows if path[0] != "next" and path not in leaves]
        following = [path for path in rows if path[0] == "next" and path[1:] not in rewards]
        others = [path for path in root if under_next(path) not in rows]
        self._begun = RowViews(rows, root, self._device, lasting=True)
        self._followed = RowViews(rows, following, self._device, prefix=("next",), lasting=True)
        self._others = RowViews(rows, others, self._device, lasting=True)

    def _step_row(self, t: int) -> None:
        inner = self._inner_env
        if any_of(inner.done(t)):
            return
        shown = self._others(t).update(self._followed(t))
        if not self._switches(shown):
            return
        kept = [*inner.saved_reads(t), *inner.saved_actions(t)]
        self._act(shown, t)
        inner.step_on(t)
        put_back(kept)

    def _reset_row(self, t: int, where: Array | None) -> None:
        if where is not None and not any_of(where):
            return
        inner = self._inner_env
        actions = inner.saved_actions(t)
        for _ in range(_MOST):
            shown = self._begun(t)
            if not self._switches(shown):
                break
            self._act(shown, t)
            inner.step(t)
            if not any_of(inner.done(t)):
                inner.show_last(t)
                break
            inner.reset(t)
        else:
            raise EnvError(f"{self!r}: the policy has ended {_MOST} episodes before their first step")
        inner.clear_flags(t)
        put_back(actions)

    def _switches(self, shown: TensorDictBase) -> bool:
        return bool(torch.as_tensor(self.condition(shown)).all())

    def _act(self, shown: TensorDictBase, t: int) -> None:
        answer = self.policy(shown)
        answer = shown if answer is None else answer
        for path, leaf, rows in self._actions:
            value = answer.get(as_user_key(path), None)
            if value is None:
                raise TransformError(f"{self!r}: the policy wrote no {as_user_key(path)!r}")
            rows[t] = as_member(path, leaf, value).detach().cpu().numpy()

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Refused: see the class."""
        raise TransformError("ConditionalPolicySwitch makes steps of an env: add it to one")

    def extra_repr(self) -> str:
        """The names of both, for ``repr``."""
        return f"policy={name_of(self.policy)}, condition={name_of(self.condition)}"
