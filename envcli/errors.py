"""Every error that envcli raises on purpose.

Each is also a built-in kind, so that code written against another library (``except RuntimeError``) keeps working::

    EnvcliError
    ├── SpecError (ValueError)            a value, or a spec, does not fit
    │   ├── SpecIndexError (IndexError)   there is no such place in a spec
    │   ├── MemberError (AssertionError)  a value is not a member of the spec that asserts it
    │   ├── LockedError (RuntimeError)    a spec that is locked cannot be changed
    │   ├── ActionError                   an action was refused before it reached the simulator
    │   └── ContractError (AssertionError)    an env breaks what every env promises
    ├── ConfigError (ValueError)          what the user typed, in YAML, in Python or in the shell
    │   ├── UnknownName (LookupError)     no such env, key, group, choice or command; says the nearest
    │   ├── MissingDependency (ImportError)   an extra is not installed; says how to install it
    │   └── MissingRun                    also a StoreError: no run, or no rollout, where the user says it is
    ├── EnvError (RuntimeError)           a simulator failed or broke its contract
    │   └── ClosedError                   used after ``close()``
    │       └── UnstartedError (AttributeError)   an attribute of envs that are not built yet
    ├── TransformError (ValueError, RuntimeError)    a transform does not fit its place in the chain
    └── StoreError (OSError)              a run folder or a saved rollout cannot be read or written

A message says where, what was found, what was expected and, where we know it, what to type instead.
"""

from __future__ import annotations

import difflib
import functools
import os
from collections.abc import Iterable
from contextlib import suppress
from types import FrameType

__all__ = [
    "ActionError",
    "ClosedError",
    "ConfigError",
    "ContractError",
    "EnvError",
    "EnvcliError",
    "LockedError",
    "MemberError",
    "MissingDependency",
    "MissingRun",
    "SpecError",
    "SpecIndexError",
    "StoreError",
    "TransformError",
    "UnknownName",
    "UnstartedError",
    "described",
    "message_of",
    "nearest",
    "noted",
    "raised_in",
    "told",
]


class EnvcliError(Exception):
    """The root of the tree."""


class SpecError(EnvcliError, ValueError):
    """A value is not a member of its spec, or two specs that must agree do not."""


class SpecIndexError(SpecError, IndexError):
    """A spec is indexed where it has nothing; a loop over it ends there."""


class MemberError(SpecError, AssertionError):
    """``assert_is_in`` was given a value that is not a member of the spec."""


class LockedError(SpecError, RuntimeError):
    """A Composite is locked: its entries cannot be changed."""


class ActionError(SpecError):
    """An action has the wrong shape or dtype, or lies outside the action space."""


class ContractError(SpecError, AssertionError):
    """An env breaks what every env promises. The message names each promise and what was seen instead."""


class ConfigError(EnvcliError, ValueError):
    """Something the user wrote cannot be carried out as written (exit code 2)."""


class UnknownName(ConfigError, LookupError):
    """A name that is not there. ``str()`` ends with the nearest names that are."""

    def __init__(self, what: str, name: str, known: Iterable[str], cure: str = "") -> None:
        self.name = name
        self.known = sorted(known)
        self._made_of = (what, name, self.known, cure)
        super().__init__(f"no {what} {name!r}. {nearest(name, self.known)}{' ' + cure if cure else ''}".rstrip())

    def adding(self, cure: str) -> UnknownName:
        """The same, and after the nearest names ``cure``."""
        what, name, known, before = self._made_of
        return UnknownName(what, name, known, f"{cure} {before}".strip())

    def __reduce__(self) -> tuple[type[UnknownName], tuple[object, ...]]:
        # launchers and workers pickle errors; by default only the message would go along
        return type(self), self._made_of


class MissingDependency(ConfigError, ImportError):
    """A library that an optional part needs is not installed. ``str()`` ends with ``command``, which installs it."""

    def __init__(self, library: str, purpose: str, extra: str | None = None, then: str = "") -> None:
        self._made_of = (library, purpose, extra, then)
        package = f"'envcli[{extra}]'" if extra else library
        self.command = " && ".join(filter(None, (f"pip install {package}", then)))
        super().__init__(f"{purpose} needs {library}, which is not installed. Type: {self.command}")

    def __reduce__(self) -> tuple[type[MissingDependency], tuple[object, ...]]:
        return type(self), self._made_of

    @classmethod
    def of(cls, missing: ModuleNotFoundError, purpose: str, extra: str) -> MissingDependency:
        """The library that ``missing`` says is not there; any of those that ``extra`` installs."""
        return cls((missing.name or extra).partition(".")[0], purpose, extra)

    def stand_in(self, name: str) -> type:
        """A class ``name`` of which nothing is an instance: making one raises this. So an import need not fail."""
        library, _, extra, then = self._made_of

        def refuse(kind: type, *args: object, **kwargs: object) -> None:
            raise MissingDependency(library, name, extra, then) from self

        return type(name, (), {"__new__": refuse, "__doc__": str(self), "__module__": "envcli"})


