"""The env that an adapter is given: by the words that describe it, or itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from envcli.envs.env import Env
from envcli.errors import ConfigError
from envcli.make import make_env

__all__ = ["adopted", "owned"]

A = TypeVar("A")


def adopted(adapter: str, given: tuple[object, ...]) -> Env:
    """The only :class:`~envcli.Env` in ``given``, or what :func:`~envcli.make_env` makes of its words.

    Raises:
        ConfigError: something else was given to ``adapter``; or whatever ``make_env`` refuses.
    """
    if len(given) == 1 and isinstance(given[0], Env):
        return given[0]
    for one in given:
        if isinstance(one, Env):
            raise ConfigError(f"{adapter}: found both an env and words. Give an env, or the words that describe one")
        if not isinstance(one, str):
            kind = f"{type(one).__module__}.{type(one).__name__}"
            raise ConfigError(
                f"{adapter}: found a {kind}, expected an envcli Env or words such as 'env=cartpole'. "
                "envcli.from_gymnasium, from_dm_env and from_torchrl convert theirs"
            )
    return make_env(*(one for one in given if isinstance(one, str)))


def owned(adapter: Callable[..., A], env: Env, *arguments: Any) -> A:
    """What ``adapter`` makes of ``env``, which belongs to it from here on: if it is not made, ``env`` is closed."""
    try:
        return adapter(env, *arguments)
    except BaseException:
        env.close()
        raise
