"""What a run folder from a stranger tries, when somebody shows, reports, exports, replays, resumes or loads it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from envcli import StoreError, load_rollout
from envcli.shards import manifest as manifests
from envcli.shards.manifest import Manifest
from tests.conftest import Command

LOUD = "\x1b]0;owned\x07\x1b[2J\x9b31m[link=https://evil]here[/link]\u202eevil"


def run(cli: Command, *words: str, place: str = "run") -> Path:
    assert cli("rollout", "env=cartpole", "seed=1", *words, f"hydra.run.dir={place}").code == 0
    return Path(place).absolute()


def change(path: Path, **keys: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def reconfigure(folder: Path, **keys: object) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **keys}))


def as_if_stopped(folder: Path) -> None:
    """The folder of a run in shards, without its last."""
    found = Manifest.read(folder / "rollout")
    found.with_shards(*found.shards[:-1]).write(folder / "rollout")
    shutil.rmtree(folder / "rollout" / found.shards[-1].name)
    change(folder / "status.json", state="interrupted")


# -- a terminal, a page ------------------------------------------------------------------------------------------------


def test_what_it_calls_things_reaches_no_terminal(cli: Command) -> None:
    folder = run(cli, "max_steps=5")
    change(folder / "status.json", state="failed", error=LOUD, started=LOUD)
    change(folder / "manifest.json", seed=LOUD)
    reconfigure(folder, device={"name": LOUD})
    (folder / f"poster{LOUD[:6]}.png").touch()
    for words in (("show", "run"), ("report", "run"), ("rollout", "replay=run")):
        done = cli(*words)
        for text in (done.out, done.err):
            assert all(char.isprintable() or char == "\n" for char in text), words
    shown = cli("show", "run").out
    assert "[link=https://evil]here[/link]" in shown, "what it says is shown as it is, and is no markup"


def test_versions_of_nobody_are_not_believed(cli: Command) -> None:
    folder = run(cli, "max_steps=5")
    change(folder / "manifest.json", versions={"torch": LOUD, LOUD: "1"})
    done = cli("rollout", "replay=run")
    assert done.code == 0
    assert "\x1b" not in done.err
    change(folder / "manifest.json", versions=[1])
    assert cli("rollout", "replay=run", "hydra.run.dir=again").code == 0


# -- code --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"backend": {"type": "gym", "name": "evil_run:Env-v0"}}, "would import external code"),
        ({"policy": {"type": "evil_run:Policy"}}, "would import external code"),
        ({"policy": {"type": "evil_run:Policy"}, "allow_imports": True}, "imports external code"),
        ({"transforms": {"a": {"_target_": "os.system", "type": "evil_run:A"}}}, "would import external code"),
        ({"recorder": {"type": "memmap", "folder": "/tmp/owned"}}, "recorder.folder: no such key"),
        ({"tracker": {"type": "tensorboard", "folder": "/tmp/owned"}}, "tracker.folder: no such key"),
        ({"policy": {"type": "module", "path": "net.pt", "allow_imports": True}}, "policy.allow_imports: no such key"),
        ({"hydra": {"run": {"dir": "/tmp/owned"}}}, "hydra"),
        ({"env_list": ["../../../owned"]}, "env_list"),
    ],
)
def test_a_replay_imports_nothing_and_stays_in_its_place(
    keys: dict[str, object], said: str, cli: Command, tmp_path: Path
) -> None:
    folder = run(cli, "max_steps=5")
    (tmp_path / "evil_run.py").write_text("open('owned', 'w')\nclass A:\n    pass\n")
    reconfigure(folder, **keys)
    beside = sorted(tmp_path.parent.iterdir())
    done = cli("rollout", "replay=run")
    assert done.code == 2
    assert said in done.err
    assert not (tmp_path / "owned").exists()
    assert sorted(tmp_path.parent.iterdir()) == beside


def test_a_pickle_beside_the_data_is_not_opened(cli: Command, tmp_path: Path) -> None:
    folder = run(cli, "max_steps=5")
    for place in (folder, folder / "rollout", folder / "rollout" / "next"):
        (place / "other.pickle").write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")
    load_rollout(folder, verify=True)
    assert cli("show", "run", "verify=true").code == 0
    assert cli("export", "run").code == 0
    (folder / "rollout" / "shards.json").unlink()  # as tensordict alone would have saved it
    load_rollout(folder)
    assert not (tmp_path / "opened").exists()


# -- links -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in shards, stopped before the last; nobody changes it."""
    from envcli.cli import main

    place = tmp_path_factory.mktemp("shards") / "run"
    words = ["env=cartpole", "seed=1", "total_steps=60", "shard_steps=16", "json=true", f"hydra.run.dir='{place}'"]
    assert main(["rollout", *words]) == 0
    as_if_stopped(place)
    return place


@pytest.fixture
def stopped(shards: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "stopped"))


@pytest.mark.parametrize("name", ["log.txt", "rollout/.shards.json.new", "rollout/000001/next", "rollout"])
def test_a_resume_follows_no_link(name: str, stopped: Path, cli: Command, tmp_path: Path) -> None:
    place, elsewhere = stopped / name, tmp_path / "elsewhere"
    if place.is_dir():
        shutil.move(place, elsewhere)
        (elsewhere / "000009").mkdir()  # a name that the writer would sweep up as its own
    else:
        elsewhere.write_text("precious")
    place.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*")) if elsewhere.is_dir() else elsewhere.read_text()
    done = cli("rollout", "resume=stopped")
    assert done.code == 2
    assert f"{place} is a link" in done.err.replace("stopped/", f"{stopped}/")
    assert before == (sorted(elsewhere.rglob("*")) if elsewhere.is_dir() else elsewhere.read_text())


