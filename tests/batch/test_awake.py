"""Awake for a moment."""

from __future__ import annotations

import time

import pytest

from envcli.batch import awake
from envcli.batch.awake import soon


def test_what_is_ready_is_not_waited_for() -> None:
    asked: list[None] = []
    assert soon(lambda: asked.append(None) is None)
    assert len(asked) == 1


def test_it_looks_again_until_it_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "_AWAKE", 60.0)
    asked: list[None] = []

    def ready() -> bool:
        asked.append(None)
        return len(asked) == 5

    assert soon(ready)
    assert len(asked) == 5


def test_after_a_moment_it_is_time_to_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awake, "_AWAKE", 0.01)
    began = time.perf_counter()
    assert not soon(lambda: False)
    assert time.perf_counter() - began >= 0.01
    monkeypatch.setattr(awake, "_AWAKE", 0.0)
    assert not soon(lambda: False), "where memory is not in order, it is looked at once"
