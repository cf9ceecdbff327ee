"""What a dm_env environment draws from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import dm_env
import numpy as np

from envcli.seeding import seed_chain

__all__ = ["generators", "reseed"]

Generator = np.random.RandomState | np.random.Generator


def generators(env: dm_env.Environment) -> list[Generator]:
    """The generators of ``env``, each once: where dm_control has it, or those among its attributes, as in bsuite.

    Those of an environment that it wraps come before its own.
    """
    named = getattr(getattr(env, "task", None), "random", None) or getattr(env, "random_state", None)
    if isinstance(named, np.random.RandomState):
        return [named]
    return list({id(found): found for found in _kept(env)}.values())


def reseed(found: Sequence[Generator], seed: int | None) -> None:
    """Begin anew: the first from ``seed``, and each other one from the seed that follows in the chain.

    Raises:
        ValueError: the seed is none for them.
    """
    seeds = [None] * len(found) if seed is None else seed_chain(seed, len(found) - 1)
    for generator, own in zip(found, seeds, strict=True):
        if isinstance(generator, np.random.RandomState):
            generator.seed(own)
        else:
            bits: Any = generator.bit_generator
            bits.state = type(bits)(own).state


def _kept(env: dm_env.Environment, around: Sequence[Any] = ()) -> Iterator[Generator]:
    kept = list(getattr(env, "__dict__", {}).values())
    for value in kept:
        if isinstance(value, dm_env.Environment) and all(value is not one for one in (*around, env)):
            yield from _kept(value, (*around, env))
    yield from (value for value in kept if isinstance(value, Generator))
