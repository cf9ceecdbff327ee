"""The error tree, and the nearest names."""

from __future__ import annotations

import re

import pytest

import envcli
from envcli import errors
from envcli.errors import EnvcliError, MissingDependency, UnknownName, described, message_of, nearest

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
    assert str(MissingDependency("ale_py", "Atari", "atari")).endswith("Type: pip install 'envcli[atari]'")


def test_a_mistyped_name_of_the_package_is_told_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"^module 'envcli' has no attribute 'makeenv'\. Did you mean 'make_env'"):
        getattr(envcli, "makeenv")  # noqa: B009
    with pytest.raises(AttributeError, match=r"^module 'envcli' has no attribute 'frobnicate'$"):
        getattr(envcli, "frobnicate")  # noqa: B009


def test_an_error_that_says_nothing_is_where_it_was_raised() -> None:
    with pytest.raises(KeyError) as caught:
        raise KeyError
    assert re.fullmatch(rf"KeyError: raised in {__name__}, line \d+: raise KeyError", described(caught.value))
    assert described(KeyError()) == "KeyError", "it never was"
    assert described(ValueError("no\n  licence.")) == "ValueError: no licence"
    assert message_of(ValueError("no\n  licence.")) == "no licence."
