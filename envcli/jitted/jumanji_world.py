"""The functions of a Jumanji env, compiled for a batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces

from envcli.errors import ConfigError, MissingDependency, UnknownName, described
from envcli.gym.spaces import unbounded

try:
    import jax
    import jumanji
    from jumanji import specs, wrappers

    from envcli.jitted import jax_world
    from envcli.jitted.jax_world import JaxWorld, Numbers
except ModuleNotFoundError as missing:
    raise MissingDependency.of(missing, "backend=jumanji", "jumanji") from missing

__all__ = ["JumanjiMoment", "JumanjiWorld", "action_space", "misfit", "names", "native", "observation_space"]

Space = spaces.Space[Any]


class JumanjiMoment(NamedTuple):
    """The state of all envs at one time, and what they say: leaves ``[envs, ...]``."""

    state: Any  # Any: each env's own class
    observation: dict[str, Any]  # nested, as observation_space
    reward: Numbers  # [envs], or [envs, agents]
    terminated: Numbers  # [envs]
    truncated: Numbers  # [envs]


class JumanjiWorld(JaxWorld[JumanjiMoment]):
    """Resets and steps ``env`` for many envs at once.

    Args:
        env: of Jumanji, without a wrapper.
        device: where everything is computed.
    """

    def __init__(self, env: Any, device: torch.device | None) -> None:
        def step(moment: JumanjiMoment, action: Any) -> JumanjiMoment:
            return _moment(env, jax.vmap(env.step)(moment.state, action))

        super().__init__(lambda keys: _moment(env, jax.vmap(env.reset)(keys)), step, device)


def _moment(env: Any, made: tuple[Any, Any]) -> JumanjiMoment:
    state, said = made
    last = said.step_type == jumanji.types.StepType.LAST
    over = (said.discount == 0).reshape(len(last), -1).all(-1)  # of several agents, each has a discount
    return JumanjiMoment(state, _shown(env.observation_spec, said.observation), said.reward, last & over, last & ~over)


def _shown(spec: Any, value: Any) -> Any:
    """``value``, of all envs, as a dict of its parts; a single number is ``[envs, 1]``, as its space has it."""
    if isinstance(spec, specs.Array):
        return value.reshape(len(value), *(spec.shape or (1,)))
    return {name: _shown(part, getattr(value, name)) for name, part in _parts(spec)}


def _parts(spec: Any) -> list[tuple[str, Any]]:
    return [(name, part) for name, part in vars(spec).items() if isinstance(part, specs.Spec)]


def observation_space(spec: Any) -> Space:
    """What one env shows: numbers, and masks as bits. A number that counts choices is a number here, too."""
    if not isinstance(spec, specs.Array):
        return spaces.Dict({name: observation_space(part) for name, part in _parts(spec)})
    shape = spec.shape or (1,)
    if spec.dtype == bool:
        return spaces.MultiBinary(list(shape))
    if not isinstance(spec, specs.BoundedArray):
        return unbounded(shape, np.dtype(spec.dtype))
    low, high = (np.broadcast_to(bound, shape).astype(spec.dtype) for bound in (spec.minimum, spec.maximum))
    return spaces.Box(low, high, shape, spec.dtype)


def action_space(spec: Any) -> Space:
    """What one env takes."""
    if isinstance(spec, specs.DiscreteArray):
        return spaces.Discrete(int(spec.num_values))
    if isinstance(spec, specs.MultiDiscreteArray):
        return spaces.MultiDiscrete(np.asarray(spec.num_values))
    return observation_space(spec)


def names() -> list[str]:
    """The envs that Jumanji has registered, sorted."""
    return sorted(jumanji.registered_environments())


def misfit(env: object) -> str:
    """Why ``env`` cannot be stepped here: see :func:`envcli.jitted.jax_world.misfit`."""
    unfit = (wrappers.AutoResetWrapper, wrappers.VmapWrapper)
    return jax_world.misfit(env, "Jumanji", jumanji.Environment, unfit, "_env")


def native(name: str, options: Mapping[str, Any]) -> Any:
    """Jumanji's env of that name. Raises UnknownName, or ConfigError where it cannot be made with ``options``."""
    if name not in names():
        raise UnknownName("Jumanji env", name, names())
    try:
        return jumanji.make(name, **options)
    except Exception as error:  # whatever a constructor raises; some download data
        given = f" with {', '.join(options)}" if options else ""
        raise ConfigError(f"{name} cannot be made{given}: {described(error)}") from error
