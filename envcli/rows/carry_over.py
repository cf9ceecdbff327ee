"""What a row of the root begins with, from the row before it."""

from __future__ import annotations

from envcli.keys import Key, under_next
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.env_specs import EnvSpecs

__all__ = ["carried_over"]


def carried_over(env: EnvSpecs, buffer: RolloutBuffer) -> dict[Key, Key]:
    """Root entry of ``buffer`` -> the entry whose row the next row of it repeats, unless a new episode begins there.

    That is its own ``next``, or, where a step leads to no such entry, itself. Actions are not among them, as each row
    has its own, unless the next step shows them until then; nor are the flags that end an episode: no row begins with
    one of them up.
    """
    chosen = {path for path in env.full_action_spec.leaves() if under_next(path) not in buffer}
    left_out = {*chosen, *env._governing_flags()}
    roots = (path for path in buffer if path[0] != "next" and path not in left_out)
    return {path: under_next(path) if under_next(path) in buffer else path for path in roots}
