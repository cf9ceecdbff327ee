"""One file, one subcommand: ``commands/spec.py`` is ``envcli spec``, and its docstring is the command's help.

A command that does several things is a folder instead, such as ``commands/bench/``, with the same in its
``__init__.py``.

A command is a module that imports nothing heavy at its top (help and completion import it) and holds either

* ``Config``, a dataclass made of those in `envcli.vocabulary.schema`, with its defaults in ``conf/<command>.yaml``, and
  ``run(cfg)`` or ``run(cfg, folder)``. What ``run`` returns, if anything, is the number that a sweeper optimises; a
  failure is an exception. ``KEEPS = True`` says that the command keeps results, and gives its ``run`` a ``folder``, a
  `RunFolder`; other commands write nothing. ``POSITIONAL`` may name a key whose value can be typed without the key. Or
* ``main(words) -> exit code``, for a command that takes plain words and no configuration. Completion offers ``WORDS``,
  or ``words(current)`` if they depend on the unfinished word.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

__all__ = ["find", "keeps", "names", "summary"]

_ROOT = Path(__file__).parent


def names() -> list[str]:
    """Every subcommand, sorted."""
    files, folders = _ROOT.glob("[!_]*.py"), _ROOT.glob("[!_]*/__init__.py")
    return sorted([*(path.stem for path in files), *(path.parent.name for path in folders)])


def summary(name: str) -> str:
    """The first line of a subcommand's docstring; the module is not imported."""
    file, folder = _ROOT / f"{name}.py", _ROOT / name
    tree = ast.parse((file if file.exists() else folder / "__init__.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").split("\n")[0]


def find(name: str) -> ModuleType:
    """The module of a subcommand."""
    return importlib.import_module(f"envcli.commands.{name}")


def keeps(name: str) -> bool:
    """Whether a subcommand keeps results, in a run folder."""
    return bool(getattr(find(name), "KEEPS", False))
