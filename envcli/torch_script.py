"""Reads TorchScript, a program in a file, so that nothing runs that could do more than compute.

TorchScript cannot import Python, but it can open, map and write any file (``aten::save``, ``aten::from_file``), and a
``__setstate__`` in it runs while it is read.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from envcli.errors import ConfigError

__all__ = ["load", "load_named"]

log = logging.getLogger(__name__)

_COMPUTE = ("aten::", "prim::", "quantized::")
_REACH_OUT = (
    "aten::from_file",
    "aten::save",
    "prim::CallFunction",  # what is left of calls when all that can be known are replaced by what they call
    "prim::CallMethod",
    "prim::IgnoredPythonOp",
    "prim::Print",
    "prim::PythonOp",
    "prim::rpc_",
)
_CURE = "If you trust it, add allow_imports=true"


def load(path: Path, allow_imports: bool = False) -> Any:  # Any: a ScriptModule, which torch does not annotate
    """The network in the file, on the host, for acting.

    Args:
        path: of ``torch.jit.save``.
        allow_imports: trust it, whatever it does.

    Raises:
        ConfigError: it runs something while it is read, or reaches for more than numbers.
        RuntimeError: it is no such file.
    """
    if not allow_imports:
        reader = torch._C.PyTorchFileReader(str(path))  # as torch reads it: zip files can be read in two ways
        codes = [name for name in reader.get_all_records() if name.startswith("code/") and name.endswith(".py")]
        if any(b"__setstate__" in reader.get_record(name) for name in codes):
            raise ConfigError(f"{path}: contains code that runs on loading (__setstate__), so it was not read. {_CURE}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated")  # to be said to whoever saves such a file
        module: Any = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]  # torch's own
    if strange := sorted(set(_reaching(module))):
        does = f"does more than compute ({', '.join(strange)})"
        if not allow_imports:
            raise ConfigError(f"{path}: {does}, so it was not run. {_CURE}")
        log.info("allow_imports: %s %s", path, does)
    return module.eval()


def load_named(name: str, path: str | Path, allow_imports: bool = False) -> Any:  # Any: see load
    """:func:`load` of the file that a user gives as ``name``. Raises ConfigError where there is no network in it."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(f"{name}: no file {file.absolute()}")
    try:
        return load(file, allow_imports)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{name}: {path} is not a file of torch.jit.save ({reason})") from error


def _reaching(module: Any) -> Iterator[str]:
    """Every operation in ``module`` that is not known to compute only, whichever of its methods and hooks calls it."""
    for part in module.modules():
        functions = [part._c._get_method(name) for name in part._c._method_names()]
        for function in (*functions, *part._c._get_forward_hooks(), *part._c._get_forward_pre_hooks()):
            yield from _of_graph(function.graph)


def _of_graph(graph: Any) -> Iterator[str]:
    graph = graph.copy()
    torch._C._jit_pass_inline(graph)
    for node in _nodes(graph):
        kind = node.kind()
        if not kind.startswith(_COMPUTE) or kind.startswith(_REACH_OUT):
            yield kind
        for name in node.attributeNames():  # what a fork runs
            if node.kindOf(name) == "g":
                yield from _of_graph(node.g(name))


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
