"""An env that is closed when its work is done."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from envcli.envs.env import Env
from envcli.errors import told

__all__ = ["closing"]

log = logging.getLogger(__name__)


@contextmanager
def closing(env: Env) -> Iterator[Env]:
    """``env``, closed in the end. What its ``close`` raises is logged: what was made by then is whole all the same."""
    try:
        yield env
    finally:
        try:
            env.close()
        except Exception as error:  # whatever the author of a simulator wrote
            log.warning("close: %s (what the env did before is complete)", told(error))
