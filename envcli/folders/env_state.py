"""``env_state.pt`` in a run folder: what an env had learnt at the end of a run."""

from __future__ import annotations

import io
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from envcli.folders.json_file import write_bytes

__all__ = ["write_env_state"]

log = logging.getLogger(__name__)


def write_env_state(folder: Path, state: Mapping[str, Any]) -> None:  # Any: each part of an env has a state of its own
    """Keep ``state``, an env's ``state_dict()``, as ``env_state.pt`` in ``folder``, unless nothing is in it.

    ``env.load_state_dict(torch.load(path, weights_only=True))`` takes it. A state that cannot be pickled is logged.
    """
    import torch

    if not _holds_anything(state):
        return
    content = io.BytesIO()
    try:
        torch.save(state, content)
    except (AttributeError, TypeError, ValueError, pickle.PicklingError) as error:  # somebody's own transform
        log.warning("env_state.pt: not written, state_dict() cannot be pickled (%s)", error)
        return
    write_bytes(folder / "env_state.pt", content.getvalue())


def _holds_anything(state: object) -> bool:
    """Whether it is more than empty dicts: a batch of envs that learn nothing gives one for each."""
    return any(map(_holds_anything, state.values())) if isinstance(state, Mapping) else True
