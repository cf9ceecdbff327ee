"""Gymnasium's ids: which there are, and how one is made.

Those of Atari and of MO-Gymnasium are registered when they are asked for.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import gymnasium
from gymnasium import error as gym_error
from gymnasium.envs.registration import EnvSpec

from envcli import gl
from envcli.errors import ConfigError, EnvcliError, EnvError, MissingDependency, UnknownName, described
from envcli.gym import old_ids
from envcli.gym.seeded_mines import SeededMines
from envcli.mujoco_hints import without_hints
from envcli.vocabulary.imported import missing_module

__all__ = [
    "drawing_explained",
    "frames_of",
    "make",
    "make_vector",
    "names",
    "needed_for",
    "require_several_objectives",
    "several_objectives",
]

Options = dict[str, Any]  # Any: arguments of a foreign constructor

_BRINGS = {
    "mujoco": "envcli[mujoco]",
    "classic_control": "envcli[classic]",
    "toy_text": "envcli[classic]",
    "phys2d": "gymnasium[jax]",
    "tabular": "gymnasium[jax]",
    "highway": "mo-gymnasium[highway]",
    "mario": "mo-gymnasium[mario]",
}
"""A part of the entry points of gymnasium's own envs and MO-Gymnasium's -> what brings the libraries they need."""

_RUNS_ON = {
    "box2d": ("Box2D", "gymnasium[box2d]"),
    "mujoco": ("mujoco", "envcli[mujoco]"),
    "phys2d": ("jax", "gymnasium[jax]"),
    "tabular": ("jax", "gymnasium[jax]"),
    "highway": ("highway_env", "mo-gymnasium[highway]"),
    "lunar_lander": ("Box2D", "gymnasium[box2d]"),
    "mario": ("gym_super_mario_bros", "mo-gymnasium[mario]"),
}
"""A part of the same entry points -> a library without which they cannot step, what brings it."""

_SEVERAL = "mo_gymnasium"  # whose envs pay for several objectives


def names() -> list[str]:
    """Every id, sorted; Atari's too where ale-py is installed.

    Left out are :func:`several_objectives`, and those that only say to which package their env has moved (Ant-v2).
    """
    _register_atari()
    moved = {name for name, spec in gymnasium.registry.items() if _raises(spec.entry_point)}
    return sorted(gymnasium.registry.keys() - moved - {k for k in gymnasium.registry if _pays_several(k)})


def several_objectives() -> list[str]:
    """The ids of MO-Gymnasium, sorted. Raises MissingDependency if it is not installed."""
    require_several_objectives()
    return sorted(name for name in gymnasium.registry if _pays_several(name))


def require_several_objectives() -> None:
    """Have MO-Gymnasium register its ids. Raises MissingDependency if it is not installed."""
    if not _register_several():
        raise MissingDependency("mo-gymnasium", "backend=mo_gymnasium", "mo-gymnasium")


def _pays_several(name: str) -> bool:
    return _entry_point(name).startswith(f"{_SEVERAL}.")


def _raises(entry_point: object) -> bool:
    return getattr(entry_point, "__name__", "").startswith("_raise_")


def needed_for(name: str) -> str:
    """What to type before the env of an id of gymnasium's own or MO-Gymnasium's can run here; empty: nothing.

    >>> needed_for("CartPole-v1")
    ''
    """
    for part, (library, packages) in _RUNS_ON.items():
        if f"gymnasium.envs.{part}." in _entry_point(name) and importlib.util.find_spec(library) is None:
            return f"pip install '{packages}'"
    return ""


def make(
    name: str, options: Options, *, from_pixels: bool = False, frame_skip: int | None = None
) -> gymnasium.Env[Any, Any]:
    """The env of an id.

    Args:
        name: the id. As ``module:id``, it may be one that the module registers with gym, the library before
            gymnasium: see :func:`~envcli.gym.old_ids.make`.
        options: for ``gymnasium.make``; they win over what the other arguments imply.
        from_pixels: frames will be asked for: it is made to draw into memory, with or without a display.
        frame_skip: how often its user will repeat each action. Atari's ids repeat by themselves, four times as a rule:
            if this is given, they do not, so that frames are not skipped twice.

    Raises:
        UnknownName: there is no such id; says the nearest.
        MissingDependency: an id of Atari, and ale-py is not installed.
        ConfigError: the env does not take an option, needs another library, or nothing here can draw it.
    """
    complete = _completed(name, options, from_pixels, frame_skip)
    with _explained(name, options or complete), _without_hints(name), _without_roundings(name):
        try:
            made = gymnasium.make(name, **complete)
        except gym_error.UnregisteredEnv:
            if (old := old_ids.registry().get(name.partition(":")[2])) is None:
                raise
            made = old_ids.make(old, options, drawn=from_pixels)
    return SeededMines(made) if _entry_point(name).startswith(f"{_SEVERAL}.envs.minecart.") else made


def make_vector(
    name: str, num_envs: int, mode: str | None, options: Options, *, from_pixels: bool = False
) -> gymnasium.vector.VectorEnv[Any, Any, Any]:
    """``num_envs`` envs of an id as one, by ``gymnasium.make_vec``.

    Args:
        name, options, from_pixels: as :func:`make` takes them.
        mode: ``"vector_entry_point"`` is the id's own engine, ``"sync"`` a loop; None: the engine, if there is one.

    Raises:
        UnknownName, MissingDependency, ConfigError: as :func:`make` does; or the id has no engine of its own.
    """
    complete = _completed(name, options, from_pixels, None)
    if _pays_several(name):
        raise ConfigError(
            f"{name} pays for several objectives, for which gymnasium's vector envs have no room. Type: "
            f"backend=mo_gymnasium backend.name={name} parallel=processes"
        )
    if mode is None:
        spec = gymnasium.registry.get(name)
        mode = "sync" if spec is None or spec.vector_entry_point is None else "vector_entry_point"
    loop = {"copy": False} if mode == "sync" else None  # rows are copies already
    with _explained(name, options or complete), _without_hints(name):
        return gymnasium.make_vec(name, num_envs, mode, loop, **complete)


def _completed(name: str, options: Options, from_pixels: bool, frame_skip: int | None) -> Options:
    """``options`` and what the others imply; what they need is made ready."""
    if name not in gymnasium.registry:
        _register_atari()
        if (game := f"ALE/{name}-v5") in gymnasium.registry:  # gymnasium would take the old Pong-v4 for it
            raise UnknownName("gymnasium env", name, [game], f"Type: backend.name={game}")
        _register_several()
        if ":" in name:  # gymnasium imports what stands before it
            gl.prepare_unknown()
    if from_pixels or options.get("render_mode"):
        _prepare_drawing(name)
    return {**_implied(name, from_pixels, frame_skip, options), **options}


@contextmanager
def _explained(name: str, options: Options) -> Iterator[None]:
    """Say in one line what gymnasium says in several kinds of exceptions."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name and not _cure(name):
            raise missing_module(error, name) from error
        raise ConfigError(f"{name} needs a library that is not installed: {_sentence(error)}{_cure(name)}") from error
    except ImportError as error:  # what the env says of a library that is there, or of its move to another one
        raise ConfigError(f"{name} cannot be made: {_sentence(error)}") from error
    except gym_error.Error as error:
        if name in gymnasium.registry:  # DependencyNotInstalled, DeprecatedEnv, ...: gymnasium says it in one line
            cure = _cure(name) if isinstance(error, gym_error.DependencyNotInstalled) else ""
            raise ConfigError(f"{name} cannot be made: {_sentence(error)}{cure}") from error
        raise _unknown(name) from None
    except EnvcliError:
        raise
    except Exception as error:  # whatever a constructor raises
        if options and isinstance(error, TypeError):
            reason = str(error).partition(" was raised from the environment creator")[0]
            raise ConfigError(f"{name} does not take these options: {', '.join(options)} ({reason})") from None
        kind = ConfigError if options else EnvError
        raise kind(f"{name} cannot be made: {described(error)}") from error


