"""What an env says of itself, without the env: what a batch of such envs needs to know beforehand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from envcli.envs.env import Env
from envcli.errors import SpecError
from envcli.rows.env_specs import FAMILIES
from envcli.rows.roles import Roles
from envcli.specs import Composite, TensorSpec

__all__ = ["EnvSummary"]


@dataclass(frozen=True)
class EnvSummary:
    """Specs, shape and device of an env, and what it says of its entries (see :class:`~envcli.rows.row_env.RowEnv`)."""

    specs: dict[str, Composite]
    batch_size: torch.Size
    device: torch.device | None
    seeds: int  # of the chain that it takes
    roles: Roles

    @classmethod
    def of(cls, env: Env) -> EnvSummary:
        """What ``env`` says of itself."""
        return cls(
            specs={family: env._spec(family) for family in FAMILIES},
            batch_size=env.batch_size,
            device=env.device,
            seeds=env._seeds_taken,
            roles=env._roles(),
        )

    @classmethod
    def telling(cls, envs: Sequence[Env], first: int) -> dict[int, EnvSummary]:
        """Those of the first of ``envs`` and of the first unlike it, by their places, which begin with ``first``."""
        summaries = list(map(cls.of, envs))
        other = next((i for i, summary in enumerate(summaries) if not summaries[0].fits(summary)), 0)
        return {first: summaries[0], first + other: summaries[other]}

    def require_same(self, other: EnvSummary, who: str) -> None:
        """Raise SpecError unless ``other``, of the env called ``who``, has the same specs: only such make a batch."""
        for what, own, first in self._differences(other):
            raise SpecError(
                f"{who} does not fit the batch: {what} is {own}, for env 0 it is {first}. "
                "Give the envs transforms that make them equal"
            )

    def fits(self, other: EnvSummary) -> bool:
        """Has ``other`` the same specs?"""
        return not any(self._differences(other))

    def _differences(self, other: EnvSummary) -> Iterator[tuple[str, str, str]]:
        """What differs, as it is in ``other``, and as it is here."""
        if other.batch_size != self.batch_size:
            yield "batch_size", str(list(other.batch_size)), str(list(self.batch_size))
        for family in FAMILIES:
            ours, theirs = self.specs[family].leaves(), other.specs[family].leaves()
            for path in dict.fromkeys([*ours, *theirs]):
                own, first = theirs.get(path), ours.get(path)
                if own != first:
                    yield f"{family} {'.'.join(path)!r}", _in_words(own), _in_words(first)


def _in_words(leaf: TensorSpec | None) -> str:
    return "missing" if leaf is None else leaf.in_words()
