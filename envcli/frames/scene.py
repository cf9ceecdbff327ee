"""From the rows of a rollout to frames that know where in an episode they are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from tensordict import TensorDictBase

from envcli.frames.image import Image, as_image, captioned, narrowed, side_by_side, tiled, zoomed
from envcli.frames.look import Look
from envcli.frames.reel import Reel
from envcli.keys import NestedKey
from envcli.terminal.answer import three_digits

__all__ = ["Frame", "Scene"]

_SCREEN = 1920  # pixels that the frames of all envs of a batch together are wide, at most


@dataclass(frozen=True)
class Frame:
    """One image of a film. Of a batch of envs the image shows all, and the numbers are those of the first.

    ``episode`` counts from 0, ``step`` is 0 after a reset, ``reward`` is that of the step that led here (the sum of its
    objectives), None where the rollout has no entry of that name, ``total`` the sum since the reset; ``envs`` is how
    many the image shows.
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
        if not self.step or self.reward is None:
            return f"step {self.step:,}"
        return f"step {self.step:,}  reward {three_digits(self.reward)}  return {three_digits(self.total)}"


class Scene:
    """Makes frames of one rollout, or of several that continue each other.

    An episode begins with the frame that its reset showed; each step adds the frame it led to. In a batch that holds
    for each env, in its own time: one that is reset more often than another has more to show, and the others stand
    still at the film's end, not within it.

    Args:
        keys: which entries are shown; several are put side by side.
        looks: how they are to be seen; where nothing is said, their values decide.
        names: of the envs of a batch, written below each where they differ; none: nothing is written.

    Attributes:
        begun, over: episodes, of all envs, that were shown from their beginning, and to their end.
    """

    def __init__(
        self, keys: Sequence[NestedKey], looks: Mapping[NestedKey, Look] | None = None, names: Sequence[str] = ()
    ) -> None:
        self._keys = keys
        self._looks = [(looks or {}).get(key, Look()) for key in keys]
        self._ranges = list(self._looks)  # with those that were seen
        self._names = names if len(set(names)) > 1 else ()
        self._reels: list[Reel] = []
        self.begun = self.over = 0

    def frames(self, rollout: TensorDictBase) -> Iterator[Frame]:
        """The frames of the next steps, ``[*batch, time]``."""
        lead, envs = rollout.batch_dims - 1, rollout.batch_size[:-1].numel()
        root = self._by_time(rollout, lead)
        following = self._by_time(rollout["next"], lead)
        rewards, dones = (_by_env(rollout.get(("next", name), None), lead) for name in ("reward", "done"))
        self._reels = self._reels or [Reel() for _ in range(envs)]
        self._learn_ranges(root, following)
        for t in range(rollout.batch_size[-1]):
            for i, reel in enumerate(self._reels):
                if reel.begins:
                    reel.begin(self._drawn(root, t, i))
                ends = dones is not None and bool(dones[i, t])
                reel.step(self._drawn(following, t, i), None if rewards is None else float(rewards[i, t]), ends)
            while all(self._reels):
                yield self._shown()
        for reel in self._reels:
            reel.keep()

    def rest(self) -> Iterator[Frame]:
        """After the last step: what is left to show of envs that were reset more often than others."""
        while any(self._reels):
            yield self._shown()

    def _shown(self) -> Frame:
        new = [bool(reel) for reel in self._reels]
        shots = [reel.shown() for reel in self._reels]
        self.begun += sum(fresh and shot.step == 0 for fresh, shot in zip(new, shots, strict=True))
        self.over += sum(shot.ends for shot in shots)
        first, envs = shots[0], len(shots)
        image = tiled([shot.image for shot in shots]) if envs > 1 else first.image
        return Frame(image, first.episode, first.step, first.reward, first.total, envs)

    def _by_time(self, rollout: TensorDictBase, lead: int) -> list[torch.Tensor]:
        """``[time, envs, *frame]`` of each key."""
        return [
            rollout.get(key).flatten(0, lead - 1).movedim(1, 0) if lead else rollout.get(key).unsqueeze(1)
            for key in self._keys
        ]

    def _learn_ranges(self, *sides: Sequence[torch.Tensor]) -> None:
        """Where only values tell what is black and white, those of a film so far do: a frame alone would flicker."""
        for rows in sides:
            for i, (look, values) in enumerate(zip(self._looks, rows, strict=True)):
                self._ranges[i] = self._ranges[i].wider(look.seeing(values))

    def _drawn(self, rows: list[torch.Tensor], t: int, env: int) -> Image:
        """What ``env`` shows, as large as it is in the film."""
        image = side_by_side([as_image(key[t, env], look) for key, look in zip(rows, self._ranges, strict=True)])
        envs = len(self._reels)
        if envs > 1:
            image = narrowed(image, _SCREEN // math.ceil(math.sqrt(envs)))
        return captioned(zoomed(image), self._names[env % len(self._names)]) if self._names else image


def _by_env(values: torch.Tensor | None, lead: int) -> torch.Tensor | None:
    """``[envs, time]``: the sum of each one's values, as episodes count them; of flags, how many are true."""
    if values is None:
        return None
    whole = values.flatten(lead + 1).sum(-1) if values.ndim > lead + 1 else values
    return whole.reshape(-1, whole.shape[-1])
