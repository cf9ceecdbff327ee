"""Each in a process of its own, for who has imported what is the matter."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from envcli.late_compiler import LateCompiler


def run(program: str) -> list[str]:
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


def test_tensordict_comes_without_the_compiler() -> None:
    program = "import sys, envcli; envcli.SerialEnv; print('tensordict' in sys.modules, 'torch._dynamo' in sys.modules)"
    assert run(program) == ["True", "False"]


def test_who_compiles_finds_what_tensordict_had_marked() -> None:
    program = """
import envcli, tensordict, torch
from tensordict import TensorDict

def twice(td):
    copy = td.clone()
    copy.update_(td)
    return copy.apply(lambda x: 2 * x)

td = TensorDict({"a": torch.ones(3)}, [3])
compiled = torch.compile(torch.vmap(twice), backend="eager", fullgraph=True)
print(int(compiled(td)["a"].sum()))
from torch._dynamo import trace_rules
print(trace_rules.is_callable_allowed(tensordict.base._foreach_copy_compiled))
print(torch.compiler.allow_in_graph.__module__)
"""
    assert run(program) == ["6", "True", "torch.compiler"]


def test_who_has_the_compiler_already_sees_no_difference() -> None:
    program = """
import sys, torch._dynamo
before = list(sys.meta_path)
import envcli, tensordict
print(sys.meta_path == before)
from torch._dynamo import trace_rules
print(trace_rules.is_callable_allowed(tensordict.base._foreach_copy_compiled))
"""
    assert run(program) == ["True", "True"]


def test_it_finds_nothing_else() -> None:
    assert LateCompiler().find_spec("json") is None


@pytest.mark.parametrize("library", [b"", None])
def test_triton_is_loaded_with_tensordict_if_it_can_be(library: bytes | None, tmp_path: Path) -> None:
    """An empty library cannot be loaded, and one may be missing; neither is in the way of tensordict."""
    inside = tmp_path / "triton" / "_C"
    inside.mkdir(parents=True)
    (tmp_path / "triton" / "__init__.py").touch()
    if library is not None:
        (inside / "libtriton.so").write_bytes(library)
    program = f"""
import ctypes, sys, torch
loaded, load = [], ctypes.CDLL
class Noted(load):
    def __init__(self, name, *others, **options):
        loaded.append(name)
        super().__init__(name, *others, **options)
ctypes.CDLL = Noted
sys.path.insert(0, {str(tmp_path)!r})
import envcli
before = len(loaded)
import tensordict
print([name for name in loaded[before:] if "triton" in name], "triton" in sys.modules, tensordict.TensorDict.__name__)
"""
    expected = [] if library is None else [str(inside / "libtriton.so")]
    assert " ".join(run(program)) == f"{expected} False TensorDict"


@pytest.mark.slow
def test_a_program_that_draws_can_train() -> None:
    """With the triton of a torch for GPUs and the LLVM of Mesa in one process, what comes first decides."""
    pytest.importorskip("dm_control")
    if importlib.util.find_spec("triton") is None:
        pytest.skip("this torch has no triton")
    program = """
import torch
from envcli import DMControlEnv
DMControlEnv("cartpole", "swingup").rollout(2)
net = torch.nn.Linear(2, 2)
optimizer = torch.optim.Adam(net.parameters())
net(torch.ones(2)).sum().backward()
optimizer.step()
print("trained")
"""
    assert run(program) == ["trained"]
