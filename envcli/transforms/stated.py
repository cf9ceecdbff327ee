"""Attributes that ``state_dict`` tells of."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import Any, ClassVar

from envcli.errors import EnvcliError
from envcli.transforms.transform import Transform

__all__ = ["Stated"]


class Stated(Transform, ABC):
    """Plain attributes that are in ``state_dict`` under the names of the buffers that TorchRL keeps them in.

    So the state of one library's transform loads into the other's; what a state does not say stays as it is. A subclass
    names the entries, says what they are, and takes those of another one.
    """

    _stated: ClassVar[tuple[str, ...]] = ()
    """Names in ``state_dict``; one that ends in ``_`` stands for all that begin so."""

    def _state(self) -> dict[str, Any]:  # Any: tensors, or plain numbers where TorchRL keeps such
        """These entries as they are now, those that there are."""
        return {}

    def _take_state(self, state: Mapping[str, Any]) -> None:
        """Take these entries. An EnvcliError or a RuntimeError says that they do not fit."""

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:  # Any: torch's own hook
        super()._save_to_state_dict(destination, prefix, keep_vars)
        for name, value in self._state().items():
            destination[prefix + name] = value

    def _load_from_state_dict(  # Any: torch's own hook
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        found = {key[len(prefix) :]: state_dict[key] for key in state_dict if self._states(key, prefix)}
        problems = (missing_keys, unexpected_keys, error_msgs)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, *problems)
        unexpected_keys[:] = [key for key in unexpected_keys if not self._states(key, prefix)]
        try:
            self._take_state(found)
        except (EnvcliError, RuntimeError) as error:
            error_msgs.append(f"{prefix}: {error}" if prefix else str(error))

    def _states(self, key: str, prefix: str) -> bool:
        name = key[len(prefix) :] if key.startswith(prefix) else ""
        return any(name == own or (own.endswith("_") and name.startswith(own)) for own in self._stated)
