"""A chain of transforms on TensorDicts alone, for batch sizes other than the env's, which have no rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.envs.beginning import reset_mask, shown_by_reset
from envcli.envs.env import Env
from envcli.keys import as_user_key
from envcli.mdp import renewed
from envcli.transforms.transform import Transform

__all__ = ["TensorDictChain"]


class TensorDictChain:
    """Resets and steps of ``base_env`` through ``chain``, which keep the graph of what they are given.

    For envs that take TensorDicts of any batch size (``batch_locked`` is False). Only the TensorDict hooks of the
    transforms are called: ``_reset``, ``_step``, ``_inv_call``.

    Raises:
        TransformError: from both: one of them works on the rows of an env only.
    """

    def __init__(self, base_env: Env, chain: Sequence[Transform]) -> None:
        self._base, self._chain = base_env, chain

    def reset(self, tensordict: TensorDictBase, **options: Any) -> TensorDictBase:
        """What a reset shows that is given ``tensordict``, ``[*lead]``; who is not reset is as it says."""
        begun = self._base.reset(self._inwards(tensordict), **options)
        own = map(as_user_key, sorted(shown_by_reset(self._base)))
        shown: TensorDictBase = begun.select(*own, strict=False)
        for transform in self._chain:
            shown = transform._reset(tensordict, shown)
        where = reset_mask(self._base, tensordict, tensordict.batch_size)
        return shown if where is None else renewed(tensordict, shown, torch.from_numpy(where))

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """What the step that ``tensordict``, ``[*lead]``, asks for leads to: the future ``"next"``."""
        following: TensorDictBase = self._base.step(self._inwards(tensordict)).get("next")
        for transform in self._chain:
            following = transform._step(tensordict, following)
        return following

    def _inwards(self, tensordict: TensorDictBase) -> TensorDictBase:
        asked = tensordict.copy()
        for transform in reversed(self._chain):
            asked = transform._inv_call(asked)
        return asked
