"""Modules that are imported by name."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from envcli.errors import ConfigError, MissingDependency
from envcli.vocabulary import registry
from envcli.vocabulary.imported import imported


def test_code_of_ones_own_must_be_allowed() -> None:
    with pytest.raises(ConfigError, match=r"allow_imports=true"):
        registry.construct("transforms", {"type": f"{__name__}:X"}, "transforms.a")
    with pytest.raises(ConfigError, match=r"has no class 'Nope'"):
        registry.construct("transforms", {"type": f"{__name__}:Nope"}, "transforms.a", allow_imports=True)
    with pytest.raises(ConfigError, match=r"cannot import module 'no_such_module'"):
        registry.construct("transforms", {"type": "no_such_module:X"}, "transforms.a", allow_imports=True)


def test_what_it_may_draw_with_is_chosen_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "drawn_by_who_knows.py").write_text("import os\nwith_gl = dict(os.environ)['SDL_VIDEODRIVER']\n")
    monkeypatch.setenv("SDL_VIDEODRIVER", "")
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    found = imported("drawn_by_who_knows:X", "backend.name", allow_imports=True)
    assert found.with_gl == os.environ["SDL_VIDEODRIVER"] == "dummy"


def test_a_module_that_is_not_there_is_named_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_things").mkdir()
    (tmp_path / "my_things" / "__init__.py").write_text("")
    (tmp_path / "my_things" / "resizing.py").write_text("")
    monkeypatch.chdir(tmp_path)
    for typed, meant, place in (
        ("my_thing.resizing", "my_things", f"{tmp_path}, in PYTHONPATH"),
        ("my_things.resize", "my_things.resizing", str(tmp_path / "my_things")),
    ):
        with pytest.raises(ConfigError) as caught:
            registry.construct("transforms", {"type": f"{typed}:X"}, "transforms.a", allow_imports=True)
        assert f". Did you mean {meant!r}? Looked for in {place}" in str(caught.value)
    for typed, meant in (("./my_things/resizing.py", "my_things.resizing"), ("", "my_module")):
        with pytest.raises(ConfigError, match=rf"expected module:Name\. Type: transforms\.a\.type={meant}:X$"):
            registry.construct("transforms", {"type": f"{typed}:X"}, "transforms.a", allow_imports=True)


@pytest.mark.parametrize("module", ["needs_much", "no_such_library_yet"])
def test_a_missing_library_says_what_to_install(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{module}.py").write_text("import no_such_library\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingDependency, match=r"needs no_such_library.* pip install no_such_library"):
        registry.construct("transforms", {"type": f"{module}:X"}, "transforms.a", allow_imports=True)
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import cv3.core as cv2", r"needs cv3, which is not installed\. Type: pip install cv3$"),
        ("raise ModuleNotFoundError(name='pkg_resources')", r"Type: pip install 'setuptools<81'$"),
        ("import numpy.no_such_part", r"=odd:X needs numpy\.no_such_part, which numpy [\d.]+ lacks\. It is written"),
        ("import numpy\nnumpy.bool9", r"=odd:X: importing odd raised AttributeError: .*'bool9'.* HYDRA_FULL_ERROR=1"),
        ("assert False", r"importing odd raised AssertionError: assert False in odd.py, line 1\. Set HYDRA_FULL"),
    ],
)
def test_a_module_that_cannot_be_imported_says_why(
    line: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd.py").write_text(f"{line}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=said):
        registry.construct("transforms", {"type": "odd:X"}, "transforms.a", allow_imports=True)
