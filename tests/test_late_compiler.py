"""Each in a process of its own, for who has imported what is the matter."""

from __future__ import annotations

import subprocess
import sys

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
