"""The actions to come, for policies that plan ahead."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path, as_user_key, under_next
from envcli.transforms.stacked_rollout import StackedRollout
from envcli.transforms.transform import Transform

__all__ = ["ActionChunkTransform"]


class ActionChunkTransform(Transform):
    """Of each step of data, the action and the ``chunk_size - 1`` after it: what a policy that plans ahead learns.

    ``chunk_key``, ``[*batch, time, chunk_size, n]``, holds them; past the end of an episode, or of a row, it repeats
    the last action, and ``pad_key``, ``[*batch, time, chunk_size]`` bool, is true. The shape of the action,
    ``[*batch, time, n]``, says where time is: the TensorDict may have fewer dimensions, as those of a replay buffer.

    In an env it does nothing. ``MultiAction`` makes all the actions of a chunk there.

    >>> import torch
    >>> from tensordict import TensorDict
    >>> data = ActionChunkTransform(3)(TensorDict({"action": torch.arange(4.0).view(1, 4, 1)}, [1]))
    >>> data["vla_action", "chunk"].squeeze().tolist()
    [[0.0, 1.0, 2.0], [1.0, 2.0, 3.0], [2.0, 3.0, 3.0], [3.0, 3.0, 3.0]]
    >>> data["action_is_pad"][0, 2]
    tensor([False, False,  True])

    Args:
        chunk_size: how many actions.
        action_key: those of single steps.
        chunk_key: where the chunks are written.
        pad_key: where it is written which of their actions are no more than repeated.
        time_dim: the dimension of time, the last but one of the action.
        done_key: the flag under ``"next"``, ``[*batch, time, 1]`` or ``[*batch, time]``, that ends an episode. Where it
            is missing, or None, each row is one episode.

    Raises:
        ConfigError: ``chunk_size`` is less than 1.
        TransformError: on a TensorDict: there is no action, its time is another dimension, or the flag has another
            shape. With ``missing_tolerance``, the action may be missing.
    """

    def __init__(
        self,
        chunk_size: int,
        *,
        action_key: NestedKey = "action",
        chunk_key: NestedKey = ("vla_action", "chunk"),
        pad_key: NestedKey = "action_is_pad",
        time_dim: int = -2,
        done_key: NestedKey | None = "done",
    ) -> None:
        super().__init__()
        if chunk_size < 1:
            raise ConfigError(f"chunk_size: expected at least 1 action, found {chunk_size}")
        self.chunk_size, self.time_dim = chunk_size, time_dim
        self.action_key, self.chunk_key, self.pad_key, self.done_key = action_key, chunk_key, pad_key, done_key

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The chunks, in place."""
        action = tensordict.get(self.action_key, None)
        if action is None:
            if self.missing_tolerance:
                return tensordict
            raise TransformError(f"ActionChunkTransform: no {self.action_key!r}, found {list(tensordict.keys())}")
        if action.ndim < 2 or self.time_dim % action.ndim != action.ndim - 2:
            raise TransformError(
                f"ActionChunkTransform: expected the action [*batch, time, n], found {list(action.shape)} with "
                f"time_dim={self.time_dim}"
            )
        rows = TensorDict({"action": action}, batch_size=action.shape[:-1])
        if (done := self._done(tensordict, action.shape[:-1])) is not None:
            rows.set(("next", "done"), done)
        ahead = StackedRollout(rows, self.chunk_size, "done", None, future=True)
        windows = ahead.windows("action")
        assert windows is not None
        tensordict.set(self.chunk_key, ahead.unflat(windows))
        return tensordict.set(self.pad_key, ~ahead.mask())

    def _done(self, tensordict: TensorDictBase, lead: torch.Size) -> torch.Tensor | None:
        if self.done_key is None:
            return None
        key = as_user_key(under_next(as_path(self.done_key)))
        done: torch.Tensor | None = tensordict.get(key, None)
        if done is not None and done.shape not in (lead, (*lead, 1)):
            raise TransformError(
                f"ActionChunkTransform: {key!r} is {list(done.shape)}, expected {[*lead, 1]} as the action is "
                f"{list(lead)} and more. With done_key=None, each row is one episode"
            )
        return done

    def extra_repr(self) -> str:
        """How many, and the keys."""
        return f"chunk_size={self.chunk_size}, action_key={self.action_key!r}, chunk_key={self.chunk_key!r}"
