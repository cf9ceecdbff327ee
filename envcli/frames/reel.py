"""What one env showed, in its own time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from envcli.frames.image import Image

__all__ = ["Reel", "Shot"]


@dataclass(frozen=True)
class Shot:
    """One image of one env, and where in its episode that is: see :class:`~envcli.frames.scene.Frame`."""

    image: Image
    episode: int
    step: int
    reward: float | None
    total: float
    ends: bool


class Reel:
    """The shots of an env that were not shown yet: each episode begins with what its reset showed.

    Attributes:
        begins: does the next step begin an episode?
        last: the shot that was shown last.
    """

    last: Shot

    def __init__(self) -> None:
        self.begins = True
        self._episode, self._step, self._total = -1, 0, 0.0
        self._waiting: deque[Shot] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, image: Image) -> None:
        """A reset."""
        self._episode, self._step, self._total, self.begins = self._episode + 1, 0, 0.0, False
        self._waiting.append(Shot(image, self._episode, 0, 0.0, 0.0, ends=False))

    def step(self, image: Image, reward: float | None, ends: bool) -> None:
        """A step, which led to ``image``."""
        self._step, self._total, self.begins = self._step + 1, self._total + (reward or 0.0), ends
        self._waiting.append(Shot(image, self._episode, self._step, reward, self._total, ends))

    def shown(self) -> Shot:
        """The next one, or the last once more, no longer as one that ends an episode."""
        self.last = self._waiting.popleft() if self._waiting else replace(self.last, ends=False)
        return self.last

    def keep(self) -> None:
        """Copy what was not shown yet: the memory that it stands in may be written again."""
        self._waiting = deque(replace(shot, image=shot.image.copy()) for shot in self._waiting)