def _without_hints(name: str) -> AbstractContextManager[None]:
    """Leave out what gymnasium's own models are told, see :func:`~envcli.mujoco_hints.without_hints`."""
    moved_by = "mujoco" in _entry_point(name) and importlib.util.find_spec("mujoco") is not None
    return without_hints() if moved_by else nullcontext()


@contextmanager
def _without_roundings(name: str) -> Iterator[None]:
    """Leave out gymnasium's warning that the bounds of some envs of MO-Gymnasium's are rounded."""
    if not _pays_several(name):
        yield  # whoever changes filters has other warnings said anew
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r".*precision lowered by casting")
        yield


def frames_of(spec: EnvSpec | None) -> int | None:
    """How many frames a step of an env of ``spec`` takes by itself: 4 of Atari's, as a rule; None where it is drawn."""
    found = 1 if spec is None else spec.kwargs.get("frameskip", 1)
    return found if isinstance(found, int) else None


@contextmanager
def drawing_explained(name: str) -> Iterator[None]:
    """Say why the env ``name`` cannot draw: which extra brings the library that it turns out to miss, if that is it."""
    try:
        yield
    except (ImportError, gym_error.DependencyNotInstalled) as error:
        raise ConfigError(f"{name} cannot be rendered: {error}.{_cure(name)}") from error
    except NotImplementedError as error:
        raise ConfigError(f"{name} renders no frames, for from_pixels=true or for a film") from error
    except EnvcliError:
        raise
    except Exception as error:  # whatever its author wrote, or gymnasium's checks of what is drawn
        other = ". Choose another: backend.options.render_mode=MODE" if "render mode" in str(error) else ""
        raise ConfigError(f"{name} cannot be rendered: {described(error)}{other}") from error


