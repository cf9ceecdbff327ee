"""Takes several actions at once."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from tensordict import TensorDictBase

from envcli.errors import ConfigError, SpecError, TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import all_of, any_of
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Composite, TensorSpec
from envcli.specs.spec import stacked
from envcli.transforms.inner_env import InnerEnv, put_back
from envcli.transforms.transform import Transform

__all__ = ["MultiAction"]


class _Kept(NamedTuple):
    """What one entry was after each step: ``within`` of one, ``chunk`` of all, the chunk first; both ``[time, ...]``.

    ``repeats``: the steps that are left out show the last value again, instead of 0.
    """

    within: Array
    chunk: Array
    repeats: bool


class MultiAction(Transform):
    """Each step takes a chunk of ``steps`` actions, and is as many steps of what stands before it.

    The transforms before this one run in every such step, those after it once. An episode that ends on the way ends the
    step: the actions that are left are not made. In a batch the other envs go on; those that are done are stepped
    along, and keep what they showed at their end.

    Rewards and observations of the steps that are left out hold their place in a stack, so that every step of a rollout
    has the same shape: their rewards are 0, and their observations those of the end. In TorchRL such stacks are
    shorter, in a batch they hold rewards of earlier steps, and without stacks the last reward of an episode that ends
    on the way is lost.

    The env's ``step_seconds`` and ``frames_per_step`` count all steps of a chunk.

    >>> import torch
    >>> from envcli import MultiAction, TransformedEnv
    >>> from envcli.testing.toys import CountingEnv
    >>> env = TransformedEnv(CountingEnv(5), MultiAction(steps=3))
    >>> data = env.rollout(9, lambda td: td.set("action", torch.tensor([[0.1], [0.2], [0.3]])))
    >>> data["next", "reward"].squeeze(-1), data["next", "observation"].flatten().tolist()
    (tensor([[0.1000, 0.2000, 0.3000],
            [0.1000, 0.2000, 0.0000]]), [3.0, 5.0])

    Args:
        steps: how many actions make a chunk. TorchRL has no such argument, and finds it in each chunk; here a rollout
            needs memory before that.
        dim: where the chunk stands among the dimensions of an action: 1 is the first after the batch. Stacks of rewards
            and observations have theirs at the same place. Actions of a group of agents need 2, after the agents.
            (TorchRL 0.14 takes 1 only.)
        stack_rewards: show all rewards, ``[*batch, steps, *reward]``; False: the last one that was paid. What a step
            reads, such as ``RewardSum``'s or a step count before this transform, is the last one in any case.
        stack_observations: show all observations, ``[*batch, steps, *observation]``, at the root too, where after a
            reset its observation fills the stack; the last is always the newest. (TorchRL's has none of a reset.)
            False: the last one.
        action_key: the action of one step; None: every action of the env, and ``"action"`` with a ``chunk_key``.
        chunk_key: what the user calls its chunk; None: the same.

    Raises:
        ConfigError: ``steps`` or ``dim`` is missing or less than 1.
        TransformError: in an env: there is no such action, or no such dimension. Called on a TensorDict: it makes
            steps, and a rollout is over.
    """

    _inner_env: InnerEnv
    _actions: list[tuple[Array, Array]]

    def __init__(
        self,
        *,
        steps: int | None = None,
        dim: int = 1,
        stack_rewards: bool = True,
        stack_observations: bool = False,
        action_key: NestedKey | None = None,
        chunk_key: NestedKey | None = None,
    ) -> None:
        if not isinstance(steps, int) or steps < 1:
            raise ConfigError(
                f"steps: expected how many actions make a chunk, a whole number of at least 1, found {steps!r}. "
                "Type MultiAction(steps=4)"
            )
        if dim < 1:
            raise ConfigError(f"dim: expected at least 1, the first dimension after the batch, found {dim}")
        self._finds = action_key is None and chunk_key is None
        taken: list[NestedKey] = [] if self._finds else ["action" if action_key is None else action_key]
        super().__init__(in_keys_inv=taken, out_keys_inv=None if chunk_key is None else [chunk_key])
        self.steps, self.dim = steps, dim
        self.stack_rewards, self.stack_observations = stack_rewards, stack_observations
        self._single: set[Key] = set()  # what a step reads, which is no stack
        self._stacks: list[Key] = []  # what is, under "next"

    @classmethod
    def from_vla(cls, *, action_key: NestedKey = "action", **options: Any) -> Self:  # Any: those of the class
        """One whose chunk is called ``("vla_action", "chunk")``, as vision-language-action policies of TorchRL do."""
        return cls(action_key=action_key, chunk_key=("vla_action", "chunk"), **options)

    @property
    def _steps_per_step(self) -> int:
        return self.steps

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Refused: see the class."""
        raise TransformError("MultiAction makes steps of an env: add it to one")

    # -- specs ----------------------------------------------------------------------------------------------------

    def _keys_given(self, name: str) -> None:
        if name == "in_keys_inv":
            self._finds = False

    def _inspect(self, before: EnvSpecs) -> None:
        self._single = set(before.state_spec.leaves())
        if self._finds:
            self._take_keys(in_keys_inv=before.action_keys, out_keys_inv=before.action_keys)

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With stacks of rewards and observations, as asked for."""
        rewards, observations = output_spec["full_reward_spec"], output_spec["full_observation_spec"]
        shown = set(observations.leaves()) if self.stack_observations else set()
        shown |= set(rewards.leaves()) if self.stack_rewards else set()
        self._stacks = sorted(map(under_next, shown - self._single))
        for spec in (rewards, observations):
            for path, leaf in spec.leaves().items():
                if under_next(path) in self._stacks:
                    self._put(spec, as_user_key(path), self._chunk_of(leaf, as_user_key(path), spec.ndim))
        output_spec["full_reward_spec"], output_spec["full_observation_spec"] = rewards, observations
        return output_spec

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """Chunks of actions."""
        spec = action_spec.empty()
        names = dict(zip(map(as_path, self.in_keys_inv), self.out_keys_inv, strict=True))
        for path, leaf in action_spec.leaves().items():
            if path in names:
                self._put(spec, names[path], self._chunk_of(leaf, as_user_key(path), action_spec.ndim))
            else:
                spec[as_user_key(path)] = leaf
        return spec

    def _chunk_of(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        try:
            found: TensorSpec = stacked([leaf] * self.steps, lead + self.dim - 1)
        except SpecError as error:
            raise TransformError(
                f"MultiAction: {key!r}, {list(leaf.shape)}, {lead} of which are the batch, has no place for a chunk at "
                f"dim={self.dim}"
            ) from error
        return found

    def _put(self, spec: Composite, key: NestedKey, leaf: TensorSpec) -> None:
        try:
            spec[key] = leaf
        except SpecError as error:
            raise TransformError(
                f"MultiAction: chunks {list(leaf.shape)} of {key!r} do not fit its group. Put them behind the "
                f"dimensions of the group: dim={self.dim + 1}"
            ) from error

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._axis = len(outer.batch_size) + self.dim  # time is the first
        names = zip(map(as_path, self.in_keys_inv), map(as_path, self.out_keys_inv), strict=True)
        self._actions = [(self._first(outer, chunk), inner.array(path)) for path, chunk in names]
        self._kept = [_Kept(inner.array(path), self._first(outer, path), path[1:] in outer) for path in self._stacks]
        self._begun = [
            (inner.array(path[1:]), self._first(outer, path[1:])) for path in self._stacks if path[1:] in outer
        ]

    def _first(self, rows: RolloutBuffer, path: Key) -> Array:
        """``[time, steps, *batch, *value]`` of what stands in chunks."""
        return np.moveaxis(rows.array(path), self._axis, 1)

    def _bind_inner(self, inner: InnerEnv) -> None:
        self._inner_env = inner

    def _inv_row(self, t: int) -> None:
        self._act(t, 0)

    def _act(self, t: int, step: int) -> None:
        for chunk, action in self._actions:
            action[t] = chunk[t, step]

    def _step_row(self, t: int) -> None:
        inner = self._inner_env
        root = inner.saved_reads(t)
        self._keep(t, 0, None)
        for step in range(1, self.steps):
            done = inner.done(t)
            if all_of(done):
                for later in range(step, self.steps):
                    self._keep(t, later, done)
                break
            ended = inner.saved_next(t) if any_of(done) else None
            self._act(t, step)
            inner.step_on(t)
            if ended is not None:
                put_back(ended, done)
            self._keep(t, step, done)
        put_back(root)

    def _keep(self, t: int, step: int, done: Array | None) -> None:
        """What the step has led to, but in envs that were ``done`` before."""
        for within, chunk, repeats in self._kept:
            chunk[t, step, ...] = within[t]
            if done is not None and not repeats:
                chunk[t, step : step + 1][done[None]] = 0

    def _reset_row(self, t: int, where: Array | None) -> None:
        named: Any = ... if where is None else (slice(None), where)
        for source, chunk in self._begun:
            filled = np.broadcast_to(source[t], chunk[t].shape)
            chunk[t][named] = filled[named]

    def extra_repr(self) -> str:
        """How many, and what is stacked."""
        return f"steps={self.steps}, stack_rewards={self.stack_rewards}, stack_observations={self.stack_observations}"