def test_a_resume_of_what_is_ours_goes_on(stopped: Path, cli: Command) -> None:
    assert cli("rollout", "resume=stopped").code == 0
    assert load_rollout(stopped, verify=True).numel() == 60


def test_data_elsewhere_are_not_mapped(stopped: Path, tmp_path: Path) -> None:
    """What is mapped can be written into."""
    file = stopped / "rollout" / "000001" / "next" / "reward.memmap"
    shutil.move(file, tmp_path / "precious")
    file.symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError, match=r"reward\.memmap: expected 64 bytes, found a link"):
        load_rollout(stopped)
    file.unlink()
    shutil.move(file.parent, tmp_path / "next")
    file.parent.symlink_to(tmp_path / "next")
    shutil.move(tmp_path / "precious", file)
    with pytest.raises(StoreError, match=r"000001/next: found a link"):
        load_rollout(stopped)


def test_what_is_written_follows_no_link(cli: Command, tmp_path: Path) -> None:
    folder = run(cli, "max_steps=5")
    (tmp_path / "precious").write_text("precious")
    for name in ("report.html", "sweep.json", f".sweep.json.{os.getpid()}", "rollout.npz", ".rollout.npz.part"):
        (folder / name).symlink_to(tmp_path / "precious")
    assert cli("report", "run").code == 0
    assert cli("export", "run", "overwrite=true").code == 0
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (folder / "rollout.npz").is_symlink()
    (tmp_path / "place").mkdir()
    (folder / "minari").symlink_to(tmp_path / "place")
    done = cli("export", "run", "format=minari")
    assert (done.code, list((tmp_path / "place").iterdir())) == (1, [])
    assert "points outside the run folder" in done.err


# -- shapes and sizes --------------------------------------------------------------------------------------------------

ENTRY = {"key": ["a"], "dtype": "uint8", "shape": []}
SHARD = {"name": ".", "steps": 3, "bytes": 3, "checksums": ["00000000"]}


@pytest.mark.parametrize(
    "hostile",
    [
        {"entries": [ENTRY, {**ENTRY, "key": ["a", "b"]}]},
        {"entries": [ENTRY, ENTRY]},
        {"entries": [{**ENTRY, "key": []}]},
        {"entries": [{**ENTRY, "key": [".."]}]},
        {"entries": [{**ENTRY, "key": ["/etc/passwd"]}]},
        {"entries": [{**ENTRY, "key": ["\ud800"]}]},
        {"entries": [{**ENTRY, "key": ["a" * 5000]}]},
        {"entries": [{**ENTRY, "key": ["b"] * 2000}]},
        {"entries": [{**ENTRY, "dtype": "qint8"}]},
        {"entries": [{**ENTRY, "dtype": "object"}]},
        {"entries": [{**ENTRY, "shape": [0, 2**63]}]},
        {"entries": [{**ENTRY, "shape": [-1, -1]}]},
        {"entries": [{**ENTRY, "shape": [2**40]}], "shards": [{**SHARD, "bytes": 3 * 2**40}]},
        {"shards": [{**SHARD, "steps": 10**30, "bytes": 10**30}]},
        {"shards": [{**SHARD, "steps": 3.0}]},
        {"shards": [SHARD, SHARD]},
        {"shards": [{**SHARD, "name": "../other"}]},
        {"shards": None},
        {"batch_size": [2**61, 2**61]},
    ],
)
def test_a_manifest_that_cannot_be_is_refused(hostile: dict[str, Any], tmp_path: Path) -> None:
    content = {"format": "envcli rollout", "version": manifests.VERSION, "batch_size": [], "entries": [ENTRY]}
    content |= {"shards": [SHARD], "planned": 3, "shard_steps": 3, "finished": True, **hostile}
    text = json.dumps({**content, "checksum": manifests._of_content(content)})
    (tmp_path / "shards.json").write_text(text)
    (tmp_path / "a.memmap").write_bytes(b"abc")
    with pytest.raises(StoreError):
        load_rollout(tmp_path)


@pytest.mark.parametrize(
    "meta",
    [
        {"shape": [-3], "a": {"dtype": "torch.uint8", "shape": [-3]}},
        {"shape": [3], "a": {"dtype": "torch.uint8", "shape": [3, -1, -2]}},
        {"shape": [3], "a": {"dtype": "torch.float32", "shape": [3, 1.5]}},
        {"shape": [3], "a": {"dtype": "os.system", "shape": [3]}},
        {"shape": [3, 2], "a": {"dtype": "torch.uint8", "shape": [3]}},
        {"shape": [3], "a": {"type": "a folder that leads into itself"}},
        {"shape": [3], "..": {"dtype": "torch.uint8", "shape": [3]}},
        {"shape": []},
    ],
)
def test_so_is_what_tensordict_would_have_listed(meta: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "a.memmap").write_bytes(b"abc" * 6)
    (tmp_path / "a").symlink_to(tmp_path)
    with pytest.raises(StoreError):
        load_rollout(tmp_path)


def test_a_size_is_looked_at_before_anything_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"shape": [9], "a": {"dtype": "torch.uint8", "shape": [9]}}))
    (tmp_path / "a.memmap").write_bytes(b"abc")
    monkeypatch.setattr(torch, "from_file", None)
    with pytest.raises(StoreError, match="expected 9 bytes, found 3"):
        load_rollout(tmp_path)