def _implied(name: str, from_pixels: bool, frame_skip: int | None, options: Options) -> Options:
    implied: Options = {}
    atari = _entry_point(name).startswith("ale_py")
    if atari and frame_skip is not None:
        implied["frameskip"] = 1
    if _pays_several(name):
        implied["disable_env_checker"] = True  # gymnasium's, which expects one number
    if from_pixels and not (atari and options.get("obs_type", "rgb") == "rgb"):  # there the observation is the frame
        implied["render_mode"] = "rgb_array"
    return implied


def _prepare_drawing(name: str) -> None:
    gl.prepare_sdl()
    entry = _entry_point(name)
    if "mujoco" in entry:
        gl.prepare_mujoco(pixels=True)
    elif not entry.startswith(("gymnasium.", "ale_py")):  # it may import mujoco when it is made
        gl.prepare_unknown()


def _cure(name: str) -> str:
    """What to type for the library that an env of gymnasium's own needs, if its message does not say so itself."""
    for part, packages in _BRINGS.items():
        if part in _entry_point(name):
            return f" Type: pip install '{packages}'"
    return ""


def _sentence(error: Exception) -> str:
    return f"{' '.join(str(error).split()).rstrip('.')}."


def _entry_point(name: str) -> str:
    spec = gymnasium.registry.get(name)
    return spec.entry_point if spec is not None and isinstance(spec.entry_point, str) else ""


def _register_atari() -> None:
    if importlib.util.find_spec("ale_py") is None:
        return
    import ale_py

    if "ALE/Pong-v5" not in gymnasium.registry:
        gymnasium.register_envs(ale_py)
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # otherwise a banner for each game


def _register_several() -> bool:
    """Is MO-Gymnasium there? Then its ids are known from now on."""
    if importlib.util.find_spec(_SEVERAL) is None:
        return False
    importlib.import_module(_SEVERAL)
    return True


def _unknown(name: str) -> ConfigError:
    if name.startswith("ALE/") and importlib.util.find_spec("ale_py") is None:
        return MissingDependency("ale-py", name, "atari")
    module, colon, plain = name.partition(":")
    old = old_ids.registry()
    if colon and plain in old:
        said = f"{module} registers it with gym, the library before gymnasium, as a single env. Type: backend=gymnasium"
        return UnknownName("gymnasium env", name, [], said)
    every = {**gymnasium.registry, **old}
    own = [f"{module}:{known}" for known, spec in every.items() if colon and _is_of(spec, module)]
    known = sorted(own or gymnasium.registry)
    near = _same_family(name, known)
    cure = "" if own else "`envcli list` shows all"
    if not near and not colon:
        cure += (
            ". An id of your own is known where its module was imported, and workers are fresh processes: name the "
            f"module too, my_envs:{name}, from YAML with allow_imports=true"
        )
    if colon and not own:
        return UnknownName("gymnasium env", name, near, _nothing_registered(module, plain))
    return UnknownName("gymnasium env", name, near or known, cure)


def _nothing_registered(module: str, plain: str) -> str:
    """What to do about an id of ``module``, which has been imported and has registered none."""
    return (
        f"Importing {module} registers no ids. If a function there does, call it in a module of your own, and "
        f"type: backend.name=my_envs:{plain}. Or make the env in a function: backend=custom backend.name=my_envs:make"
    )


def _is_of(spec: EnvSpec, module: str) -> bool:
    """Is it an env of a class in ``module`` or below?"""
    home = spec.entry_point if isinstance(spec.entry_point, str) else getattr(spec.entry_point, "__module__", "")
    return f"{home}.".replace(":", ".").startswith(f"{module}.")


def _same_family(name: str, known: list[str]) -> list[str]:
    """The ids that differ from ``name`` in the version only, or in letters that ``difflib`` finds close."""
    stem = name.rpartition("-v")[0] or name
    versions = [k for k in known if k.rpartition("-v")[0].lower() == stem.lower()]
    return versions or difflib.get_close_matches(name, known, n=3, cutoff=0.6)
