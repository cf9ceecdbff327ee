"""The command line: the first word chooses ``commands/<word>.py``, the rest goes to Hydra.

Help, completion, typing mistakes and unknown commands are answered before Hydra or torch is imported.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

from envcli.cli import messages

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``envcli`` and return its exit code: 0, 1 for a failure, 2 for a mistake in the words, 130 for Ctrl-C."""
    atexit.register(_spare_last_collection)
    words = list(sys.argv[1:] if argv is None else argv)
    debug = bool(os.environ.get("HYDRA_FULL_ERROR"))
    try:
        code = _dispatch(words)
        if sys.stdout is not None:  # it may have been closed before Python began
            sys.stdout.flush()  # a closed pipe must be noticed here, not at exit
        return code
    except BrokenPipeError:
        # The reader (head, a pager) has what it wanted. Without this, flushing at exit would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:  # the outermost frame: everything becomes one line here
        if debug and not isinstance(error, KeyboardInterrupt):
            raise
        text, code = messages.explain(error)
        print(text, file=sys.stderr)
        return code


def _spare_last_collection() -> None:
    """The interpreter's looks at all of torch, for 0.8 s; without it ALE would list as leaked what is in cycles."""
    if "ale_py" not in sys.modules:
        gc.freeze()


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
    from envcli.errors import ConfigError, UnknownName

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
    module = commands.find(command)
    if hasattr(module, "main"):
        return int(module.main(words))
    from envcli.cli.launch import launch

    return launch(command, words)
