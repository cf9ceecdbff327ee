"""One line for whatever went wrong, and the exit code."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from envcli.cli.ended import Ended
from envcli.cli.messages import explain, one_line
from envcli.errors import ActionError, ConfigError, EnvError, MissingRun, StoreError, UnknownName


def noted(error: Exception, *notes: str) -> Exception:
    for note in notes:
        error.add_note(note)
    return error


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (ConfigError("max_steps: found 0"), "error: max_steps: found 0", 2),
        (UnknownName("env", "pnog", ["pong"]), "error: no env 'pnog'. Did you mean 'pong'?", 2),
        (MissingRun("runs/a: no run"), "error: runs/a: no run", 2),
        (EnvError("env 3: it fell over"), "error: env 3: it fell over", 1),
        (ActionError("too large"), "error: too large", 1),
        (StoreError("a.json: cannot be read"), "error: a.json: cannot be read", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (Ended(signal.SIGTERM, "stopped after 7 steps"), "stopped after 7 steps (SIGTERM)", 143),
        (KeyboardInterrupt("stopped after 7 steps"), "stopped after 7 steps", 130),
    ],
)
def test_our_own_errors_and_a_ctrl_c_say_what_they_say(error: BaseException, line: str, code: int) -> None:
    assert explain(error) == (line, code)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no\nluck."), "ValueError: no luck"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (KeyError("x"), "KeyError: 'x'"),
        (OSError("no file is named"), "OSError: no file is named"),
    ],
)
def test_any_other_is_unexpected_and_where_to_look_is_told(error: Exception, said: str) -> None:
    assert explain(error) == (f"error: unexpected {said}. Set HYDRA_FULL_ERROR=1 to see the way there.", 1)


class OutOfMemoryError(RuntimeError):
    """By the name of torch's, for what a GPU lacks."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "no room"),
        (MemoryError("Unable to allocate 36.4 TiB"), "Unable to allocate 36.4 TiB"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"),
            "DefaultCPUAllocator: can't allocate mem",
        ),
        (OutOfMemoryError("CUDA out of memory."), "CUDA out of memory."),
    ],
)
def test_what_takes_less_memory_is_told(error: Exception, said: str) -> None:
    line, code = explain(error)
    assert code == 1
    assert line.startswith(f"error: out of memory: {said}")
    assert "Take fewer envs (parallel.num_envs)" in line


def test_a_file_that_cannot_be_written_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        (tmp_path / "nowhere" / "a").write_text("")
    assert explain(caught.value) == (
        f"error: {tmp_path}/nowhere/a: no such file or directory. "
        "Choose another folder: hydra.run.dir=FOLDER, of a sweep hydra.sweep.dir=FOLDER.",
        1,
    )


def test_one_that_cannot_be_read_is_not_to_be_written_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # the user of a test may be root
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "a"))
    assert explain(error) == (f"error: {tmp_path}/a: permission denied.", 1)


def test_of_a_full_disk_it_is_enough_to_say_so() -> None:
    text, code = explain(OSError(errno.ENOSPC, "No space left on device"))
    assert (text, code) == (
        "error: no space left on device. Free some space, or write elsewhere: "
        "hydra.run.dir=FOLDER, of a sweep hydra.sweep.dir=FOLDER.",
        1,
    )


def test_a_limit_of_the_machine_is_told_with_what_raises_it() -> None:
    assert explain(OSError(errno.EMFILE, "Too many open files", "/usr/lib/x"))[0].startswith(
        "error: too many open files. Raise the limit (ulimit -n 4096), or take fewer workers"
    )
    assert "ulimit -f" in explain(OSError(errno.EFBIG, "File too large"))[0]


def test_short_notes_go_along_and_tracebacks_do_not() -> None:
    error = noted(ConfigError("transforms.a:\n  too  large"), "in experiment/mine.yaml", "In the worker:\nTraceback")
    assert one_line(error) == "transforms.a: too large (in experiment/mine.yaml)"


def test_a_message_of_others_cannot_write_to_the_terminal() -> None:
    assert one_line(noted(EnvError("a\x1b[2J"), "\u202eb")) == "a\ufffd[2J (\ufffdb)"
