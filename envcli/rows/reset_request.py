"""What a reset is asked for, besides which envs begin anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tensordict import TensorDictBase

__all__ = ["NO_REQUEST", "ResetRequest"]


@dataclass(frozen=True)
class ResetRequest:
    """What the caller of ``env.reset`` has passed on; false if that is nothing.

    Args:
        options: for the simulator's own ``reset``.
        given: the TensorDict ``[*batch]`` that a reset of all envs is given; None: none.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    given: TensorDictBase | None = None

    def __bool__(self) -> bool:
        return bool(self.options) or self.given is not None

    def for_some(self) -> ResetRequest:
        """The same for a reset of some envs only: the TensorDict is for a reset of all of them."""
        return self if self.given is None else ResetRequest(self.options)

    def of_each(self, count: int) -> list[ResetRequest]:
        """One for each of the ``count`` envs of a batch."""
        given = [None] * count if self.given is None else self.given.unbind(0)
        return [ResetRequest(dict(self.options), one) for one in given]


NO_REQUEST = ResetRequest()
"""Of a reset that is just a reset."""
