"""The random numbers of one env of VMAS."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from envcli.vmas.library import vmas_library

__all__ = ["Chance"]


class Chance:
    """The random numbers of one env, which all scenarios take from the global generators of torch, numpy and Python.

    VMAS lends these generators, for each call, states that all its envs share, and leaves them there if something is
    raised. Here each env has states of its own, so that another one does not change what is drawn, and the global
    generators are always as before.

    Args:
        seed: where they begin; None: by chance.
        device: where the scenario computes. A GPU has a generator of its own, which VMAS neither lends nor puts back.
    """

    def __init__(self, seed: int | None, device: torch.device) -> None:
        self._gpu = device if device.type == "cuda" else None
        self.seed(seed)

    def seed(self, seed: int | None) -> None:
        """Begin where ``torch.manual_seed(seed)`` and the same of the others would; None: by chance."""
        seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        numpy = np.random.RandomState(seed % 2**32).get_state()
        self._states = [torch.Generator().manual_seed(seed).get_state(), numpy, random.Random(seed).getstate()]
        if self._gpu is not None:
            self._gpu_state = torch.Generator(self._gpu).manual_seed(seed).get_state()

    @contextmanager
    def drawn(self) -> Iterator[None]:
        """Whatever VMAS draws in here is drawn from these."""
        lent: list[Any] = vmas_library().simulator.environment.Environment.vmas_random_state
        others, outside = list(lent), _global_states()
        lent[:] = self._states
        try:
            with self._on_gpu():
                yield
        except BaseException:
            _set_global_states(outside)
            raise
        finally:
            self._states, lent[:] = list(lent), others

    @contextmanager
    def _on_gpu(self) -> Iterator[None]:
        if self._gpu is None:
            yield
            return
        outside = torch.cuda.get_rng_state(self._gpu)
        torch.cuda.set_rng_state(self._gpu_state, self._gpu)
        try:
            yield
        finally:
            self._gpu_state = torch.cuda.get_rng_state(self._gpu)
            torch.cuda.set_rng_state(outside, self._gpu)


def _global_states() -> tuple[Any, ...]:
    return torch.random.get_rng_state(), np.random.get_state(), random.getstate()


def _set_global_states(states: tuple[Any, ...]) -> None:
    torch.random.set_rng_state(states[0])
    np.random.set_state(states[1])
    random.setstate(states[2])
