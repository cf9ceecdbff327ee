"""What to type for dm_control."""

from __future__ import annotations

import sys

from envcli.errors import MissingDependency

__all__ = ["missing_dm_control"]


def missing_dm_control(purpose: str) -> MissingDependency:
    """The error where ``purpose`` needs dm_control, which is not installed.

    From Python 3.13 on its labmaze, which no task of the suite needs, has no wheel; so there pip is to leave out what
    dm_control requires, and the extra brings what the suite needs.
    """
    by_hand = "pip install --no-deps dm_control" if sys.version_info >= (3, 13) else ""
    return MissingDependency("dm_control", purpose, "dm-control", by_hand)
