"""Objects that are bound to the rows of one rollout, and copied without them."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

__all__ = ["BoundToRows"]


class BoundToRows:
    """An object that keeps rows in attributes which methods such as ``_bind`` make.

    Rows belong to one rollout, and can be as large as that: a copy or a pickle goes without these attributes, and is
    bound anew. Attributes that were there before count as its own, whatever such a method puts into them.
    """

    _of_rows: Set[str] = frozenset()
    """The names of these attributes."""

    def _bound_by(self, bind: Callable[..., None], *rows: Any) -> None:  # Any: what each such method takes
        """Call ``bind(*rows)``, and remember which attributes it made."""
        before = set(self.__dict__)
        bind(*rows)
        self._of_rows = self._of_rows | (self.__dict__.keys() - before)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in self._of_rows}
