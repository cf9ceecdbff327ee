"""The chain of seeds: from one number, a different seed for every env, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["drawing_from", "next_seed", "seed_chain"]

_MODULUS = 2**32 - 1


def next_seed(seed: int) -> int:
    """The seed that follows ``seed``.

    TorchRL's rule (``torchrl.envs.utils`` of 0.14), kept to the bit so that experiments carry over:
    eight bytes of ``np.random.default_rng(seed)``, read big-endian, modulo ``2**32 - 1``.

    >>> next_seed(10)
    3316746426
    """
    return int.from_bytes(np.random.default_rng(seed).bytes(8), "big") % _MODULUS


def seed_chain(seed: int, count: int) -> list[int]:
    """``count + 1`` seeds, the first of which is ``seed``: one for each of ``count`` envs, and the next to hand on.

    >>> seed_chain(10, 3)
    [10, 3316746426, 2460402094, 3288080526]
    """
    seeds = [seed]
    for _ in range(count):
        seeds.append(next_seed(seeds[-1]))
    return seeds


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Inside, what torch draws follows from ``seed``; then its CPU generator goes on as if nothing had been drawn.

    ``torch.manual_seed`` only where there is an accelerator: elsewhere it writes down the caller's stack for each kind
    of one that might still be found, which takes 2 to 4 ms.

    >>> with drawing_from(0):
    ...     torch.rand(()).item()
    0.49625658988952637
    """
    generator = torch.default_generator
    state = generator.get_state()
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(state)
