"""An attribute of all envs of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from envcli.envs.env import Env

__all__ = ["Gathered", "of_first"]


class _Batch(Protocol):
    """What is asked of a :class:`~envcli.batch.batched_env.BatchedEnv`, which makes these."""

    num_envs: int

    def _get(self, name: str) -> list[Any]: ...

    def _call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]: ...


class Gathered(Sequence[Any]):
    """An attribute of all envs of a batch: looked up when it is looked at; called, it calls that of each env.

    It equals the list of their values. An attribute of it is that of each value, which stays where it is:
    ``env.unwrapped.gravity`` asks the workers for numbers, and not for whole simulators.
    """

    def __init__(self, env: _Batch, name: str) -> None:
        self._env, self._name = env, name

    def __getattr__(self, name: str) -> Gathered:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return Gathered(self._env, f"{self._name}.{name}")

    def __getitem__(self, index: Any) -> Any:
        return self._env._get(self._name)[index]

    def __len__(self) -> int:
        return self._env.num_envs

    def __iter__(self) -> Iterator[Any]:
        return iter(self._env._get(self._name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and not isinstance(other, str) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    def __call__(self, *args: Any, **kwargs: Any) -> list[Any]:
        return self._env._call(self._name, args, kwargs)

    def __repr__(self) -> str:
        return f"<{self._name} of {self._env!r}: list(...) shows the values>"


def of_first(env: Env, name: str) -> Any:
    """The attribute ``name`` of ``env``, or of the first env of a batch; None where there is none."""
    try:
        found = getattr(env, name, None)
        return found[0] if isinstance(found, Gathered | list) else found
    except AttributeError:  # only the envs of the batch knew
        return None
