"""The one door to VMAS. The only file that imports it."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr
from functools import cache
from typing import Any

from envcli.errors import MissingDependency

__all__ = ["vmas_library"]


@cache
def vmas_library() -> Any:  # Any: a module that is there for some only, and has no annotations
    """The module ``vmas``. Raises MissingDependency if it, or what it needs, is not installed."""
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):  # gym prints there that it is out of date
            warnings.simplefilter("ignore")
            import vmas
            import vmas.simulator.environment
    except ModuleNotFoundError as missing:
        raise MissingDependency.of(missing, "backend=vmas", "vmas") from missing
    return vmas
