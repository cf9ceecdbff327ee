"""What MuJoCo says of a model: hints are left out, and nothing else is."""

from __future__ import annotations

import pytest

from envcli.mujoco_hints import without_hints

mujoco = pytest.importorskip("mujoco", reason="mujoco is not installed (extra mujoco)")


def test_hints_are_left_out_and_warnings_are_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    before = mujoco.get_mju_user_warning()
    told: list[str] = []
    try:
        for own, expected in ((told.append, ""), (None, "WARNING: unstable\n")):
            mujoco.set_mju_user_warning(own)
            with without_hints():
                warn = mujoco.get_mju_user_warning()
                warn("attribute 'convexhull' is deprecated")
                warn("unstable")
            assert mujoco.get_mju_user_warning() is own
            assert capsys.readouterr().err == expected
    finally:
        mujoco.set_mju_user_warning(before)
    assert told == ["unstable"]
