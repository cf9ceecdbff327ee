"""The choice of OpenGL, with ways of drawing that only pretend, and once with the real ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from envcli import gl
from envcli.errors import ConfigError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the libraries' own choice is right")


class Machine:
    """Draws with the ways named in ``works``, and counts how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.works: set[str] = set()
        self.asked: list[str] = []
        monkeypatch.setattr(gl, "_drawn", self.draw)

    def draw(self, name: str) -> gl.GL:
        self.asked.append(name)
        return gl.GL(name, True) if name in self.works else gl.GL(name, False, f"no {name} here")

    def starts_again(self) -> None:
        gl._proved.cache_clear()
        gl._circumstances.cache_clear()
        self.asked.clear()


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("MUJOCO_GL", "")  # so that it is put back, whatever a test sets
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "dm_control._render", raising=False)
    gl._proved.cache_clear()
    gl._circumstances.cache_clear()
    yield
    gl._proved.cache_clear()
    gl._circumstances.cache_clear()


@pytest.fixture
def machine(clean: None, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


# -- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pixels", [False, True])
def test_the_first_way_that_works_is_taken(pixels: bool, machine: Machine) -> None:
    machine.works = {"egl", "osmesa"}
    gl.prepare_mujoco(pixels)
    assert os.environ["MUJOCO_GL"] == "egl"
    assert machine.asked == ["egl"]


def test_a_display_comes_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.works = {"glfw", "egl"}
    monkeypatch.setenv("DISPLAY", ":0")
    gl.prepare_mujoco(pixels=True)
    assert os.environ["MUJOCO_GL"] == "glfw"


@pytest.mark.parametrize("chosen", ["osmesa", "disabled", "nonsense"])
def test_the_users_value_wins_and_without_pixels_nothing_is_tried(
    chosen: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUJOCO_GL", chosen)
    gl.prepare_mujoco(pixels=False)
    assert os.environ["MUJOCO_GL"] == chosen
    assert machine.asked == []


def test_the_users_value_wins_over_a_better_one(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.works = {"egl", "osmesa"}
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    gl.prepare_mujoco(pixels=True)
    assert os.environ["MUJOCO_GL"] == "osmesa"


def test_without_pixels_drawing_is_switched_off_where_nothing_works(machine: Machine) -> None:
    gl.prepare_mujoco(pixels=False)
    assert os.environ["MUJOCO_GL"] == "disabled"


def test_with_pixels_the_error_says_why_and_what_to_install(machine: Machine) -> None:
    with pytest.raises(ConfigError, match=r"no egl here; .*apt-get install --no-install-recommends libegl1 libgl1"):
        gl.prepare_mujoco(pixels=True)
    assert "MUJOCO_GL" not in os.environ
    gl.prepare_mujoco(pixels=False)
    with pytest.raises(ConfigError, match="nothing can draw on this machine"):  # also after an env without pixels
        gl.prepare_mujoco(pixels=True)


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("disabled", "MUJOCO_GL=disabled switches drawing off. Start again with MUJOCO_GL=egl"),
        ("osmesa", "MUJOCO_GL=osmesa does not work here: no osmesa here. Start again with MUJOCO_GL=egl"),
        ("nonsense", "is not one of glfw, egl, osmesa. Start again with MUJOCO_GL=egl"),
        ("on", "MUJOCO_GL=glfw does not work here: there is no display"),
    ],
)
def test_a_users_value_that_cannot_draw_is_explained(
    chosen: str, said: str, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.works = {"egl"}
    monkeypatch.setenv("MUJOCO_GL", chosen)
    with pytest.raises(ConfigError) as raised:
        gl.prepare_mujoco(pixels=True)
    assert said in str(raised.value)


def test_dm_control_that_was_imported_first_has_chosen(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.works = {"egl"}
    monkeypatch.setitem(sys.modules, "dm_control._render", ModuleType("dm_control._render"))
    gl.prepare_mujoco(pixels=False)
    assert "MUJOCO_GL" not in os.environ
    with pytest.raises(ConfigError, match=r"imported before envcli could choose.*Start again with MUJOCO_GL=egl"):
        gl.prepare_mujoco(pixels=True)


# -- what is remembered -----------------------------------------------------------------------------------------------


def test_a_success_is_remembered_for_the_next_process(machine: Machine) -> None:
    machine.works = {"egl"}
    gl.prepare_mujoco(pixels=True)
    del os.environ["MUJOCO_GL"]
    machine.starts_again()
    gl.prepare_mujoco(pixels=True)
    assert os.environ["MUJOCO_GL"] == "egl"
    assert machine.asked == []


def test_a_refusal_is_tried_again_when_pixels_are_wanted(machine: Machine) -> None:
    gl.prepare_mujoco(pixels=False)
    del os.environ["MUJOCO_GL"]
    machine.starts_again()
    gl.prepare_mujoco(pixels=False)
    assert machine.asked == []
    del os.environ["MUJOCO_GL"]
    machine.works = {"osmesa"}
    gl.prepare_mujoco(pixels=True)
    assert os.environ["MUJOCO_GL"] == "osmesa"


def test_other_circumstances_are_another_answer(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.works = {"egl"}
    gl.prepare_mujoco(pixels=True)
    del os.environ["MUJOCO_GL"]
    machine.starts_again()
    monkeypatch.setenv("LD_LIBRARY_PATH", "/elsewhere")
    gl.prepare_mujoco(pixels=True)
    assert machine.asked == ["egl"]


@pytest.mark.parametrize("content", ["", "[1]", '{"half'])
def test_a_broken_memory_is_no_memory(content: str, machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "envcli").mkdir()
    (tmp_path / "envcli" / "gl.json").write_text(content)
    machine.works = {"egl"}
    gl.prepare_mujoco(pixels=True)
    assert os.environ["MUJOCO_GL"] == "egl"


def test_a_home_that_cannot_be_written_is_no_error(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "envcli").write_text("a file where the folder should be")
    machine.works = {"egl"}
    gl.prepare_mujoco(pixels=True)
    assert os.environ["MUJOCO_GL"] == "egl"


# -- the proof --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        ("import sys; sys.exit('the library is broken.')", "the library is broken"),
        ("import os; os.abort()", "it crashes the process (-6)"),
        ("import os; assert os.environ['MUJOCO_GL'] == 'egl'; assert 'PYOPENGL_PLATFORM' not in os.environ", ""),
        ("while True: pass", "no frame within 1 seconds"),
    ],
)
def test_whatever_happens_happens_to_the_child(
    proof: str, reason: str, clean: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gl, "_PROOF", proof)
    monkeypatch.setattr(gl, "_PATIENCE", 1)
    monkeypatch.setenv("PYOPENGL_PLATFORM", "osmesa")
    assert gl._drawn("egl") == gl.GL("egl", works=not reason, reason=reason)


def test_the_survey_names_every_way_and_why_not(clean: None) -> None:
    ways = gl.survey()
    assert [way.name for way in ways] == list(gl.PACKAGES)
    assert all(way.works != bool(way.reason) for way in ways)
    assert all("\n" not in way.reason for way in ways)
    assert "display" in ways[0].reason


# -- pygame -----------------------------------------------------------------------------------------------------------


def test_sdl_draws_without_a_window_where_there_is_no_display(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setenv("SDL_AUDIODRIVER", "alsa")
    gl.prepare_sdl()
    assert os.environ["SDL_VIDEODRIVER"] == "dummy"
    assert os.environ["SDL_AUDIODRIVER"] == "alsa"


@pytest.mark.parametrize("installed", [True, False])
def test_code_that_nobody_knows_draws_without_a_display(
    installed: bool, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: installed or None)
    machine.works = {"egl"}
    gl.prepare_unknown()
    assert os.environ["SDL_VIDEODRIVER"] == "dummy"
    assert os.environ.get("MUJOCO_GL") == ("egl" if installed else None)


def test_sdl_is_left_alone_where_there_is_one(clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    gl.prepare_sdl()
    assert "SDL_VIDEODRIVER" not in os.environ
