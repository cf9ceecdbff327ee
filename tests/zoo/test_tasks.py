from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from envcli.errors import ConfigError, EnvError, MissingDependency, UnknownName
from envcli.zoo import tasks

CHASE = """
def parallel_env(speed=1, render_mode=None):
    if speed < 0:
        raise ValueError("backwards")
    return "parallel", speed, render_mode

def env(speed=1):
    return "turns", speed
"""


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Packages called pettingzoo and mpe2 with tasks of our own, in place of whatever is installed."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pettingzoo", "mpe2")]:
        monkeypatch.delitem(sys.modules, name)
    for package, text in (
        ("pettingzoo", ""),
        ("pettingzoo/atari", ""),
        ("pettingzoo/sisl", ""),
        ("pettingzoo/classic", ""),
        ("pettingzoo/mpe", ""),
        ("mpe2", ""),
    ):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(text)
    (tmp_path / "pettingzoo/sisl/chase_v5.py").write_text(CHASE)
    (tmp_path / "pettingzoo/atari/pong_v3.py").write_text(
        "def parallel_env(auto_rom_install_path=None): return auto_rom_install_path\n"
    )
    (tmp_path / "pettingzoo/sisl/all_modules.py").write_text("")
    (tmp_path / "pettingzoo/mpe/simple_v2.py").write_text("")
    (tmp_path / "mpe2/simple_v2.py").write_text("def parallel_env(): return 'of mpe2'\n")
    (tmp_path / "pettingzoo/classic/ludo_v0.py").write_text(
        "import warnings\nwarnings.warn('old', DeprecationWarning)\ndef env(): return 1 / 0\n"
    )
    (tmp_path / "pettingzoo/classic/whist_v1.py").write_text("import no_such_cards\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield tmp_path  # type: ignore[misc]  # a fixture
    for name in [name for name in sys.modules if name.partition(".")[0] in ("pettingzoo", "mpe2")]:
        sys.modules.pop(name)


def test_tasks_are_read_from_folders_and_found_by_either_name(zoo: Path) -> None:
    assert tasks.names() == ["atari/pong_v3", "classic/ludo_v0", "classic/whist_v1", "mpe/simple_v2", "sisl/chase_v5"]
    for name in ("sisl/chase_v5", "chase_v5", "sisl/chase-v5"):
        assert tasks.make(name, True, {"speed": 2}) == ("parallel", 2, None)
    assert tasks.make("chase_v5", False, {}) == ("turns", 1)
    assert tasks.make("chase_v5", True, {}, from_pixels=True) == ("parallel", 1, "rgb_array")
    assert tasks.make("simple_v2", True, {}) == "of mpe2"


@pytest.mark.parametrize(
    ("task", "parallel", "options", "kind", "message"),
    [
        ("chase_v4", True, {}, UnknownName, "no task of PettingZoo 'chase_v4'. Did you mean 'sisl/chase_v5'"),
        ("mpe/chase_v5", True, {}, UnknownName, "no task of PettingZoo 'mpe/chase_v5'"),
        ("foraging:F-v3", True, {}, UnknownName, r"type: backend=custom .* returns envcli\.PettingZooWrapper\(env\)$"),
        (
            "ludo_v0",
            True,
            {},
            ConfigError,
            "classic/ludo_v0 has no version in which all agents act at once.*parallel=false",
        ),
        ("ludo_v0", False, {}, EnvError, "classic/ludo_v0 cannot be made: ZeroDivisionError: division by zero"),
        ("chase_v5", True, {"sped": 2}, ConfigError, "sisl/chase_v5 does not take these options: sped"),
        ("chase_v5", True, {"speed": -1}, ConfigError, "sisl/chase_v5 cannot be made: ValueError: backwards"),
        ("whist_v1", False, {}, ConfigError, r"'no_such_cards'. Type: pip install 'pettingzoo\[classic\]'"),
    ],
)
def test_what_cannot_be_made_is_said_in_one_line(
    zoo: Path, task: str, parallel: bool, options: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        tasks.make(task, parallel, options)


def test_a_package_that_is_not_installed_is_named(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = {"mpe2"}
    real = importlib.util.find_spec
    monkeypatch.setattr(
        tasks.importlib, "util", types.SimpleNamespace(find_spec=lambda name: None if name in missing else real(name))
    )
    with pytest.raises(MissingDependency, match=r"mpe/simple_v3 needs mpe2.*pip install 'envcli\[pettingzoo\]'"):
        tasks.make("mpe/simple_v3", True, {})
    missing.add("pettingzoo")
    with pytest.raises(MissingDependency, match=r"backend=pettingzoo needs pettingzoo.*'envcli\[pettingzoo\]'"):
        tasks.names()


def test_ataris_games_are_those_of_ale_py(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (zoo / "ale_py").mkdir()
    (zoo / "ale_py/__init__.py").write_text("")
    monkeypatch.delitem(sys.modules, "ale_py", raising=False)
    importlib.invalidate_caches()
    assert tasks.make("pong_v3", True, {}) == str(zoo / "ale_py")
    assert tasks.make("pong_v3", True, {"auto_rom_install_path": "mine"}) == "mine"
    real = importlib.util.find_spec
    monkeypatch.setattr(
        tasks.importlib, "util", types.SimpleNamespace(find_spec=lambda name: None if name == "ale_py" else real(name))
    )
    assert tasks.make("pong_v3", True, {}) is None
