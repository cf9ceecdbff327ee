"""A simulator: corridors of different lengths."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch

from envcli.backends.backend import Backend
from envcli.errors import UnknownName
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.specs import Bounded, Categorical, Composite, OneHot, Unbounded

__all__ = ["CorridorEnv"]

_LENGTHS = {"Corridor-short": 5, "Corridor-long": 50}


class CorridorEnv(Backend):
    """One walks to the right or to the left, and is done at the end. Each step costs 1.

    Args:
        length: steps from the beginning to the end.
        frame_skip: repeat each action this many times.
        device: where what is shown is handed out.
    """

    library: ClassVar[str] = "example_envs"

    def __init__(self, length: int, *, frame_skip: int | None = None, device: torch.device | str | None = None) -> None:
        super().__init__(None, frame_skip=frame_skip, device=device)
        self._length, self._repeat, self._place_now = length, frame_skip or 1, 0
        flag = Categorical(2, shape=torch.Size([1]), dtype=torch.bool, device=device)
        self.observation_spec = Composite(
            observation=Bounded(0, length, shape=(1,), dtype=torch.float32, device=device), device=device
        )
        self.action_spec = OneHot(2, device=device)
        self.reward_spec = Unbounded((1,), device=device)
        self.full_done_spec = Composite(done=flag, terminated=flag, truncated=flag, device=device)

    @classmethod
    def from_name(cls, name: str, *, frame_skip: int | None = None, device: Any = None, **options: Any) -> Self:
        """The corridor called ``name``. Raises UnknownName if there is none."""
        if name not in _LENGTHS:
            raise UnknownName("corridor", name, _LENGTHS)
        return cls(_LENGTHS[name], frame_skip=frame_skip, device=device)

    @classmethod
    def available_names(cls) -> list[str]:
        """The names of all corridors."""
        return sorted(_LENGTHS)

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._first, self._following = (buffer.array(key) for key in (("observation",), ("next", "observation")))
        self._action = buffer.array(("action",))
        self._reward, self._done, self._terminated = (
            buffer.flags(("next", name)) for name in ("reward", "done", "terminated")
        )

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._place_now = 0
        self._first[t] = 0

    def _step_row(self, t: int) -> None:
        step = self._repeat if self._action[t, 1] else -self._repeat
        self._place_now = min(max(self._place_now + step, 0), self._length)
        self._following[t] = self._place_now
        self._reward[t] = -1.0
        if self._place_now == self._length:
            self._done[t] = self._terminated[t] = True

    def _set_seed(self, seed: int | None) -> None:
        """Nothing here is drawn."""

    def _native_name(self) -> str:
        return f"a corridor of {self._length}"

    def _close(self) -> None:
        """There is nothing to close."""
