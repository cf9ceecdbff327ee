"""Fault: an error of another process, told here."""

from __future__ import annotations

import pickle
import re

import pytest

from envcli.batch.fault import Fault, located, traced
from envcli.errors import (
    ActionError,
    ClosedError,
    ConfigError,
    ContractError,
    EnvcliError,
    EnvError,
    MissingDependency,
    SpecError,
    UnknownName,
)
from tests.batch.faults import Mute, Odd

HERE = r"\S*tests/batch/test_fault\.py, line \d+"


def caught(error: BaseException) -> Fault:
    """As a worker has it, sent as text."""
    try:
        raise error
    except BaseException as raised:
        found: Fault = pickle.loads(pickle.dumps(Fault.of(raised)))
        return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ActionError("no"), ActionError),
        (ContractError("no"), SpecError),
        (UnknownName("env", "pnog", ["pong"]), ConfigError),
        (MissingDependency("brax", "backend=brax", "brax"), ConfigError),
        (ClosedError("no"), EnvError),
    ],
)
def test_an_error_of_ours_is_of_its_kind_or_of_what_that_is_one_of(error: Exception, kind: type[EnvcliError]) -> None:
    told = caught(error).error("env 3")
    assert type(told) is kind
    assert str(told) == f"env 3: {error}"


def test_any_other_is_one_of_an_env_on_one_line_with_its_class() -> None:
    told = caught(ValueError("the first line\n  and the second")).error("env 3")
    assert type(told) is EnvError
    assert re.fullmatch(rf"env 3: ValueError: the first line and the second in {HERE}", str(told))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError(), "env 3: ZeroDivisionError: raise error"),
        (Mute(), "env 3: Mute: (its message raises RuntimeError)"),
        (Odd("odd", "two"), "env 3: Odd: odd"),
        (SystemExit(3), "env 3: SystemExit: 3"),
    ],
)
def test_what_can_hardly_be_told_is_told(error: BaseException, said: str) -> None:
    assert re.fullmatch(rf"{re.escape(said)} in {HERE}", str(caught(error).error("env 3")))


def test_the_traceback_of_the_worker_goes_along() -> None:
    (note,) = caught(KeyError("x")).error("env 3").__notes__
    assert note.startswith("In the worker:\nTraceback")
    assert "raise error" in note
    assert not hasattr(traced(ValueError("x"), ""), "__notes__")


def test_a_missing_attribute_is_one_where_it_was_looked_up() -> None:
    fault = caught(AttributeError("no x"))
    assert type(fault.error("env 3", looked_up=True)) is AttributeError
    assert type(fault.error("env 3")) is EnvError
    assert type(caught(ClosedError("closed")).error("env 3", looked_up=True)) is EnvError


@pytest.mark.parametrize(
    ("doing", "more", "said"),
    [
        ("step", {}, "env 5 (worker 1, seed 13) in step 17"),
        ("step", {"vague": True}, "env 5 (worker 1, seed 13) in step 17 or later"),
        ("reset", {}, "env 5 (worker 1, seed 13) in reset before step 17"),
        ("build", {}, "env 5 (worker 1, seed 13) in build"),
    ],
)
def test_it_is_said_which_env_does_what(doing: str, more: dict[str, bool], said: str) -> None:
    assert located(5, "worker 1", 13, doing, 17, **more) == said


def test_a_seed_that_nobody_gave_is_not_told() -> None:
    assert located(0, "worker 0", None, "close", 0) == "env 0 (worker 0) in close"
    assert located(0, "worker 0", 0, "close", 0) == "env 0 (worker 0, seed 0) in close"
