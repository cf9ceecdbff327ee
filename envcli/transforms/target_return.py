"""Says which return is still to be reached."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from envcli.errors import ConfigError
from envcli.keys import NestedKey
from envcli.transforms.along_episode import AlongEpisode

__all__ = ["TargetReturn"]


class TargetReturn(AlongEpisode):
    """``target_return``: ``target_return`` after a reset, less each reward from there on (Decision Transformer).

    It has the shape and dtype of the reward (torch's default, float32, of whole numbers), stands at the root and under
    ``"next"``, and is state: a step goes on from what the root says. On a finished rollout, see :class:`AlongEpisode`
    (TorchRL cannot do that).

    Args:
        target_return: the return that an episode is to reach.
        mode: ``"reduce"`` takes each reward off, ``"constant"`` does not.
        in_keys: which rewards; None: all that the env has, ``"reward"`` outside an env.
        out_keys: the names of the targets; None: each reward's, its last part replaced by ``"target_return"``.
        reset_key: kept for TorchRL's sake; what is reset is known here.

    Raises:
        ConfigError: there is no such mode.
        TransformError: ``in_keys`` and ``out_keys`` are not equally many, or two targets have one name.
    """

    _steps_by_call = True

    def __init__(
        self,
        target_return: float,
        mode: str = "reduce",
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        reset_key: NestedKey | None = None,
    ) -> None:
        super().__init__(float(target_return), in_keys, out_keys)
        self.mode = mode

    @property
    def target_return(self) -> float:
        """The return that an episode is to reach, from the next reset on."""
        return self._start

    @target_return.setter
    def target_return(self, target_return: float) -> None:
        self._start = float(target_return)

    @property
    def mode(self) -> str:
        """See the class."""
        return "reduce" if self._reduces else "constant"

    @mode.setter
    def mode(self, mode: str) -> None:
        if mode not in ("reduce", "constant"):
            raise ConfigError(f"TargetReturn: mode is {mode!r}, expected reduce or constant")
        self._reduces = mode == "reduce"

    def _apply_transform(self, reward: Any, target_return: Any) -> Any:  # type: ignore[override]  # as in TorchRL
        return self._following(target_return, reward)

    def _following(self, before: Any, reward: Any) -> Any:
        return before - reward if self._reduces else before

    def _dtype(self, of_reward: torch.dtype) -> torch.dtype:
        return of_reward if of_reward.is_floating_point else torch.get_default_dtype()  # a target may be a fraction

    def _name(self, reward: str) -> str:
        return "target_return"

    def extra_repr(self) -> str:
        """Target, mode and keys, for ``repr``."""
        return f"target_return={self.target_return}, mode={self.mode!r}, {super().extra_repr()}"
