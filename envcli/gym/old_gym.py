"""An env written for gym, the library before gymnasium, as a ``gymnasium.Env``. gym itself is never imported."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
from gymnasium.wrappers import TimeLimit

from envcli.gym.old_spaces import as_gymnasium, kind_of

__all__ = ["OldGym", "from_old", "is_old"]

_LAYERS = ("OrderEnforcing", "PassiveEnvChecker", "StepAPICompatibility", "TimeLimit")


class OldGym(gymnasium.Env[Any, Any]):
    """``env`` as a ``gymnasium.Env``. Its attributes are this one's too, and ``unwrapped`` is the simulator.

    A step of 4 values, ``(observation, reward, done, info)``, ends an episode by a time limit where ``info`` says
    ``"TimeLimit.truncated"``, and else as its simulator does. Steps of 5 values are passed on. A reset may give an
    observation, or ``(observation, info)``.

    A seed goes to ``reset(seed=)`` where that takes one, or else to ``anew``, or else to ``env.seed``. An env that
    takes it only when it is made cannot be seeded afterwards: a warning says so.

    Frames are those of ``render(mode="rgb_array")``, or of a ``render()`` without modes, which is also that of an env
    that has a ``render_mode``.

    Args:
        env: an env of gym's, or of any class that has its methods and spaces; it is closed with this one.
        anew: makes such an env from a seed; it takes the place of ``env``, which is closed.

    Raises:
        ConfigError: a space without a fixed shape.
    """

    def __init__(self, env: Any, anew: Callable[[int], Any] | None = None) -> None:  # Any: see is_old
        self._native, self._anew = env, anew
        self._closed = False
        self.observation_space = as_gymnasium(env.observation_space)
        self.action_space = as_gymnasium(env.action_space)
        told: Mapping[str, Any] = getattr(env, "metadata", None) or {}
        rate = told.get("render_fps", told.get("video.frames_per_second"))
        self.metadata = {"render_modes": ["rgb_array"], **({"render_fps": rate} if rate else {})}
        self.render_mode = "rgb_array"
        self._seeded_by_reset = _takes(env, "reset", "seed")
        asked = getattr(env, "render_mode", None) is None and _takes(env, "render", "mode", unknown=True)
        self._modes = {"mode": "rgb_array"} if asked else {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; ``options`` go to ``env``, if there are any."""
        given: dict[str, Any] = {} if options is None else {"options": options}
        if seed is not None:
            if self._seeded_by_reset:
                given["seed"] = seed
            else:
                self._seed(seed)
        found = self._native.reset(**given)
        if isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], dict):
            return found
        return found, {}

    def _seed(self, seed: int) -> None:
        if self._anew is not None:
            self.close()
            self._native, self._closed = self._anew(seed), False
        elif callable(seed_it := getattr(self._native, "seed", None)):
            seed_it(seed)
        else:
            kind = type(self.unwrapped)
            said = "takes no seed in reset(seed=...) or seed(...), so what it draws does not repeat with this one"
            warnings.warn(f"{kind.__module__}.{kind.__name__} {said}. Its constructor may take one", stacklevel=3)

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Make a step."""
        found = self._native.step(action)
        if len(found) != 4:  # 5, or what nobody expects
            return found  # type: ignore[no-any-return]
        observation, reward, done, info = found
        truncated = bool(done and info.get("TimeLimit.truncated"))
        return observation, reward, bool(done) and not truncated, truncated, info

    def render(self) -> Any:  # Any: as gymnasium has it
        """The present frame."""
        return self._native.render(**self._modes)

    def close(self) -> None:
        """Close ``env``; safe twice, where ``env.close()`` may be missing or not."""
        if not self._closed and callable(close := getattr(self._native, "close", None)):
            close()
        self._closed = True

    # -- whose attributes are the simulator's -----------------------------------------------------------------------

    @property
    def unwrapped(self) -> Any:  # Any: not a gymnasium.Env, but what programs look for is there
        """The simulator, past gym's wrappers."""
        return getattr(self._native, "unwrapped", self._native)

    def set_wrapper_attr(self, name: str, value: Any, *, force: bool = True) -> bool:
        """Set an attribute of the simulator, as gymnasium's method of this name does."""
        if found := force or hasattr(self, name):
            setattr(self.unwrapped, name, value)
        return found

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self._native, name)


def is_old(env: object) -> bool:
    """Is ``env`` one for :func:`from_old`: has it two spaces, ``reset`` and ``step``, and is one env?

    Classes do not tell: crafter's env is a ``gym.Env`` only where gym is installed. A batch has ``num_envs``, and an
    env of TorchRL's, ours or dm_env's an ``action_spec``.
    """
    if any(hasattr(env, name) for name in ("num_envs", "action_spec")):
        return False
    called = all(callable(getattr(env, name, None)) for name in ("reset", "step"))
    return called and all(kind_of(getattr(env, f"{of}_space", None)) for of in ("observation", "action"))


def from_old(env: Any) -> gymnasium.Env[Any, Any]:
    """``env`` as a ``gymnasium.Env``, its time limit, too.

    The layers that ``gym.make`` puts around every env are taken off: its time limit breaks on steps of 4 values since
    gym 0.26, and its checker on numpy 2, which lacks the ``np.bool8`` that it asks for.
    """
    limits = []
    while type(env).__name__ in _LAYERS and type(env).__module__.startswith("gym.wrappers."):
        limits.append(getattr(env, "_max_episode_steps", None))
        env = env.env
    found = [limit for limit in limits if limit is not None]
    new = OldGym(env)
    return TimeLimit(new, min(found)) if found else new


def _takes(env: Any, method: str, name: str, *, unknown: bool = False) -> bool:
    """Does ``env.method`` take an argument called ``name``, by itself or in an env that it hands others on to?

    ``unknown``: the answer where it hands them on to what cannot be seen, as each ``render`` does in gym 0.25.
    """
    if not hasattr(env, method):
        return False
    found = inspect.signature(getattr(env, method)).parameters
    if name in found:
        return True
    if not any(p.kind is p.VAR_KEYWORD for p in found.values()):
        return False
    return _takes(env.env, method, name, unknown=unknown) if "env" in vars(env) else unknown
