"""What the envs of a share can be doing, as it is noted: see :mod:`envcli.rows.note`."""

from __future__ import annotations

__all__ = ["PHASES", "RESETTING", "STEPPING"]

PHASES = ("build", "reset", "step", "call", "close")
"""Their names, for messages; a note holds the place of one here."""

RESETTING, STEPPING = PHASES.index("reset"), PHASES.index("step")
