"""Several envs that are seeded one by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from envcli.envs.env import Env
from envcli.seeding import one_seed_each

__all__ = ["SeededEnvs"]


class SeededEnvs(Env):
    """An env that is several, each of which is seeded by its place: whoever runs it, it draws the same."""

    num_envs: int

    @property
    def _seeds_of_each(self) -> int:
        """Of the chain that each of the envs takes: more than one where it is a batch itself."""
        return 1

    @property
    def _seeds_taken(self) -> int:  # type: ignore[override]  # as many as the envs
        return self.num_envs * self._seeds_of_each

    def set_seed(self, seed: int | Sequence[int] | None = None, static_seed: bool = False) -> int | None:
        """Seed every env, by its place in the batch: whoever runs it, it draws the same.

        Args:
            seed: of the first env; the others follow in the chain of :mod:`envcli.seeding`. A list: one for each.
            static_seed: give all envs the same seed.

        Returns:
            The seed that follows the last one. With ``static_seed`` ``seed`` itself; after a list, or None: None.
        """
        self._require_open()
        seeds, following = one_seed_each(seed, self.num_envs, static_seed, self._seeds_of_each)
        self._set_seeds(seeds)
        return following

    def _set_seed(self, seed: int | None) -> None:
        self.set_seed(seed)

    @abstractmethod
    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        """One seed for each env."""
