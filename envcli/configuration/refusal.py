"""What Hydra or OmegaConf refused: the exception, and what was typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from envcli.override import Override

__all__ = ["Refusal"]


@dataclass(frozen=True)
class Refusal:
    """An exception with the command and the overrides that led to it."""

    error: BaseException
    command: str = ""
    overrides: Sequence[Override] = ()

    @property
    def key(self) -> str:
        """The key that it is about, as OmegaConf gives it; empty if it gives none."""
        for error in self._chain():
            if key := getattr(error, "full_key", None):
                return str(key)
            if match := re.search(r"full_key: (\S+)", str(error)):  # Hydra wraps the exception and keeps only its text
                return match[1]
        return ""

    @property
    def first_line(self) -> str:
        """The first line of the message; the details after it are for those who know Hydra."""
        said = next(filter(None, map(str, self._chain())), type(self.error).__name__)  # Hydra's own may be empty
        return " ".join(said.split("\n")[0].split())

    def search(self, pattern: str) -> re.Match[str] | None:
        """The first match of ``pattern`` in the message of the exception, or of one that caused it."""
        return next((match for error in self._chain() if (match := re.search(pattern, str(error)))), None)

    def typed(self, key: str) -> Override | None:
        """The first override of ``key``."""
        return next((override for override in self.overrides if override.key == key), None)

    def _chain(self) -> Iterator[BaseException]:
        error: BaseException | None = self.error
        while error is not None:
            yield error
            error = error.__cause__
