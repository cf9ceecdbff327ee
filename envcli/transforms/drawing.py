"""Random numbers of a transform."""

from __future__ import annotations

from abc import ABC

import torch

from envcli.transforms.transform import Transform

__all__ = ["Drawing"]


class Drawing(Transform, ABC):
    """Draws from a generator of its own that is seeded as the env is, so that the same seed draws the same anywhere.

    Until somebody seeds the env, it draws from torch's global generator, as TorchRL's transforms always do. In a worker
    that one is nobody's to seed.
    """

    _generator: torch.Generator | None = None  # on the host; None: torch's

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self._generator = torch.Generator().manual_seed(seed)
