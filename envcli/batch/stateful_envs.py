"""Several envs whose states are saved and loaded one by one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from envcli.envs.seeded_envs import SeededEnvs
from envcli.errors import SpecError

__all__ = ["StatefulEnvs"]


class StatefulEnvs(SeededEnvs):
    """An env that is several, each of which has a state of its own."""

    def state_dict(self) -> dict[str, Any]:
        """``{"worker0": the state_dict of the first env, ...}``, as TorchRL names them."""
        self._require_open()
        return {f"worker{i}": state for i, state in enumerate(self._state_dicts())}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> None:
        """From :meth:`state_dict`. Raises SpecError unless it has a state for each env; what it has besides is left.

        With ``strict=False`` the envs, and entries of theirs, that it lacks stay as they are, and what they do not know
        is left, too.
        """
        self._require_open()
        if not strict:
            state_dict = {env: _known(state, state_dict.get(env, {})) for env, state in self.state_dict().items()}
        if missing := [i for i in range(self.num_envs) if f"worker{i}" not in state_dict]:
            found = sum(f"worker{i}" in state_dict for i in range(len(state_dict)))
            raise SpecError(
                f"load_state_dict: expected the states of {self.num_envs} envs, 'worker0' to "
                f"'worker{self.num_envs - 1}', found {found or 'none'}: there is no 'worker{missing[0]}'. "
                "Give the state_dict() of a batch with as many envs"
            )
        self._load_state_dicts([state_dict[f"worker{i}"] for i in range(self.num_envs)])

    @abstractmethod
    def _state_dicts(self) -> list[Any]:
        """That of each env."""

    @abstractmethod
    def _load_state_dicts(self, states: Sequence[Any]) -> None:
        """One ``state_dict`` for each env."""


def _known(state: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """``state``, with what ``other`` says of its entries."""
    return {name: other.get(name, value) for name, value in state.items()}
