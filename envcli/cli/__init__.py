"""The command line: the first word chooses ``commands/<word>.py``, the rest goes to Hydra.

Help, completion, typing mistakes and unknown commands are answered before Hydra or torch is imported.
"""

from __future__ import annotations

import atexit
import codecs
import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper

from envcli.cli import messages
from envcli.cli.interrupt import not_lost
from envcli.errors import ConfigError, EnvcliError, StoreError, UnknownName

__all__ = ["main"]

_PLAIN = {"±": "+-", "×": "x", "…": "...", "→": "->", "–": "-", "µ": "u", "█": "#", "▏": "|", "─": "-", "├": "+"}  # noqa: RUF001


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``envcli`` and return its exit code: 0, 1 for a failure, 2 for a mistake in the words, 130 for Ctrl-C.

    If SIGTERM or SIGHUP ended a run or a sweep, it is 128 plus the number of the signal.
    """
    _open_streams()
    atexit.register(_spare_last_collection)
    words = list(sys.argv[1:] if argv is None else argv)
    debug = bool(os.environ.get("HYDRA_FULL_ERROR"))
    try:
        code = _heard(words)
        sys.stdout.flush()  # notice a closed pipe or a full disk here, not at exit
        return code
    except BrokenPipeError:
        # The reader (head, a pager) has what it wanted. Without this, flushing at exit would complain.
        _forget_stdout()
        return 0
    except (Exception, KeyboardInterrupt) as error:  # the outermost frame: every error becomes one line
        if debug and not isinstance(error, KeyboardInterrupt):
            raise
        text, code = messages.explain(_of_stdout(error) or error)
        with suppress(OSError):  # the terminal was closed
            print(text, file=sys.stderr)
        exec("")  # or Python, if the interrupt passed such code, would end by the signal and not with 130
        return code


def _require_names(texts: Sequence[str]) -> None:
    """Raise `ConfigError` for a word that Python could not decode: torch cannot open a file of that name."""
    for text in texts:
        if any("\udc80" <= char <= "\udcff" for char in text):
            utf8 = sys.getfilesystemencoding() == "utf-8"
            cure = "Rename it." if utf8 else "Type: unset PYTHONUTF8; or choose a UTF-8 locale, LC_ALL=C.UTF-8"
            raise ConfigError(
                f"{text}: its name is not valid {sys.getfilesystemencoding()}, Python's file name encoding here. {cure}"
            )


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise StoreError("the current folder was removed. Go to another: cd") from None


def _open_streams() -> None:
    """Open each of the three that was closed, as by cron, on nothing: else a file of the run would get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # it gets the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8", closefd=False))
    stdout = sys.stdout
    if isinstance(stdout, TextIOWrapper) and stdout.errors == "strict" and stdout.encoding.lower() != "utf-8":
        codecs.register_error("envcli", _spell_out)
        stdout.reconfigure(errors="envcli")


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    """What stands for the characters of our tables that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN.get(char, "?") for char in error.object[error.start : error.end]), error.end


def _of_stdout(error: BaseException) -> EnvcliError | None:
    """The error to report if stdout takes no more, such as on a full disk; what is left in its buffer is dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        _forget_stdout()
        if isinstance(error, OSError) and not error.filename and error.errno is not None:
            return StoreError(f"stdout: {(error.strerror or str(error)).lower()}")
    return None


def _forget_stdout() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _spare_last_collection() -> None:
    """Skip the interpreter's last garbage collection, which takes 0.8 s for torch.

    Not with ALE, which without it would report objects in cycles as leaked.
    """
    if "ale_py" not in sys.modules:
        gc.freeze()


def _heard(words: list[str]) -> int:
    """:func:`_dispatch`. Whatever it raises after a Ctrl-C is a KeyboardInterrupt.

    A library that is interrupted in the middle of a change, or a module that is half loaded, raises something else.
    """
    with not_lost() as was_interrupted:
        try:
            return _dispatch(words)
        except Exception as error:
            if was_interrupted():
                raise KeyboardInterrupt from error
            raise


def _dispatch(words: list[str]) -> int:
    if os.environ.get("ENVCLI_COMPLETE"):
        from envcli.cli.completion import candidates

        print("\n".join(candidates(words)))
        return 0
    if words[:1] == ["help"] and words[1:]:
        return _command(words[1], ["--help"])
    if not words or words[0] in ("-h", "--help", "help"):
        from envcli.cli.help import main_help

        print(main_help())
        return 0
    if words[0] == "--version":
        import envcli

        print(f"envcli {envcli.__version__}")
        return 0
    return _command(words[0], words[1:])


def _command(command: str, words: list[str]) -> int:
    from envcli import commands

    if command.startswith("-") or "=" in command:
        raise ConfigError(
            f"found {command!r}, expected a command first: envcli COMMAND ... There are: {', '.join(commands.names())}."
        )
    if command not in commands.names():
        raise UnknownName("command", command, commands.names())
    if any(word in ("-h", "--help") for word in words):
        from envcli.cli.help import command_help

        print(command_help(command, words))
        return 0
    here = _here()
    module = commands.find(command)
    _require_names([*words, here] if commands.keeps(command) else words)
    if hasattr(module, "main"):
        return int(module.main(words))
    from envcli.cli.launch import launch

    return launch(command, words)