class EnvError(EnvcliError, RuntimeError):
    """A simulator raised, returned something its specs forbid, or was used in the wrong order."""


class ClosedError(EnvError):
    """The env was used after ``close()``."""


class UnstartedError(ClosedError, AttributeError):
    """An attribute of the envs of a batch was asked for before its start. ``hasattr`` says no."""


class TransformError(EnvcliError, ValueError, RuntimeError):
    """A transform cannot stand where it was put."""


class StoreError(EnvcliError, OSError):
    """A file or folder cannot be read or written. The message names the path."""


class MissingRun(ConfigError, StoreError):
    """There is no run, or no rollout, where the user says it is."""


def told(error: BaseException) -> str:
    """What to tell of ``error`` in a line: of ours and a Ctrl-C what it says, else its description; and its notes."""
    ours = isinstance(error, (EnvcliError, KeyboardInterrupt))
    return noted(error, _text_of(error) if ours else described(error))


def noted(error: BaseException, said: str) -> str:
    """``said``, and those of the exception's notes that are one line long."""
    notes = "; ".join(note for note in getattr(error, "__notes__", ()) if "\n" not in note)
    return f"{said} ({notes})".lstrip() if notes else said


def described(error: BaseException) -> str:
    """The kind of ``error``, its :func:`message_of` without a full stop, and the line of a user's file that raised it.

    >>> described(ValueError("no\\nlicence."))
    'ValueError: no licence'
    """
    said = f"{type(error).__name__}: {message_of(error)}".rstrip(".: ")
    place = raised_in(error, by_user=bool(_text_of(error)))
    return f"{said} in {place}" if place else said


def message_of(error: BaseException) -> str:
    """What ``error`` says, in one line. Of one that says nothing, as a bare ``assert``: the line that raised it."""
    if (said := _text_of(error)) or error.__traceback__ is None:
        return said
    import linecache

    frame, line = _frames(error)[-1]
    return linecache.getline(frame.f_code.co_filename, line, frame.f_globals).strip()


def raised_in(error: BaseException, by_user: bool = False) -> str:
    """``"my_envs.py, line 22"``: the last line of a user's file on the way to ``error``.

    If there is none, it is the last line of all, and ``by_user`` the empty text.
    """
    frames = _frames(error)
    own = [place for place in frames if _is_users(place[0])]
    for frame, line in (own or ([] if by_user else frames))[-1:]:
        file = frame.f_code.co_filename
        with suppress(OSError):  # the current folder was removed
            file = file.removeprefix(os.path.join(os.getcwd(), ""))
        return f"{file}, line {line}"
    return ""


def _frames(error: BaseException) -> list[tuple[FrameType, int]]:
    """Each frame that ``error`` came through, and the line there; the one that raised it is the last."""
    import traceback

    return list(traceback.walk_tb(error.__traceback__))


def _text_of(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())
    except Exception as other:  # a user's __str__
        return f"(its message raises {type(other).__name__})"


def _is_users(frame: FrameType) -> bool:
    """Is its code neither ours, nor an installed library's, nor Python's own?"""
    file = frame.f_code.co_filename
    return not file.startswith(("<", *_installed()))


@functools.cache
def _installed() -> tuple[str, ...]:
    """Where the code of others is, and ours."""
    import sysconfig  # 3 ms, and few commands fail

    others = map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))
    return tuple(os.path.join(folder, "") for folder in (os.path.dirname(__file__), *others))


def nearest(name: object, known: Iterable[str], count: int = 3) -> str:
    """One sentence that names what ``name`` may have meant, or all of a short list, or nothing.

    >>> nearest("cartpol", ["cartpole", "pendulum"])
    "Did you mean 'cartpole'?"
    >>> nearest("xyz", ["a", "b"])
    'There are: a, b.'
    """
    known, typed = sorted(known), str(name).lower()
    folded = {k.lower(): k for k in known}
    close = [folded[k] for k in difflib.get_close_matches(typed, list(folded), n=count, cutoff=0.6)]
    if not close:
        close = [k for k in known if typed in k.lower()][:count] if len(typed) > 2 else []
    if close:
        return "Did you mean " + " or ".join(repr(k) for k in close) + "?"
    if len(known) <= 20:
        return f"There are: {', '.join(known)}." if known else "There are none."
    return f"There are {len(known)}."
