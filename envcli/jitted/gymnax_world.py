"""The functions of a gymnax env, compiled for a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import torch

from envcli.errors import ConfigError, MissingDependency, UnknownName, described, nearest

try:
    import gymnax
    import jax

    from envcli.jitted.jax_world import JaxWorld, Numbers
except ModuleNotFoundError as missing:
    raise MissingDependency.of(missing, "backend=gymnax", "gymnax") from missing

__all__ = ["GymnaxMoment", "GymnaxWorld", "names", "native"]


class GymnaxMoment(NamedTuple):
    """The state of all envs at one time, and what they say: leaves ``[envs, ...]``."""

    keys: Numbers  # from which the next step draws
    state: Any  # Any: each env's own class
    observation: Any  # as its space
    reward: Numbers
    terminated: Numbers
    truncated: Numbers


class GymnaxWorld(JaxWorld[GymnaxMoment]):
    """Resets and steps ``env`` for many envs at once, each with random numbers of its own.

    Args:
        env: of gymnax, without a wrapper.
        params: what it is made with.
        device: where everything is computed.
    """

    def __init__(self, env: Any, params: Any, device: torch.device | None) -> None:
        def begin(key: Numbers) -> GymnaxMoment:
            shown, state = env.reset_env(key, params)  # with the key itself, as gymnax.reset has it
            nothing = jax.numpy.zeros(())
            over = jax.numpy.zeros((), bool)
            return GymnaxMoment(jax.random.split(key)[0], state, shown, nothing, over, over)

        def step(moment: GymnaxMoment, action: Numbers) -> GymnaxMoment:
            following, key = jax.random.split(moment.keys)
            shown, state, reward, terminated, _ = env.step_env(key, moment.state, action, params)
            late = env.is_truncated(state, params)
            return GymnaxMoment(following, state, shown, reward, terminated, late & ~terminated)

        super().__init__(jax.vmap(begin), jax.vmap(step), device)


def names() -> list[str]:
    """The envs that gymnax has registered, sorted."""
    return sorted(gymnax.registered_envs)


def native(name: str, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """gymnax's env of that name, and its parameters, with ``options`` among them.

    Raises UnknownName, or ConfigError where it has no such parameter or cannot be made.
    """
    if name not in names():
        raise UnknownName("gymnax env", name, names())
    try:
        env, params = gymnax.make(name)
    except Exception as error:  # whatever a constructor raises; one downloads data
        raise ConfigError(f"{name} cannot be made: {described(error)}") from error
    known = [field.name for field in fields(params)]
    if wrong := [option for option in options if option not in known]:
        raise ConfigError(f"options: {name} has no parameter {wrong[0]!r}. {nearest(wrong[0], known)}".rstrip())
    return env, params.replace(**options)
