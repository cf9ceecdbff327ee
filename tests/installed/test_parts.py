"""What is installed, by the word of packages that only pretend to be."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest

from envcli.installed.parts import Part, parts
from tests.conftest import ROOT


def pretend(folder: Path, name: str, version: str, *requires: str, extras: tuple[str, ...] = ()) -> None:
    home = folder / f"{name}-{version}.dist-info"
    home.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {text}" for text in requires]
    (home / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_each_part_says_what_is_there_and_what_is_not(shelf: Path) -> None:
    pretend(
        shelf,
        "toyhouse",
        "1.0",
        "toybase>=1",
        "toywall>=2,<3; extra == 'wall'",
        "toyroof; extra == 'roof'",
        "toywheel; python_version < '3' and extra == 'roof'",
        "toytest; extra == 'dev'",
        extras=("roof", "wall", "dev"),
    )
    pretend(shelf, "toybase", "1.5")
    pretend(shelf, "toywall", "3.0")
    always, roof, wall = parts("toyhouse")
    assert always == Part("", {"toybase": "1.5"}, [])
    assert always.cure == ""
    assert roof == Part("roof", {}, ["toyroof is not installed"])
    assert roof.cure == "pip install 'envcli[roof]'"
    assert wall.lacking == ["toywall is 3.0, <3,>=2 is needed"]


def test_a_library_is_asked_for_with_its_own_extras(shelf: Path) -> None:
    pretend(shelf, "toyhouse", "1.0", "toygym[drawn]; extra == 'pixels'", extras=("pixels",))
    pretend(shelf, "toygym", "2.0", "toybase", "toybrush; extra == 'drawn'", extras=("drawn",))
    (pixels,) = parts("toyhouse")
    assert pixels == Part("pixels", {"toygym": "2.0"}, ["toybrush is not installed"])


def test_a_folder_that_is_not_installed_has_no_parts() -> None:
    assert parts("no-such-package") == []


def test_our_own_needs_are_met_where_tests_run() -> None:
    ours = parts()
    if not ours:
        pytest.skip("envcli is not installed here")
    assert ours[0].name == ""
    assert "torch" in ours[0].found
    assert not ours[0].lacking
    assert not {"dev", "peers"} & {part.name for part in ours}


def test_extras_are_spelled_as_every_pip_finds_them() -> None:
    """The metadata has ``dm-control`` for ``dm_control``, for which pip before 23.3 then installs nothing."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in extras)
    texts = [ROOT / "README.md", ROOT / "pyproject.toml", *(ROOT / "envcli").rglob("*.py")]
    typed = [found for text in texts for found in re.findall(r"(?:'\.|envcli)\[([\w,-]+)\]", text.read_text())]
    assert len(typed) > 5
    assert {name for names in typed for name in names.split(",")} <= set(extras)
