"""The envs of a batch, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from envcli.batch.batched_env import BatchedEnv
from envcli.batch.gathered import Gathered
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError

__all__ = ["EachEnv"]


class EachEnv:
    """Attributes and methods of each env of ``batched``, a batch ``[n]``, with or without transforms.

    An attribute or answer of the batch itself, or of an engine, counts for all envs. If a method of an engine returns a
    list or tuple of ``n`` items, there is one for each env.

    Attributes:
        env: the batch without its transforms.
        batch: the same, if it is made of separate envs; None: an engine steps all of them.
    """

    def __init__(self, batched: Env) -> None:
        self._batched, self._count = batched, batched.batch_size[0]
        self.env = batched.base_env if isinstance(batched, TransformedEnv) else batched
        self.batch = self.env if isinstance(self.env, BatchedEnv) else None

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What the method ``name`` of each env returns; if it is not a method, the attribute."""
        try:
            return self._answers(getattr(self._batched, name), args, kwargs)
        except (TypeError, EnvError) as error:
            if args or kwargs or "object is not callable" not in str(error):
                raise
            found = self.get(name)
            if any(map(callable, found)):  # the error comes from within the method
                raise
            return found

    def _answers(self, method: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
        found = method(*args, **kwargs)
        of_engine = self.batch is None and isinstance(found, list | tuple) and len(found) == self._count
        return tuple(found) if isinstance(method, Gathered) or of_engine else (found,) * self._count

    def get(self, name: str) -> tuple[Any, ...]:
        """The attribute ``name`` of each env."""
        found = getattr(self._batched, name)
        return tuple(found) if isinstance(found, Gathered) else (found,) * self._count

    def set_some(self, envs: Sequence[int], name: str, value: Any) -> None:
        """Set the attribute ``name`` of these ``envs`` to ``value``. Raises ConfigError as :meth:`call_some` does."""
        if self.batch is None and set(envs) == set(range(self._count)):
            self.env._set_attribute(name, value)
        else:
            self.call_some(envs, "_set_attribute", name, value)

    def call_some(self, envs: Sequence[int], name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """What the method ``name`` of each of these ``envs`` returns; the others are not called.

        Raises:
            ConfigError: the envs are one simulator, and cannot be called one by one.
        """
        if self.batch is None:
            raise ConfigError(
                f"{type(self.env).__name__} is one simulator of {self._count} envs: calls apply to all "
                "of them. Leave the indices out, and give one value"
            )
        places = sorted(set(envs))
        found = dict(zip(places, self.batch._call(name, args, kwargs, set(places)), strict=True))
        return [found[i] for i in envs]
