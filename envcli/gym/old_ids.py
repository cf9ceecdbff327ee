"""The ids of gym, the library before gymnasium, where something else has imported it."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any

import gymnasium
from gymnasium.wrappers import TimeLimit

from envcli.gym.old_gym import OldGym

__all__ = ["make", "registry"]


def registry() -> Mapping[str, Any]:  # Any: gym's EnvSpec
    """Every id and what gym knows of it; none where nothing has imported gym."""
    found: Any = getattr(sys.modules.get("gym.envs.registration"), "registry", {})
    return found if isinstance(found, Mapping) else found.env_specs  # so until gym 0.21


def make(spec: Any, options: dict[str, Any], *, drawn: bool = False) -> gymnasium.Env[Any, Any]:
    """The env of ``spec`` with its time limit, as a ``gymnasium.Env``, without the layers of ``gym.make``.

    If its constructor takes a ``seed``, and ``options`` have none, it is made anew for each seed that it is given in
    a reset and that ``reset`` does not take itself. So crafter's worlds are repeated. (What its creatures do also
    depends on where in memory they lie, as it draws them from sets.)

    Args:
        spec: of :func:`registry`.
        options: for the constructor; ``max_episode_steps`` is the time limit, as ``gymnasium.make`` has it.
        drawn: frames will be asked for.
    """
    entry = spec.entry_point
    if isinstance(entry, str):
        module, _, attribute = entry.partition(":")
        entry = attrgetter(attribute)(importlib.import_module(module))
    taken = inspect.signature(entry).parameters
    own = getattr(spec, "kwargs", None) or getattr(spec, "_kwargs", {})  # _kwargs: before gym 0.22
    implied = {"render_mode": "rgb_array"} if drawn and "render_mode" in taken else {}
    given = {**own, **implied, **options}
    limit = given.pop("max_episode_steps", spec.max_episode_steps)
    anew = partial(_made, spec, entry, given) if "seed" in taken and "seed" not in given else None
    env = OldGym(_made(spec, entry, given), anew)
    return env if limit is None else TimeLimit(env, limit)


def _made(spec: Any, entry: Callable[..., Any], given: dict[str, Any], seed: int | None = None) -> Any:
    """The env, which knows its ``spec``, as one that ``gym.make`` gives."""
    env = entry(**given) if seed is None else entry(**given, seed=seed)
    getattr(env, "unwrapped", env).spec = spec
    return env
