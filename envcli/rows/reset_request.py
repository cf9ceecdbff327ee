"""What a reset is asked for, besides which envs begin anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError

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

    def of_batch(self, batch_size: torch.Size) -> ResetRequest:
        """The same for an env that has as many envs in another shape."""
        if self.given is None or self.given.batch_size == batch_size:
            return self
        return replace(self, given=self.given.reshape(batch_size))

    def of_each(self, count: int) -> list[ResetRequest]:
        """One for each of the ``count`` envs of a batch.

        As in TorchRL, ``list_of_kwargs`` among the options holds those of single envs, one mapping for each; what is
        given beside it goes to all, and counts if both say something.

        Raises ConfigError if it has not ``count`` of them.
        """
        shared = dict(self.options)
        own: Sequence[Mapping[str, Any]] = shared.pop("list_of_kwargs", [{}] * count)
        if len(own) != count:
            raise ConfigError(f"list_of_kwargs: found {len(own)} for {count} envs, expected one for each env.")
        given = [None] * count if self.given is None else self.given.unbind(0)
        return [ResetRequest({**mine, **shared}, one) for mine, one in zip(own, given, strict=True)]


NO_REQUEST = ResetRequest()
"""Of a reset that is just a reset."""
