"""torch's compiler is imported by whoever compiles, and not by everybody who imports tensordict: 1.7 s of 4.

tensordict 0.14 marks some of its functions for the compiler while it is imported, and each mark imports all of
``torch._dynamo``. A mark gives back the function as it is, so it can be made later as well: once the compiler is there.

One part of the compiler must not come late. Mesa, which draws frames without a GPU, loads its LLVM for everybody to
see; a triton that is loaded after it (3.8, of torch 2.14) finds that one where it needs its own, and the process dies
of a segmentation fault. That would be the end of every program that makes a dm_control env and then trains, as an
optimizer imports the compiler with its first step. So triton's library is loaded with tensordict: 30 ms.
"""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["LateCompiler"]

_TENSORDICT, _COMPILER = "tensordict", "torch._dynamo"
_MARKS = ("allow_in_graph", "assume_constant_result")  # of torch.compiler

Run = Callable[[ModuleType], None]


class LateCompiler(MetaPathFinder):
    """Finds tensordict and the compiler where they are, and changes when the one is marked for the other.

    A program that imported either before has what it would have had without us.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[str, Any]] = []

    @classmethod
    def install(cls) -> None:
        """For all imports from now on."""
        if _TENSORDICT not in sys.modules and _COMPILER not in sys.modules:
            sys.meta_path.insert(0, cls())

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None, so that others look for it, but for two modules."""
        steps = {_TENSORDICT: self._without_compiler, _COMPILER: self._then_mark}
        spec = PathFinder.find_spec(fullname, path, target) if fullname in steps else None
        if spec is None or spec.loader is None:
            return None
        run, step = spec.loader.exec_module, steps[fullname]
        spec.loader.exec_module = lambda module: step(run, module)  # type: ignore[method-assign]
        return spec

    def _without_compiler(self, run: Run, module: ModuleType) -> None:
        import torch

        _load_triton()
        real = {name: getattr(torch.compiler, name) for name in _MARKS}
        try:
            for name, mark in real.items():
                setattr(torch.compiler, name, self._noting(name, mark))
            run(module)
        finally:
            for name, mark in real.items():
                setattr(torch.compiler, name, mark)

    def _noting(self, name: str, mark: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def note(function: Any) -> Any:
            if _COMPILER in sys.modules:
                return mark(function)
            self._waiting.append((name, function))
            return function

        return note

    def _then_mark(self, run: Run, module: ModuleType) -> None:
        import torch

        run(module)
        while self._waiting:
            name, function = self._waiting.pop()
            getattr(torch.compiler, name)(function)


def _load_triton() -> None:
    found = importlib.util.find_spec("triton")
    for folder in (found.submodule_search_locations if found is not None else None) or []:
        library = Path(folder) / "_C" / "libtriton.so"
        if library.exists():
            with suppress(OSError):  # whoever needs it is told why it cannot be loaded
                ctypes.CDLL(str(library))
