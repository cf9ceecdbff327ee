"""Where a rollout ends: when its envs are done, or because it has its steps."""

from __future__ import annotations

from envcli.errors import EnvError, SpecError
from envcli.keys import Key, under_next
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.row_env import RowEnv

__all__ = ["check_truncatable", "end_rule", "mark_truncated", "truncatable"]


def end_rule(any_done: bool | None, all_done: bool | None) -> str:
    """``at_end`` of a :class:`Rollout` for ``break_when_any_done`` and ``break_when_all_done``."""
    if all_done:
        if any_done:
            raise SpecError("rollout: break_when_any_done and break_when_all_done cannot be combined. Give one of them")
        return "wait"
    return "reset" if any_done is False else "stop"


def mark_truncated(env: RowEnv, buffer: RolloutBuffer) -> None:
    """Say of the last row that the rollout, not the env, ended there."""
    for path in truncatable(env):
        buffer[under_next(path)][buffer.filled - 1] = True


def truncatable(env: RowEnv) -> list[Key]:
    """The flags that are up where a rollout was cut: ``done`` and ``truncated``."""
    return [path for path in env.full_done_spec.leaves() if path[-1] in ("done", "truncated")]


def check_truncatable(env: RowEnv) -> None:
    """Raises EnvError unless the env has a ``truncated`` flag."""
    if not any(path[-1] == "truncated" for path in env.full_done_spec.leaves()):
        raise EnvError(
            f"set_truncated=True needs a 'truncated' flag, but {type(env).__name__} has {env.done_keys}. "
            "Give the env a full_done_spec with 'truncated'"
        )
