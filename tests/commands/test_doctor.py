"""What is installed and what can draw."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from envcli import gl
from envcli.commands import doctor
from envcli.installed.parts import Part
from tests.conftest import Command

NOTHING = [gl.GL("glfw", False, "there is no display"), gl.GL("egl", False, "libEGL is not installed")]


@pytest.fixture(autouse=True)
def toy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setattr(gl, "survey", lambda: NOTHING)
    found = [Part("", {"torch": "2.0"}), Part("dm-control", {"mujoco": "3.17"}, ["dm_control is not installed"])]
    monkeypatch.setattr(doctor, "parts", lambda: found)


def test_what_is_missing_comes_with_what_to_type(cli: Command) -> None:
    done = cli("doctor")
    assert (done.code, done.err) == (0, "")
    for text in ("torch 2.0", "dm_control is not installed; mujoco 3.17", "pip install 'envcli[dm-control]'"):
        assert text in done.out
    for text in ("libEGL is not installed", "apt-get install --no-install-recommends libegl1 libgl1"):
        assert text in done.out


def test_where_one_way_draws_nothing_more_is_asked_for(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gl, "survey", lambda: [gl.GL("egl", True), gl.GL("osmesa", False, "libOSMesa is missing")])
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    out = cli("doctor").out
    assert "renders" in out
    assert "apt-get" not in out
    assert "MUJOCO_GL=osmesa is set, and takes precedence" in out


def test_without_mujoco_it_is_what_has_to_be_installed(cli: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gl, "survey", lambda: [gl.GL("egl", False, "mujoco is not installed")])
    out = cli("doctor").out
    assert "pip install 'envcli[mujoco]'" in out
    assert "apt-get" not in out


def test_in_json(cli: Command) -> None:
    data = json.loads(cli("doctor", "json=true").out)
    assert [way["works"] for way in data["gl"]] == [False, False]
    assert data["parts"][1]["lacking"] == ["dm_control is not installed"]
    assert data["MUJOCO_GL"] is None


def test_in_a_narrow_terminal_a_command_to_type_is_in_one_piece() -> None:
    file = io.StringIO()
    about = {"envcli": "0", "python": "3", "platform": "Linux", "MUJOCO_GL": None}
    found = [Part("dm-control", {}, ["dm_control is not installed, nor is any of what it needs"])]
    Console(file=file, width=60).print(doctor._drawing(about, found, NOTHING, []))
    assert "pip install 'envcli[dm-control]'" in file.getvalue()
