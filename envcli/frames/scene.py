"""From the rows of a rollout to frames that know where in an episode they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase

from envcli.frames.image import Image, as_image, narrowed, side_by_side, tiled
from envcli.keys import NestedKey

__all__ = ["Frame", "Scene"]

_SCREEN = 1920  # pixels that the frames of all envs of a batch together are wide, at most


@dataclass(frozen=True)
class Frame:
    """One image of a film. Of a batch of envs the image shows all, and the numbers are those of the first.

    ``episode`` counts from 0, ``step`` is 0 after a reset, ``reward`` is that of the step that led here, None where the
    rollout has no entry of that name, ``total`` the sum since the reset; ``envs`` is how many the image shows.
    """

    image: Image
    episode: int
    step: int
    reward: float | None
    total: float
    envs: int = 1

    @property
    def caption(self) -> str:
        """The numbers in a few words."""
        paid = self.step and self.reward is not None
        return f"step {self.step}" + (f"  reward {self.reward:.3g}  return {self.total:.3g}" if paid else "")


class Scene:
    """Makes frames of one rollout, or of several that continue each other.

    An episode begins with the frame that its reset showed; each step adds the frame it led to.

    Args:
        keys: which entries are shown; several are put side by side.
    """

    def __init__(self, keys: Sequence[NestedKey]) -> None:
        self._keys = keys
        self._episode, self._step, self._total = -1, 0, 0.0
        self._begins = True
        self.over = 0  # episodes that reached their end

    def frames(self, rollout: TensorDictBase) -> Iterator[Frame]:
        """The frames of the next steps, ``[*batch, time]``."""
        lead, envs = rollout.batch_dims - 1, rollout.batch_size[:-1].numel()
        root = self._by_time(rollout, lead)
        following = self._by_time(rollout["next"], lead)
        rewards, dones = (_first(rollout.get(("next", name), None), lead) for name in ("reward", "done"))
        for t in range(rollout.batch_size[-1]):
            if self._begins:
                self._episode, self._step, self._total, self._begins = self._episode + 1, 0, 0.0, False
                yield Frame(self._drawn(root, t), self._episode, 0, 0.0, 0.0, envs)
            reward = None if rewards is None else float(rewards[t])
            self._step, self._total = self._step + 1, self._total + (reward or 0.0)
            if dones is not None and bool(dones[t]):
                self._begins = True
                self.over += 1
            yield Frame(self._drawn(following, t), self._episode, self._step, reward, self._total, envs)

    def _by_time(self, rollout: TensorDictBase, lead: int) -> list[torch.Tensor]:
        """``[time, envs, *frame]`` of each key."""
        return [
            rollout.get(key).flatten(0, lead - 1).movedim(1, 0) if lead else rollout.get(key).unsqueeze(1)
            for key in self._keys
        ]

    def _drawn(self, rows: list[torch.Tensor], t: int) -> Image:
        per_env = [side_by_side([as_image(key[t, env]) for key in rows]) for env in range(rows[0].shape[1])]
        if len(per_env) == 1:
            return per_env[0]
        width = _SCREEN // math.ceil(math.sqrt(len(per_env)))
        return tiled([narrowed(image, width) for image in per_env])


def _first(values: torch.Tensor | None, lead: int) -> torch.Tensor | None:
    """``[time]`` of the first env."""
    if values is None:
        return None
    first = values[(0,) * lead] if lead else values
    return first.reshape(len(first), -1)[:, 0]
