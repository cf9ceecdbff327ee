"""A Ctrl-C, wherever it arrives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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


def test_it_waits_while_a_module_in_c_is_loaded() -> None:
    loaded = []
    try:
        with not_lost() as was_interrupted:
            _Slow("module", "module.so").load()
            loaded.append(was_interrupted())
            time.sleep(5)
    except KeyboardInterrupt:
        loaded.append(was_interrupted())
    assert loaded == [False, True]


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
