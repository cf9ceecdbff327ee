"""The chain of seeds: from one number, a different seed for every env, the same on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import index
from typing import Any

import numpy as np
import torch

from envcli.errors import ConfigError

__all__ = ["as_seed", "draw_from", "drawing_from", "first_seed", "next_seed", "one_seed_each", "seed_chain"]

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


def as_seed(seed: Any) -> int | None:
    """``seed``, an int of whatever library, as Python's; None stays None. Raises ConfigError where it is none.

    >>> as_seed(np.int64(3))
    3
    """
    if seed is None:
        return None
    try:
        found = -1 if isinstance(seed, bool) else index(seed)
    except TypeError:
        found = -1
    if found < 0:
        raise ConfigError(f"set_seed: found {seed!r}, expected a whole number of at least 0")
    return found


def one_seed_each(seed: Any, count: int, static: bool = False, places: int = 1) -> tuple[list[int | None], int | None]:
    """A seed for each of ``count`` envs, and the one that follows.

    Args:
        seed: of the first env; or a sequence, one for each, whom none follows; None: no seeds.
        count: how many envs.
        static: the same for all of them, which then is what follows too.
        places: of the chain that each env takes.

    Raises:
        ConfigError: not as many as envs, or no seeds at all.

    >>> one_seed_each(10, 3)
    ([10, 3316746426, 2460402094], 3288080526)
    """
    if np.ndim(seed):
        each = list(map(as_seed, seed))
        if len(each) != count:
            raise ConfigError(f"set_seed: found {len(each)} seeds for {count} envs, expected one for each")
        return each, None
    first = as_seed(seed)
    if static or first is None:
        return [first] * count, first
    chain = seed_chain(first, count * places)
    return [*chain[:-1:places]], chain[-1]


def first_seed(seed: Any) -> int | None:
    """That of the first env, of what :func:`one_seed_each` takes."""
    return as_seed(seed[0] if np.ndim(seed) else seed)


@contextmanager
def drawing_from(seed: int) -> Iterator[None]:
    """Inside, what torch draws follows from ``seed``; then its CPU generator goes on as if nothing had been drawn.

    >>> with drawing_from(0):
    ...     torch.rand(()).item()
    0.49625658988952637
    """
    generator = torch.default_generator
    state = generator.get_state()
    draw_from(seed)
    try:
        yield
    finally:
        generator.set_state(state)


def draw_from(seed: int) -> None:
    """From now on, what torch draws follows from ``seed``.

    ``torch.manual_seed`` only where there is an accelerator: elsewhere it writes down the caller's stack for each kind
    of one that might still be found, which takes 2 to 4 ms.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
