"""The error tree, and the nearest names."""

from __future__ import annotations

import pathlib
import re
from pathlib import Path

import pytest

import envcli
from envcli import errors
from envcli.errors import (
    EnvcliError,
    EnvError,
    MissingDependency,
    UnknownName,
    described,
    message_of,
    nearest,
    raised_in,
    told,
)

BUILT_IN = {
    "ActionError": ValueError,
    "ClosedError": RuntimeError,
    "ConfigError": ValueError,
    "ContractError": AssertionError,
    "EnvError": RuntimeError,
    "LockedError": RuntimeError,
    "MemberError": AssertionError,
    "MissingDependency": ImportError,
    "MissingRun": OSError,
    "SpecError": ValueError,
    "SpecIndexError": IndexError,
    "StoreError": OSError,
    "TransformError": ValueError,
    "UnknownName": LookupError,
    "UnstartedError": AttributeError,
}


def test_the_tree_is_complete() -> None:
    kinds = {name for name in errors.__all__ if isinstance(getattr(errors, name), type)}
    assert kinds == {*BUILT_IN, "EnvcliError"}
    assert kinds <= set(envcli.__all__), "what is raised to users they can name: except envcli.SpecIndexError"


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_error_is_ours_and_a_built_in_kind(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, EnvcliError)
    assert issubclass(kind, BUILT_IN[name])
    assert name in (errors.__doc__ or ""), "the tree in the docstring must show it"


def test_transforms_raise_what_torchrls_raise() -> None:
    assert issubclass(errors.TransformError, RuntimeError), "init_stats twice, a positive dim"
    with pytest.raises(AssertionError, match="does not hold"):
        envcli.Bounded(0, 1, [1]).assert_is_in(envcli.Bounded(2, 3, [1]).rand())
    with pytest.raises(RuntimeError, match="locked"):
        envcli.Composite().lock_()["observation"] = envcli.Unbounded(1)


@pytest.mark.parametrize(
    ("name", "known", "said"),
    [
        ("cartpol", ["cartpole", "pendulum"], "Did you mean 'cartpole'?"),
        ("CARTPOLE-V1", ["CartPole-v1", "Acrobot-v1"], "Did you mean 'CartPole-v1'?"),
        ("pole", ["CartPole-v1", "Acrobot-v1"], "Did you mean 'CartPole-v1'?"),
        ("xyz", ["a", "b"], "There are: a, b."),
        ("xyz", [], "There are none."),
        ("xyz", [f"name{i}" for i in range(21)], "There are 21."),
    ],
)
def test_nearest(name: str, known: list[str], said: str) -> None:
    assert nearest(name, known) == said


def test_an_unknown_name_says_the_nearest_and_the_cure() -> None:
    error = UnknownName("env", "pendulun", ["pendulum", "acrobot"], "`envcli list` shows all")
    assert str(error) == "no env 'pendulun'. Did you mean 'pendulum'? `envcli list` shows all"
    assert (error.name, error.known) == ("pendulun", ["acrobot", "pendulum"])
    said = "no env 'pendulun'. Did you mean 'pendulum'? Or that. `envcli list` shows all"
    assert str(error.adding("Or that.")) == said


def test_a_missing_dependency_says_what_to_type() -> None:
    assert str(MissingDependency("h5py", "the h5 recorder")).endswith("Type: pip install h5py")
    stand_in = MissingDependency("brax", "backend=brax", "brax").stand_in("BraxEnv")
    assert not isinstance(None, stand_in)
    with pytest.raises(MissingDependency, match=r"^BraxEnv needs brax, .* pip install 'envcli\[brax\]'$"):
        stand_in("fast", num_envs=3)
    missing = MissingDependency.of(ModuleNotFoundError(name="jax.numpy"), "backend=brax", "brax")
    assert str(missing).startswith("backend=brax needs jax, which is not installed.")
    assert str(MissingDependency.of(ModuleNotFoundError("of a library"), "x", "brax")).startswith("x needs brax,")
    assert str(MissingDependency("ale_py", "Atari", "atari")).endswith("Type: pip install 'envcli[atari]'")


def test_a_mistyped_name_of_the_package_is_told_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"^module 'envcli' has no attribute 'makeenv'\. Did you mean 'make_env'"):
        getattr(envcli, "makeenv")  # noqa: B009
    with pytest.raises(AttributeError, match=r"^module 'envcli' has no attribute 'frobnicate'$"):
        getattr(envcli, "frobnicate")  # noqa: B009


def raised(code: str, file: str) -> Exception:
    """What ``code`` raises, the text of ``file``."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        exec(compile(code, file, "exec"), {})
    return caught.value


def test_the_line_of_a_users_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    here = str(tmp_path / "envs" / "mine.py")
    assert described(raised("\n1 / 0", here)) == "ZeroDivisionError: division by zero in envs/mine.py, line 2"
    assert described(raised("1 / 0", "/elsewhere/mine.py")).endswith("by zero in /elsewhere/mine.py, line 1")
    assert raised_in(raised("import json\njson.loads('[')", here)) == "envs/mine.py, line 2", "and not of the library's"


@pytest.mark.parametrize("file", [f"{pathlib.__file__}", f"{pytest.__file__}", f"{envcli.__file__}", "<string>"])
def test_a_line_of_anybody_else_is_told_only_if_there_is_nothing_else(
    file: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile("def fail(): raise KeyError('x')", file, "exec"), found := {})
    with pytest.raises(KeyError) as caught:
        found["fail"]()
    error = caught.value.with_traceback(caught.value.__traceback__.tb_next)  # type: ignore[union-attr]
    assert described(error) == "KeyError: 'x'"
    assert raised_in(error) == f"{file}, line 1"
    assert raised_in(error, by_user=True) == ""


def test_an_error_that_says_nothing_is_the_line_that_raised_it() -> None:
    with pytest.raises(KeyError) as caught:
        raise KeyError
    assert re.fullmatch(r"KeyError: raise KeyError in \S*test_errors.py, line \d+", described(caught.value))
    assert described(KeyError()) == "KeyError", "it never was"
    assert described(ValueError("no\n  licence.")) == "ValueError: no licence"
    assert message_of(ValueError("no\n  licence.")) == "no licence."


def test_what_is_told_has_the_notes_of_one_line() -> None:
    error: BaseException = EnvError("env 3: it fell\nover.")
    for note in ("after 6 steps", "In the worker:\n...", "seed 3"):
        error.add_note(note)
    assert told(error) == "env 3: it fell over. (after 6 steps; seed 3)"
    assert told(ValueError("no luck.")) == "ValueError: no luck"
    assert [told(KeyboardInterrupt()), told(KeyboardInterrupt("stopped"))] == ["", "stopped"]
