"""The functions of an env of MuJoCo Playground, compiled for a batch."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any, NamedTuple

import numpy as np
import torch

from envcli.errors import ConfigError, MissingDependency, UnknownName, described, nearest
from envcli.mujoco_hints import without_hints
from envcli.vocabulary.dotted import dotted

try:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # of Brax, whose wrappers it brings
        warnings.simplefilter("ignore")
        import jax
        import mujoco_playground
        import warp
        from mujoco_playground import registry
        from mujoco_playground import wrapper as playground_wrapper

        from envcli.jitted import jax_world
        from envcli.jitted.jax_world import JaxWorld, Numbers, by_name
except ModuleNotFoundError as missing:
    raise MissingDependency.of(missing, "backend=mujoco_playground", "mujoco-playground") from missing

__all__ = ["PlaygroundMoment", "PlaygroundWorld", "misfit", "names", "native", "suite_of", "usual_steps"]

warp.config.log_level = warp.LOG_WARNING  # it says on stdout, where answers are, which kernels it loads

_SUITES = ("dm_control_suite", "locomotion", "manipulation")


class PlaygroundMoment(NamedTuple):
    """The state of all envs at one time, and what they say: leaves ``[envs, ...]``."""

    state: Any  # Any: a mujoco_playground.State; what MuJoCo Warp keeps for all envs together has no such dimension
    observation: dict[str, Numbers]  # name -> [envs, *value]
    reward: Numbers  # [envs]
    terminated: Numbers  # [envs] bool

    @property
    def truncated(self) -> bool:
        """Never: MuJoCo Playground leaves that to Brax's wrappers."""
        return False


class PlaygroundWorld(JaxWorld[PlaygroundMoment]):
    """Resets and steps ``env`` for many envs at once.

    Args:
        env: of MuJoCo Playground, without a wrapper that adds a batch.
        device: where everything is computed.

    Attributes:
        shown: what one env shows, by name: shapes and dtypes.
    """

    def __init__(self, env: Any, device: torch.device | None) -> None:
        def moment(state: Any) -> PlaygroundMoment:
            return PlaygroundMoment(state, by_name(state.obs), state.reward, state.done.astype(bool))

        super().__init__(
            lambda keys: moment(jax.vmap(env.reset)(keys)),
            lambda before, action: moment(jax.vmap(env.step)(before.state, action)),
            device,
        )
        self.shown = by_name(jax.eval_shape(env.reset, jax.ShapeDtypeStruct((2,), np.uint32)).obs)


def names() -> list[str]:
    """The envs of MuJoCo Playground, those that a program has registered among them, sorted."""
    return sorted(name for suite in _SUITES for name in _of(suite))


def suite_of(name: str) -> str:
    """``"dm_control_suite"``, ``"locomotion"`` or ``"manipulation"``."""
    return next(suite for suite in _SUITES if name in _of(suite))


def misfit(env: object) -> str:
    """Why ``env`` cannot be stepped here: see :func:`envcli.jitted.jax_world.misfit`."""
    unfit = (playground_wrapper.BraxAutoResetWrapper, playground_wrapper.BraxDomainRandomizationVmapWrapper)
    return jax_world.misfit(env, "MuJoCo Playground", mujoco_playground.MjxEnv, unfit, "env")


def usual_steps(env: Any) -> int:
    """The ``episode_length`` of the configuration that ``env`` was made with; 0: it says none."""
    return int(getattr(env.unwrapped, "_config", {}).get("episode_length") or 0)


def native(name: str, options: Mapping[str, Any], device: torch.device | str | None) -> Any:
    """MuJoCo Playground's env of that name.

    Its physics are MJX's in JAX on a CPU: its own default, MuJoCo Warp, is made for NVIDIA's GPUs; on a CPU it takes
    ten times as long, and prints a line whenever a solver ends early.

    Args:
        name: of the env.
        options: settings of its configuration, by name: ``{"ctrl_dt": 0.02}``. Those of a part of it have a dot in
            their names or are nested. ``"config"`` is a whole configuration, and ``"config_overrides"`` holds more of
            them.
        device: where it is to be computed.

    Raises:
        UnknownName: there is no such env; says the nearest.
        ConfigError: it has no such setting, or cannot be made; or it needs robots of MuJoCo Menagerie, which cannot be
            downloaded.
    """
    if name not in names():
        raise UnknownName("MuJoCo Playground env", name, names())
    settings = dict(options)
    config, more = settings.pop("config", None), settings.pop("config_overrides", None) or {}
    settings = dict(dotted({**settings, **more}))
    if config is None:
        config = registry.get_default_config(name)
        if not str(device).startswith("cuda") and "impl" in config and not settings.get("vision"):
            settings.setdefault("impl", "jax")  # which draws nothing
    known = [setting for setting, _ in dotted(config.to_dict())]
    if wrong := [setting for setting in settings if setting not in known]:
        raise ConfigError(f"options: {name} has no setting {wrong[0]!r}. {nearest(wrong[0], known)}".rstrip())
    try:
        with without_hints(), redirect_stdout(sys.stderr):  # there it says that it downloads
            return registry.load(name, config=config, config_overrides=settings)
    except (subprocess.CalledProcessError, OSError) as error:
        raise ConfigError(f"{name} needs MuJoCo Menagerie, whose download failed. {_by_hand()}") from error
    except Exception as error:  # whatever a constructor raises; some need a GPU
        given = f" with {', '.join(options)}" if options else ""
        raise ConfigError(f"{name} cannot be made{given}: {described(error)}") from error


def _of(suite: str) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(mujoco_playground, suite).ALL_ENVS
    return found


def _by_hand() -> str:
    place, version = registry.mjx_env.MENAGERIE_PATH, registry.mjx_env.MENAGERIE_COMMIT_SHA
    source = "https://github.com/google-deepmind/mujoco_menagerie"
    return f"Where there is a network, type: git clone {source} {place} && git -C {place} checkout {version}"
