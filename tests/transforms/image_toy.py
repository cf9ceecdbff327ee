"""Envs that show frames whose every pixel says which step it is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.env_base import EnvBase
from envcli.rows.done_family import done_family
from envcli.specs import Bounded, Composite, Unbounded

__all__ = ["FramesEnv", "frame"]


def frame(number: int, height: int, width: int) -> torch.Tensor:
    """``[height, width, 3]`` uint8, another one for each number, and never dull."""
    values = torch.arange(height * width * 3) * 7 + number * 31
    return (values % 256).to(torch.uint8).view(height, width, 3)


class FramesEnv(EnvBase):
    """``pixels`` is :func:`frame` of the steps made, ``reward`` their number, ``lives`` go down every 2 steps.

    Args:
        limit: steps of an episode, one number or one for each env.
        batch_size: ``[*batch]``.
        size: height and width.
        group: where the frames are nested.
    """

    def __init__(
        self,
        limit: int | Sequence[int] = 5,
        batch_size: Sequence[int] = (),
        size: tuple[int, int] = (12, 10),
        group: tuple[str, ...] = (),
        lives: bool = False,
    ) -> None:
        super().__init__(batch_size=batch_size)
        self.key = (*group, "pixels")
        self.size, self.shows_lives = size, lives
        self.limit = torch.as_tensor(limit).expand(self.batch_size).unsqueeze(-1)
        shape = torch.Size([*self.batch_size, 1])
        self.count = torch.zeros(shape, dtype=torch.int64)
        self.actions: list[Any] = []
        observation = Composite(shape=self.batch_size)
        observation[self.key] = Bounded(0, 255, shape=[*self.batch_size, *size, 3], dtype=torch.uint8)
        if lives:
            observation["lives"] = Bounded(0, 9, shape=shape, dtype=torch.int64)
        self.observation_spec = observation
        self.action_spec = Bounded(-1, 1, shape=shape, dtype=torch.float32)
        self.reward_spec = Unbounded(shape)
        self.full_done_spec = done_family(self.batch_size)

    @property
    def lives_left(self) -> torch.Tensor:
        return 9 - self.count // 2

    def _frames(self) -> TensorDict:
        frames = torch.stack([frame(int(n), *self.size) for n in self.count.flatten()])
        result = TensorDict({}, batch_size=self.batch_size)
        result.set(self.key, frames.view(*self.batch_size, *self.size, 3))
        return result.set("lives", self.lives_left) if self.shows_lives else result

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        where = torch.ones_like(self.count, dtype=torch.bool)
        if tensordict is not None:
            where = tensordict.get("_reset", where)
        self.count = torch.where(where, 0, self.count)
        return self._frames()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.actions.append(tensordict["action"].clone())
        self.count = self.count + 1
        result = self._frames().set("reward", self.count.float())
        return result.set("terminated", self.count >= self.limit)

    def _set_seed(self, seed: int | None) -> None:
        pass  # nothing is drawn
