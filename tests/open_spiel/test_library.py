"""The door to OpenSpiel, closed."""

from __future__ import annotations

import sys

import pytest

from envcli.backends.open_spiel import OpenSpielEnv, OpenSpielWrapper
from envcli.errors import MissingDependency
from envcli.open_spiel.library import open_spiel_library


def test_without_open_spiel_an_env_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    open_spiel_library.cache_clear()
    for use in (OpenSpielEnv.available_names, lambda: OpenSpielEnv("chess"), lambda: OpenSpielWrapper(None)):
        with pytest.raises(MissingDependency, match=r"backend=open_spiel needs open_spiel.*'envcli\[open-spiel\]'"):
            use()
