"""What is said where dm_control is not installed."""

from __future__ import annotations

import sys

import pytest

from envcli.dm.library import missing_dm_control


@pytest.mark.parametrize(
    ("version", "command"),
    [
        ((3, 12, 9), "pip install 'envcli[dm-control]'"),
        ((3, 13, 0), "pip install 'envcli[dm-control]' && pip install --no-deps dm_control"),
    ],
)
def test_a_python_without_labmaze_is_told_what_else_to_type(
    version: tuple[int, ...], command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", version)
    said = str(missing_dm_control("backend=dm_control"))
    assert said == f"backend=dm_control needs dm_control, which is not installed. Type: {command}"
