"""Packages of other people: one that is installed for real, and broken ones that are there on paper only."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import envcli
from envcli.errors import ConfigError
from envcli.installed import extensions
from envcli.vocabulary import catalog, registry
from tests.conftest import Command
from tests.installed.test_parts import pretend

SOURCE = Path(__file__).parent.parent / "example_package"


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed ``tests/example_package``."""
    source = shutil.copytree(SOURCE, tmp_path_factory.mktemp("source") / "package")
    shelf = tmp_path_factory.mktemp("shelf")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(shelf), str(source)], check=True, timeout=100)
    return shelf


@pytest.fixture
def installed(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path, str(shelf)])
    importlib.invalidate_caches()
    _forget()  # what a test without this fixture has imported
    yield
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.startswith("example_envs")]:
        del sys.modules[name]


@pytest.mark.usefixtures("installed")
def test_a_package_adds_by_its_entry_points_alone(cli: Command, tmp_path: Path) -> None:
    listed = cli("list", "query=corridor")
    assert listed.code == 0
    for text in ("backend=corridor", "Corridor-long", "Corridor-short", "env=corridor"):
        assert text in listed.out
    described = cli("spec", "env=corridor", "transforms=[reward_bonus]")
    assert described.code == 0, described.err
    assert "Corridor-short (backend=corridor)" in described.out
    assert cli("check", "env=corridor").code == 0
    done = cli("rollout", "experiment=long_walk", "transforms.reward_bonus.bonus=3", "seed=0", "hydra.run.dir=run")
    assert done.code == 0, done.err
    data = envcli.load_rollout("run")
    assert len(data) == 200
    assert (data["next", "reward"] == 2).all()
    assert data["next", "observation"].max() > 0


@pytest.mark.usefixtures("installed")
def test_its_mistakes_are_explained_like_ours(cli: Command) -> None:
    assert "Did you mean 'Corridor-long' or" in cli("spec", "backend=corridor", "backend.name=Coridor-long").err
    assert "Did you mean 'corridor'" in cli("spec", "env=corridr").err
    assert "no key 'transforms.reward_bonus.bonos'. Did you mean 'transforms.reward_bonus.bonus'?" in (
        cli("spec", "experiment=long_walk", "transforms.reward_bonus.bonos=3").err
    )
    text = cli("rollout", "transforms=[reward_bonus]", "--help").out
    assert "Add something to each reward" in text or "reward_bonus" in text
    assert "transforms.reward_bonus.bonus=1.0" in text


@pytest.mark.usefixtures("installed")
def test_what_is_ours_stays_ours(tmp_path: Path) -> None:
    assert set(catalog.choices("env")) > {"corridor", "cartpole"}
    assert registry.find("backends", "gym").__module__ == "envcli.backends.gym"
    with envcli.make_env("experiment=long_walk") as env:
        assert "example_envs" in sys.modules
        assert env.rollout(4).shape == (4,)


@pytest.mark.usefixtures("installed")
def test_the_doctor_says_what_it_adds(cli: Command) -> None:
    added = json.loads(cli("doctor", "json=true").out)["packages"]
    assert [(it["package"], it["group"], it["name"], it["problem"]) for it in added] == [
        ("example-envs 1.0", "envcli.backends", "corridor", ""),
        ("example-envs 1.0", "envcli.conf", "example_envs", ""),
        ("example-envs 1.0", "envcli.transforms", "reward_bonus", ""),
    ]


def test_nothing_of_it_is_imported_for_help(installed: None, cli: Command) -> None:
    assert cli("rollout", "--help").code == 0
    assert cli("rollout", "--cfg", "job", "env=corridor").code == 0
    assert "example_envs" not in sys.modules


# -- broken ones -------------------------------------------------------------------------------------------------------

BROKEN = """
[envcli.backends]
dead = broken_envs.dead:Dead
nowhere = no_such_module_at_all:Env
[envcli.transforms]
nothing = broken_envs:Nothing
number = broken_envs:NUMBER
exits = broken_envs.exits:Exits
step_counter = broken_envs.dead:Dead
[envcli.conf]
lost = broken_envs.conf
gone = no_such_module_at_all.conf
"""


@pytest.fixture
def broken(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = tmp_path_factory.mktemp("broken")
    pretend(shelf, "broken_envs", "0.1")
    (shelf / "broken_envs-0.1.dist-info" / "entry_points.txt").write_text(BROKEN)
    (shelf / "broken_envs").mkdir()
    (shelf / "broken_envs" / "__init__.py").write_text("NUMBER = 3\n")
    (shelf / "broken_envs" / "dead.py").write_text("raise RuntimeError('the library has moved')\n")
    (shelf / "broken_envs" / "exits.py").write_text("raise SystemExit('no licence')\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(shelf)])
    importlib.invalidate_caches()


@pytest.mark.usefixtures("broken")
def test_a_broken_package_is_in_nobodys_way(cli: Command) -> None:
    assert cli("rollout", "transforms=[step_counter]", "max_steps=5").code == 0
    assert cli("rollout", "--help").code == 0
    listed = cli("list", "query=cartpole")
    assert listed.code == 0
    assert "CartPole-v1" in listed.out
    assert "left out: broken_envs.dead:Dead (dead in envcli.backends, of broken_envs 0.1): RuntimeError" in listed.err
    assert "left out: no_such_module_at_all:Env" in listed.err


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "AttributeError: module 'broken_envs' has no attribute 'Nothing'"),
        ("number", "is not a class"),
        ("exits", "SystemExit: no licence"),
    ],
)
def test_it_is_named_when_it_is_used(name: str, said: str, cli: Command) -> None:
    done = cli("spec", f"+transforms.a={{type: {name}}}")
    assert done.code == 2
    assert f"({name} in envcli.transforms, of broken_envs 0.1)" in done.err
    assert said in done.err
    assert "Fix or uninstall that package" in done.err


@pytest.mark.usefixtures("broken")
def test_the_doctor_names_all_that_is_broken(cli: Command) -> None:
    problems = {it["name"]: it["problem"] for it in json.loads(cli("doctor", "json=true").out)["packages"]}
    assert all(problems.values())
    assert problems["lost"] == "broken_envs.conf (lost in envcli.conf, of broken_envs 0.1): is not a folder. " + (
        "Fix or uninstall that package"
    )
    assert "broken" in cli("doctor").out
    with pytest.raises(ConfigError, match="is not a folder"):
        extensions.extensions("envcli.conf")[0].folder()
