"""Says when a life was lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.roles import Roles
from envcli.specs import Categorical, Composite, Unbounded
from envcli.transforms.episode_starts import done_before
from envcli.transforms.inner_env import InnerEnv
from envcli.transforms.transform import Transform
from envcli.transforms.windows import time_axis

__all__ = ["EndOfLifeTransform"]


class EndOfLifeTransform(Transform):
    """``"end-of-life"``, ``[*batch, 1]`` bool: was a life lost in this step, or is the episode over?

    As in Mnih et al., 2015. It is an observation and ends nothing: a loss takes it in the place of ``"done"`` where a
    life shall be an episode, while the game goes on. The lives that are left are shown beside it, ``[*batch, 1]``
    int64.

    On a finished rollout that shows the lives (``transform(rollout)``; TorchRL cannot do that) it gives what the env
    would have given.

    Args:
        eol_key: what it is called.
        lives_key: what the lives are called. If the env shows an entry of that name they are read from there.
        done_key: the flag that ends an episode.
        eol_attribute: where else the lives are: an attribute of the base env, or a method of it without arguments.

    Raises:
        TransformError: the env has no such flag, or, at the first reset, no such attribute; a rollout has no lives.
    """

    _inner_env: InnerEnv

    def __init__(
        self,
        eol_key: NestedKey = "end-of-life",
        lives_key: NestedKey = "lives",
        done_key: NestedKey = "done",
        eol_attribute: str = "unwrapped.ale.lives",
    ) -> None:
        super().__init__()
        self.eol_key, self.lives_key, self.done_key, self.eol_attribute = eol_key, lives_key, done_key, eol_attribute
        self._shown = False

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the flag, and the lives if they are not there."""
        flags = output_spec["full_done_spec"].leaves()
        if as_path(self.done_key) not in flags:
            raise TransformError(
                f"EndOfLifeTransform: done_key {self.done_key!r} does not exist. The env has: {list(flags)}"
            )
        shape, device = flags[as_path(self.done_key)].shape, output_spec.device
        shown = output_spec["full_observation_spec"]
        self._shown = as_path(self.lives_key) in shown.leaves()
        if not self._shown:
            shown[self.lives_key] = Unbounded(shape, device=device, dtype=torch.int64)
        shown[self.eol_key] = Categorical(2, shape=shape, device=device, dtype=torch.bool)
        output_spec["full_observation_spec"] = shown
        return output_spec

    def _rewrites(self) -> set[Key]:
        own = [as_path(key) for key in ([self.eol_key] if self._shown else [self.eol_key, self.lives_key])]
        return {*own, *map(under_next, own)}

    def _roles(self) -> Roles:
        """It reads the lives before the step."""
        return Roles(reads={as_path(self.lives_key)})

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        lives, lost = as_path(self.lives_key), as_path(self.eol_key)
        self._lives, self._next_lives = outer.array(lives), outer.array(under_next(lives))
        self._lost, self._next_lost = outer.array(lost), outer.array(under_next(lost))
        self._done = outer.array(under_next(as_path(self.done_key)))
        self._read: Callable[[], Any] | None = None

    def _bind_inner(self, inner: InnerEnv) -> None:
        self._inner_env = inner

    def _step_row(self, t: int) -> None:
        if not self._shown:
            self._next_lives[t] = self._lives_now().reshape(self._next_lives.shape[1:])
        np.less(self._next_lives[t], self._lives[t], out=self._next_lost[t, ...])
        self._next_lost[t] |= self._done[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else where
        if not self._shown:
            self._lives[t][mask] = self._lives_now().reshape(self._lives.shape[1:])[mask]
        self._lost[t][mask] = False

    def _lives_now(self) -> Array:
        if self._read is None:
            self._read = self._reader()
        value = self._read()
        return np.asarray(list(value) if isinstance(value, Sequence) else value, dtype=np.int64)  # those of a batch

    def _reader(self) -> Callable[[], Any]:
        found: Any = self._inner_env.base_env
        for name in self.eol_attribute.split("."):
            found = getattr(found, name, None)
            if found is None:
                raise TransformError(
                    f"EndOfLifeTransform: eol_attribute: the env has no {self.eol_attribute!r}. Name an attribute that "
                    f"counts lives, or have the env show them as {as_user_key(as_path(self.lives_key))!r}; an Atari "
                    "game does so with backend.lives=true"
                )
        if callable(found):
            reader: Callable[[], Any] = found
            return reader
        owner, _, last = self.eol_attribute.rpartition(".")
        return lambda: _attribute(self._inner_env.base_env, owner, last)

    # -- a finished rollout ---------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The flags of a rollout ``[*batch, time]``, in place, at the root and under ``"next"``."""
        time, lost = time_axis(tensordict, type(self).__name__), as_path(self.eol_key)
        lives, done = as_path(self.lives_key), as_path(self.done_key)
        before, after, ended = (tensordict.get(path, None) for path in (lives, under_next(lives), under_next(done)))
        if before is None or after is None or ended is None:
            raise TransformError(
                f"EndOfLifeTransform: expected {as_user_key(lives)!r} and ('next', {self.lives_key!r}) and ('next', "
                f"{self.done_key!r}) in a rollout. Lives known only to the env cannot be recovered afterwards: make it "
                "part of the env"
            )
        following = (after < before) | ended
        begins = done_before(tensordict, time, done[:-1], type(self).__name__).unsqueeze(-1)
        root = following.roll(1, time) & ~begins
        given = tensordict.get(lost, None)
        root.select(time, 0).copy_(torch.tensor(False) if given is None else given.select(time, 0))
        tensordict.set(lost, root)
        return tensordict.set(under_next(lost), following)

    def extra_repr(self) -> str:
        """The keys."""
        return f"eol_key={self.eol_key!r}, lives_key={self.lives_key!r}"


def _attribute(env: Any, owner: str, last: str) -> Any:
    for name in owner.split(".") if owner else []:
        env = getattr(env, name)
    return getattr(env, last)
