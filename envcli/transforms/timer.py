"""Says how long things took."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch

from envcli.errors import TransformError
from envcli.keys import NestedKey, as_path, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.roles import Roles
from envcli.specs import Bounded, Composite
from envcli.transforms.transform import Transform

__all__ = ["Timer"]


class Timer(Transform):
    """Seconds, by the wall clock, ``[*batch]`` in torch's default dtype; all envs of a batch show the same.

    * ``time_step``: of the step, with the transforms nearer to the env than this one;
    * ``time_policy``: from the step or reset before to this step: what the user did in between. A rollout with random
      actions draws them beforehand, and there this is next to nothing;
    * ``time_reset``: of the reset, at the root.

    Under ``"next"`` the reset is 0; at a root that a reset wrote the other two are. Two runs never show the same
    numbers, whatever the seed.

    Args:
        out_keys: the names of the three, in this order; None: ``time_key`` and ``_step``, ``_policy``, ``_reset``.
        time_key: see above.

    Raises:
        TransformError: ``out_keys`` are not three.
    """

    def __init__(self, out_keys: Sequence[NestedKey] | None = None, time_key: str = "time") -> None:
        if out_keys is None:
            out_keys = [f"{time_key}_{what}" for what in ("step", "policy", "reset")]
        if len(out_keys) != 3:
            raise TransformError(f"Timer: expected names for step, policy and reset, found out_keys {list(out_keys)}")
        super().__init__([], list(out_keys))
        self.time_key = time_key
        self._last = perf_counter()

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With the three times."""
        for key in self.out_keys:
            observation_spec[key] = Bounded(
                0,
                float("inf"),
                shape=observation_spec.shape,
                device=observation_spec.device,
                dtype=torch.get_default_dtype(),
            )
        return observation_spec

    def _roles(self) -> Roles:
        times = set(map(as_path, self.out_keys))
        return Roles(reset_markers=times, clocks=times)

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        paths = [as_path(key) for key in self.out_keys]
        self._roots = [outer.array(path) for path in paths]
        self._took, self._waited, self._resetting = [outer.array(under_next(path)) for path in paths]

    def _inv_row(self, t: int) -> None:
        now = perf_counter()
        self._waited[t] = now - self._last
        self._last = now

    def _step_row(self, t: int) -> None:
        now = perf_counter()
        self._took[t] = now - self._last
        self._resetting[t] = 0
        self._last = now

    def _begin_reset(self) -> None:
        self._last = perf_counter()

    def _reset_row(self, t: int, where: Array | None) -> None:
        now = perf_counter()
        for root, seconds in zip(self._roots, (0.0, 0.0, now - self._last), strict=True):
            root[t, ...][... if where is None else where] = seconds
        self._last = now

    def extra_repr(self) -> str:
        """The names, for ``repr``."""
        return f"keys={self.out_keys}"
