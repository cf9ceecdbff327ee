"""A user's own envs, by ``module:Name``."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch

from envcli.backends.backend import Backend
from envcli.envs.env import Env
from envcli.envs.foreign import way_in
from envcli.errors import ConfigError, EnvError, described, nearest
from envcli.vocabulary import signature
from envcli.vocabulary.imported import missing_module

__all__ = ["CustomEnv"]

_FULL = "Set HYDRA_FULL_ERROR=1 to see where it happened"
_CURES = {
    "frame_skip": "transforms=[frame_skip] transforms.frame_skip.frame_skip=",
    "device": "transforms=[device_cast] transforms.device_cast.device=",
}


class CustomEnv(Backend):
    """Makes a user's own envs by name: ``CustomEnv.from_name("my_envs:MyEnv", size=5)``.

    The name is that of an :class:`~envcli.Env`, mostly an :class:`~envcli.EnvBase`, or of a function that returns one.
    Nothing is put around the env: it is what ``from_name`` gives.
    """

    library: ClassVar[str] = "envcli"

    @staticmethod  # an env may take any name for an argument, cls too
    def from_name(
        name: str,
        *,
        frame_skip: int | None = None,
        from_pixels: bool = False,
        pixels_only: bool = True,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> Any:  # Any: an Env that is no Backend
        """What ``name`` makes of ``options``.

        ``frame_skip`` and ``device`` reach it if they are not None, and it must then take them; ``from_pixels`` and
        ``pixels_only`` if it takes them, as an env may show ``"pixels"`` in any case.

        Raises:
            ConfigError: there is no such module or name, or a library that it needs; it does not take an argument, or
                lacks one; it gives no ``Env``, or shows no pixels where they are wanted; or it fails on its options.
            EnvError: it fails without any.
        """
        make = _found(name)
        given = {"frame_skip": frame_skip, "device": device}
        given = {key: value for key, value in given.items() if value is not None}
        if from_pixels:
            given |= {"from_pixels": True, "pixels_only": pixels_only}
        try:
            env = _made(make, name, _taken(make, name, given, options), options)
        except ConfigError:
            raise
        except ModuleNotFoundError as error:
            raise missing_module(error, name) from error
        except Exception as error:  # whatever its author wrote
            kind, of = (ConfigError, f" of {options}") if options else (EnvError, "")
            raise kind(f"{name} cannot be made{of}: {described(error)}. {_FULL}") from error
        if not isinstance(env, Env):
            raise ConfigError(f"name: {name} gave a {type(env).__name__}, expected an envcli.Env.{_cure(type(env))}")
        if from_pixels and "pixels" not in env.observation_keys:
            env.close()
            raise ConfigError(
                f"from_pixels: {name} shows no 'pixels', the source of the frames. Give its observation_spec a "
                f"'pixels' of uint8 [height, width, 3], or have it return from_gymnasium(..., from_pixels=True)"
            )
        return env

    @classmethod
    def available_names(cls) -> list[str]:
        """An empty list: the names are known only to the user."""
        return []


def _found(name: str) -> Callable[..., Any]:
    """The class or the function behind ``module:Name``."""
    place, _, wanted = name.partition(":")
    if not (place and wanted):
        raise ConfigError(f"name: found {name!r}, expected module:Name, such as my_envs:MyEnv")
    module = importlib.import_module(place)
    found = getattr(module, wanted, None)
    if found is None:
        own = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == place]
        raise ConfigError(f"name: {place} has no {wanted!r}. {nearest(wanted, own)}")
    if isinstance(found, Env) or not callable(found):
        kind = type(found).__name__
        raise ConfigError(f"name: {name} is of type {kind}, expected a class or a function that makes a new env")
    if isinstance(found, type) and not issubclass(found, Env):
        raise ConfigError(f"name: {name} is not an envcli.Env.{_cure(found)}")
    if missing := getattr(found, "__abstractmethods__", ()):
        raise ConfigError(f"name: {name} does not implement what an env must: {', '.join(sorted(missing))}")
    return cast("Callable[..., Any]", found)


def _taken(make: Callable[..., Any], name: str, given: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """``given`` without optional arguments that ``make`` lacks. Raises `ConfigError` for others, and missing ones."""
    taken = signature.arguments(make)
    for key, parameter in taken.items():
        if parameter.default is parameter.empty and key not in {**given, **options}:
            raise ConfigError(f"options.{key}: required by {name} but not given. Add backend.options.{key}=...")
    if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(make).parameters.values()):
        return given  # handed on to somebody who says whether it is taken, see _made
    if unknown := next((key for key in options if key not in taken), ""):
        raise ConfigError(f"options.{unknown}: {name} takes no such argument. {nearest(unknown, taken)}")
    if refused := next((key for key in given if key not in taken and key in _CURES), ""):
        raise _not_taken(name, refused, given)
    return {key: value for key, value in given.items() if key in taken}


def _made(make: Callable[..., Any], name: str, taken: dict[str, Any], options: dict[str, Any]) -> Any:
    """``make(**taken, **options)``, without what it refuses of ``taken``, perhaps in a function that it calls."""
    try:
        return make(**taken, **options)
    except TypeError as error:
        refused = next((key for key in taken if f"unexpected keyword argument {key!r}" in str(error)), "")
        if not refused:
            raise
        if refused in _CURES:
            raise _not_taken(name, refused, taken) from error
    return _made(make, name, {key: value for key, value in taken.items() if key != refused}, options)


def _not_taken(name: str, refused: str, given: dict[str, Any]) -> ConfigError:
    return ConfigError(f"{refused}: {name} takes no such argument. Type: {_CURES[refused]}{given[refused]}")


def _cure(cls: type[Any]) -> str:
    """What to do with the env of another library."""
    way = way_in(cls)
    return "" if way is None else f" Name a function that returns {way}({cls.__name__}(...))"
