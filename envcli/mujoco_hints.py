"""What MuJoCo says of the models of libraries that nobody here can change."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_hints"]


@contextmanager
def without_hints() -> Iterator[None]:
    """Inside, what models are told at each load is left out: that an attribute of their XML is deprecated.

    MuJoCo prints it for every env that is made, and writes it into a file of the present folder.
    """
    import mujoco

    before = mujoco.get_mju_user_warning()

    def warn(message: str) -> None:
        if "is deprecated" not in message:
            print(f"WARNING: {message}", file=sys.stderr) if before is None else before(message)

    mujoco.set_mju_user_warning(warn)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
