"""What gymnasium's registry and metadata say of an env."""

from __future__ import annotations

from typing import Any

from envcli.gym import ids

__all__ = ["Registered"]


class Registered:
    """A backend whose envs have ids of gymnasium's: their time, and what they need."""

    _env: Any  # of gymnasium's, a single one or a vector
    _repeat: int

    @classmethod
    def needed_for(cls, name: str) -> str:
        """See :class:`~envcli.backends.backend.Backend`."""
        return ids.needed_for(name)

    @property
    def step_seconds(self) -> float | None:
        """``frame_skip`` frames at the rate that the env's ``metadata`` gives."""
        rate = self._env.metadata.get("render_fps")
        return self._repeat / rate if rate else None

    @property
    def frames_per_step(self) -> int | None:
        """``frame_skip`` times what an Atari repeats by itself; None where it draws how often."""
        own = ids.frames_of(self._env.spec)
        return None if own is None else self._repeat * own
