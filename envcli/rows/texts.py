"""Texts of a simulator in rows of bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from envcli.errors import SpecError
from envcli.memory.buffer import Array
from envcli.rows.announced import CURE, Announced
from envcli.specs.text import as_bytes

__all__ = ["AnnouncedText", "TextRows"]


class AnnouncedText(Announced):
    """A text of at most ``length`` bytes.

    Args:
        length: of its bytes in UTF-8.
        cure: what to do about a longer one.
    """

    def __init__(self, length: int, cure: str = CURE) -> None:
        super().__init__((length,), np.uint8)
        self._cure = cure

    def check(self, value: Any, where: str) -> None:
        """Raise SpecError unless ``value`` is a str that fits."""
        if not isinstance(value, str):
            raise SpecError(f"{where}: expected a text, found {value!r:.80}. {CURE}")
        try:
            as_bytes(value, self.size)
        except ValueError as error:
            raise SpecError(f"{where}: {error}. {self._cure}") from error


class TextRows:
    """``rows[t] = text``. What is said again, as most are, costs no more than an array.

    Args:
        rows: uint8 ``[time, length]``.
    """

    def __init__(self, rows: Array) -> None:
        self._rows = rows
        self._said: Any = object()  # nothing yet, and None is no text
        self._bytes: Any = None

    def __setitem__(self, t: int, text: str, /) -> None:
        if text is not self._said:
            if not isinstance(text, str):
                raise TypeError(f"expected a text, found {text!r:.80}")
            self._bytes = as_bytes(text, self._rows.shape[1])
            self._said = text
        self._rows[t] = self._bytes
