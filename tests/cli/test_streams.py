"""Streams that lead nowhere, or to a full disk, and names that Python cannot decode."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT


def shell_line(line: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    words = f"PYTHONPATH={ROOT} {sys.executable} -m envcli"
    given = " ".join(f"{name}={value}" for name, value in env.items())
    return subprocess.run(
        ["sh", "-c", f"{given} {words} {line}"], cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )


def test_a_run_needs_none_of_its_streams(tmp_path: Path) -> None:
    done = shell_line("rollout max_steps=10 hydra.run.dir=run <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert '"finished"' in (tmp_path / "run" / "status.json").read_text()


def test_without_stderr_the_answer_is_on_stdout_and_a_mistake_is_not(tmp_path: Path) -> None:
    assert shell_line("--version 2>&-", tmp_path).stdout.startswith("envcli ")
    done = shell_line("nonsense 2>&-", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")


TALKATIVE = """
import os
from envcli.testing.toys import CountingEnv

def make():
    print("a simulator's greeting", flush=True)
    os.write(1, b"from C")
    return CountingEnv()
"""


@pytest.mark.parametrize("batch", ["", "parallel=processes parallel.num_envs=2"])
def test_the_answer_is_alone_on_stdout(batch: str, tmp_path: Path) -> None:
    (tmp_path / "talkative.py").write_text(TALKATIVE)
    done = shell_line(f"spec backend=custom backend.name=talkative:make allow_imports=true {batch}", tmp_path)
    assert done.stdout.startswith("talkative:make (backend=custom"), done.stderr
    assert "greeting\nfrom C" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_full_disk_under_stdout_is_told_once(tmp_path: Path) -> None:
    done = shell_line("--help > /dev/full", tmp_path, PYTHONUNBUFFERED="")
    assert (done.returncode, done.stderr) == (1, "error: stdout: no space left on device\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    ("line", "unbuffered"),
    [
        ("list query=pend", ""),
        ("doctor", "1"),  # does not need the seconds in which list imports every backend
        ("doctor json=true", ""),
        ("doctor json=true", "1"),
        ("rollout --info config", ""),
        ("rollout --info config", "1"),
    ],
)
def test_a_full_disk_under_an_answer_is_not_that_of_a_run(line: str, unbuffered: str, tmp_path: Path) -> None:
    done = shell_line(f"{line} > /dev/full", tmp_path, PYTHONUNBUFFERED=unbuffered)
    said = [text for text in done.stderr.splitlines() if not text.startswith("left out: ")]
    assert (done.returncode, said) == (1, ["error: stdout: no space left on device"])


def test_who_wants_no_more_of_info_hears_no_more(tmp_path: Path) -> None:
    done = shell_line("rollout --info | head -1", tmp_path)
    assert (done.stdout[:6], done.stderr) == ("Hydra ", "")


def test_a_name_that_python_cannot_decode_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "r\xfc").mkdir()
    done = shell_line("show r\xfc", tmp_path, LC_ALL="C", PYTHONUTF8="0")
    assert done.returncode == 2
    assert "its name is not valid ascii" in done.stderr
    assert "unset PYTHONUTF8" in done.stderr


def test_tables_are_printed_in_ascii(tmp_path: Path) -> None:
    done = shell_line("rollout -m seed=1,2 max_steps=20", tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert " +- " in done.stdout
    assert done.stdout.isascii()
