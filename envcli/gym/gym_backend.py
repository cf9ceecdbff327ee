"""Which library gymnasium's envs come from: gymnasium."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import ContextDecorator
from types import ModuleType

import gymnasium

from envcli.errors import ConfigError

__all__ = ["gym_backend", "set_gym_backend"]


class set_gym_backend(ContextDecorator):  # TorchRL's name
    """Kept for programs that are written for TorchRL, which lets one choose between gym and gymnasium: there is one
    choice here, and nothing is changed by it.

    It is used as there: in a ``with``, around a function, or by ``set()``.

    >>> with set_gym_backend("gymnasium"):
    ...     gym_backend().__name__
    'gymnasium'

    Args:
        backend: ``"gymnasium"``, the module, or a function that returns it.

    Raises:
        ConfigError: it is anything else.
    """

    def __init__(self, backend: str | ModuleType | Callable[[], ModuleType]) -> None:
        found = backend() if callable(backend) else backend
        if found not in ("gymnasium", gymnasium):
            name = found.__name__ if isinstance(found, ModuleType) else found
            raise ConfigError(
                f"set_gym_backend: found {name!r}, expected 'gymnasium', the only backend. Give an env of another "
                "library to EnvBase, or to a wrapper that makes it a gymnasium.Env"
            )

    @property
    def backend(self) -> ModuleType:
        """The module."""
        return gymnasium

    def set(self) -> None:
        """For good: it is so already."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *raised: object) -> None:
        pass


def gym_backend(submodule: str | None = None) -> ModuleType:
    """gymnasium, or a module of it. (TorchRL gives the whole where ``submodule`` begins with a dot.)

    >>> gym_backend("wrappers").__name__
    'gymnasium.wrappers'

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    return gymnasium if submodule is None else importlib.import_module(f"gymnasium.{submodule.removeprefix('.')}")
