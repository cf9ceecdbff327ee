"""An env of ours as a ``gymnasium.Env`` whose values are tensors."""

from __future__ import annotations

from typing import Any

import torch

from envcli.adapters.gymnasium_adapter import GymnasiumAdapter

__all__ = ["GymnasiumTensorAdapter"]


class GymnasiumTensorAdapter(GymnasiumAdapter):
    """A :class:`GymnasiumAdapter` whose observations and infos are tensors, on the CPU, and which takes such actions.

    (``gymnasium.wrappers.NumpyToTorch`` does the same, but needs another library.)
    """

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """As there, of tensors."""
        observation, info = super().reset(seed=seed, options=options)
        return _tensors(observation), _tensors(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """As there, of tensors."""
        observation, reward, terminated, truncated, info = super().step(action)
        return _tensors(observation), reward, terminated, truncated, _tensors(info)


def _tensors(tree: Any) -> Any:
    """Arrays in dicts and tuples as tensors, over the same memory."""
    if isinstance(tree, dict):
        return {name: _tensors(part) for name, part in tree.items()}
    return tuple(map(_tensors, tree)) if isinstance(tree, tuple) else torch.as_tensor(tree)
