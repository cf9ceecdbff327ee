"""A Ctrl-C, wherever it arrives."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.machinery import ExtensionFileLoader
from pathlib import Path

import pytest

from envcli import cli
from envcli.cli.interrupt import not_lost
from tests.conftest import ROOT


def _interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)  # it arrives here


class _Slow(ExtensionFileLoader):
    """A module in C, which would lose it."""

    def load(self) -> None:
        _interrupt()


def _load_a_module_in_c() -> None:
    _Slow("module", "module.so").load()


def _import_distributed_torch() -> None:
    """Which would end the process by an abort."""
    exec(compile("interrupt()", "module.py", "exec"), {"interrupt": _interrupt, "__name__": "torch.distributed.rpc"})


@pytest.mark.parametrize("load", [_load_a_module_in_c, _import_distributed_torch])
def test_it_waits_for_the_end_of_an_import_that_it_would_break(load: Callable[[], None]) -> None:
    loaded = []

    def work() -> None:
        with not_lost():
            load()
            loaded.append("whole")
            time.sleep(5)
            loaded.append("lost")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert loaded == ["whole"]


class _Finalized:
    def __del__(self) -> None:
        _interrupt()


def _catch_all() -> None:
    with contextlib.suppress(BaseException):
        _interrupt()


def _call_back_from_c() -> None:
    ctypes.CFUNCTYPE(None)(_interrupt)()


@pytest.mark.parametrize("lose", [_catch_all, _call_back_from_c, _Finalized])
def test_one_that_is_lost_is_raised_again(lose: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    went_on = []

    def work() -> None:
        with not_lost():
            lose()
            went_on.append(True)
            time.sleep(5)
            went_on.append(False)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert went_on == [True]
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before
    assert capsys.readouterr().err == ""


def test_another_process_is_told_of_it() -> None:
    """Launchers pass on what a job raised."""
    with pytest.raises(KeyboardInterrupt) as caught, not_lost():
        _interrupt()
    passed_on = pickle.loads(pickle.dumps(caught.value))
    assert (type(passed_on), passed_on.args) == (KeyboardInterrupt, ())


def test_one_that_was_lost_at_the_end_does_not_arrive_after_it() -> None:
    with not_lost() as was_interrupted:
        _catch_all()
    time.sleep(0.2)
    assert was_interrupted()


def test_whatever_else_is_raised_after_it_it_was_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by a library that was interrupted in the middle of a change."""

    def broken(words: list[str]) -> int:
        try:
            _interrupt()
        finally:
            raise AttributeError("half loaded")

    monkeypatch.setattr(cli, "_dispatch", broken)
    before = signal.getsignal(signal.SIGINT)
    assert (cli.main(["list"]), capsys.readouterr().err) == (130, "interrupted\n")
    assert signal.getsignal(signal.SIGINT) == before


def test_without_one_an_error_stays_what_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(words: list[str]) -> int:
        raise AttributeError("half loaded")

    monkeypatch.setattr(cli, "_dispatch", broken)
    assert cli.main(["list"]) == 1
    assert "AttributeError: half loaded" in capsys.readouterr().err


def test_the_exit_code_is_130_wherever_it_passed(tmp_path: Path) -> None:
    """Also code that was made of text, as that of a dataclass: ``python -m`` would then be ended by the signal."""
    text = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(5)"
    program = f"from envcli import cli; cli._dispatch = lambda words: exec({text!r}); raise SystemExit(cli.main([]))"
    (tmp_path / "program.py").write_text(program)
    process = subprocess.run(
        [sys.executable, "-m", "program"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (process.returncode, process.stderr) == (130, "interrupted\n")
