"""Random numbers for a batch of envs, one independent stream for each."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import torch
from torch import Tensor

from envcli.seeding import one_seed_each

__all__ = ["RandomStreams"]

_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: multiples of it are spread evenly
_AHEAD = 4  # draws of each stream that are made at once: few numbers take as long as many


class RandomStreams:
    """``size`` streams of uniform random numbers. What a stream gives depends on its seed alone.

    Each is a SplitMix64 of Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, which begins
    at a hash of its seed: a number is a hash of how far the stream has come, so that many streams can be drawn from at
    once, and the others stay where they are. All of it is integer arithmetic, the same on every device.

    Args:
        size: how many. Until :meth:`seed` says otherwise, nobody can repeat them.
        device: where the numbers are made.
    """

    def __init__(self, size: int, device: torch.device | None = None) -> None:
        self.size, self._device = size, device
        self._states = torch.zeros(size, dtype=torch.int64, device=device)  # of the last numbers that were given
        self.seed([None] * size)

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Begin every stream anew, each from its own of ``seeds``, whole numbers of any size; None: from chance."""
        chance = secrets.randbits(64)
        signed = [_signed(chance + i if seed is None else seed) for i, seed in enumerate(seeds)]
        numbers = torch.tensor(signed, dtype=torch.int64, device=self._device)
        self._states = _mixed(numbers * _signed(_GOLDEN))
        self._ahead: Tensor | None = None

    def seed_all(self, seed: int | Sequence[int] | None, static_seed: bool = False) -> int | None:
        """Seed as :meth:`envcli.backends.torch.TorchEnv.set_seed` says, and return the seed that follows."""
        seeds, following = one_seed_each(seed, self.size, static_seed)
        self.seed(seeds)
        return following

    def to(self, device: torch.device) -> None:
        """Make the numbers there. The streams go on where they were."""
        self._settle()
        self._device, self._states = device, self._states.to(device)

    def draw(self, count: int, dtype: torch.dtype, which: Tensor | None = None) -> Tensor:
        """The next ``count`` numbers of [0, 1) of each stream, ``[size, count]``; or of those ``which``, ``[chosen]``.

        They have the 24 leading bits of a hash in float32, 53 in float64: 0 can be drawn, 1 cannot.
        """
        if self._ahead is None or self._ahead.shape[-1] != count or self._ahead.dtype != dtype:
            self._look_ahead(count, dtype)
        chosen = torch.arange(self.size, device=self._device) if which is None else which
        at = self._at.index_select(0, chosen)  # a third of the time of _at[chosen]
        if len(at) and int(at.max()) >= self.size * _AHEAD:
            self._look_ahead(count, dtype)
            at = self._at.index_select(0, chosen)
        self._at.index_copy_(0, chosen, at + self.size)
        assert self._ahead is not None
        return self._ahead.index_select(0, at)

    @torch.inference_mode(False)  # or only what runs in that mode could count on
    def _look_ahead(self, count: int, dtype: torch.dtype) -> None:
        """The next draws of all streams, ``[ahead * size, count]``: first the next of each, then those after them."""
        self._settle()
        index = torch.arange(1, _AHEAD * count + 1, device=self._device).view(_AHEAD, 1, count)
        bits = _mixed(self._states.unsqueeze(-1) + index * _signed(_GOLDEN))
        digits = 53 if dtype == torch.float64 else 24
        numbers = _shifted(bits, 64 - digits).to(dtype).mul_(2.0**-digits)
        self._ahead = numbers.view(-1, count)
        self._at = torch.arange(self.size, device=self._device)  # the rows of these that come next

    def _settle(self) -> None:
        """Forget what was drawn ahead, but for what was given of it."""
        if self._ahead is not None:
            given = self._at // self.size
            self._states = self._states + given * _signed(self._ahead.shape[-1] * _GOLDEN)
            self._ahead = None


def _mixed(bits: Tensor) -> Tensor:
    """Each of the 64 bits flips half of the others: the finalizer of SplitMix64, variant 13 of Stafford's."""
    mixed: Tensor = (bits ^ _shifted(bits, 30)).mul_(_signed(0xBF58476D1CE4E5B9))
    mixed.bitwise_xor_(_shifted(mixed, 27)).mul_(_signed(0x94D049BB133111EB))
    return mixed.bitwise_xor_(_shifted(mixed, 31))


def _shifted(bits: Tensor, places: int) -> Tensor:
    """To the right, zeros coming in from the left; torch's own shift repeats the sign."""
    moved: Tensor = bits >> places
    return moved.bitwise_and_(2 ** (64 - places) - 1)


def _signed(number: int) -> int:
    """The signed integer of 64 bits with the last 64 bits of ``number``."""
    return (number + 2**63) % 2**64 - 2**63
