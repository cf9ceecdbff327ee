"""VMAS's scenarios: which there are, and how an env of one is made."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch

from envcli.errors import ConfigError, UnknownName, described
from envcli.vmas.chance import Chance
from envcli.vmas.library import vmas_library

__all__ = ["is_native", "make", "names"]

_WORLD_SEED = 0  # what a world is made from, such as the colours of its agents, where no other seed is given


def names() -> list[str]:
    """Every scenario, sorted. Raises MissingDependency if VMAS is not installed."""
    vmas = vmas_library()
    return sorted([*vmas.scenarios, *vmas.mpe_scenarios, *vmas.debug_scenarios])


def make(scenario: Any, num_envs: int, device: torch.device, seed: int | None, options: Mapping[str, Any]) -> Any:
    """VMAS's env of ``scenario``: a name, or a ``BaseScenario``.

    Args:
        num_envs: how many envs it is.
        device: where it computes.
        seed: what the world is made from.
        options: for ``vmas.make_env``, and for the scenario.

    Raises:
        UnknownName: there is no such scenario; says the nearest.
        ConfigError: the scenario does not take an option.
        MissingDependency: VMAS is not installed.
    """
    vmas = vmas_library()
    if isinstance(scenario, str) and not scenario.endswith(".py") and scenario not in names():
        raise UnknownName("scenario of VMAS", scenario, names())
    try:
        with Chance(_WORLD_SEED if seed is None else seed, device).drawn(), warnings.catch_warnings():
            warnings.filterwarnings("error", ".* not used by the scenario", UserWarning)
            return vmas.make_env(scenario, num_envs, device, **options)
    except UserWarning as unused:
        said = str(unused).partition("{")[2].partition("}")[0]
        raise ConfigError(f"{scenario} does not take these options: {said}") from unused
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{scenario} cannot be made with {', '.join(options)}: {described(error)}") from error


def is_native(env: Any) -> bool:
    """Is ``env`` one of VMAS's own? Raises MissingDependency if VMAS is not installed."""
    return isinstance(env, vmas_library().simulator.environment.Environment)
