from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from envcli.errors import ConfigError
from envcli.folders.given_file import GivenFile, given_files, recorded_files

DIGEST = hashlib.sha256(b"net").hexdigest()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.pt").write_bytes(b"net")
    (tmp_path / "pong").write_bytes(b"what shares its name with an env")
    os.mkfifo(tmp_path / "pipe.pt")
    return tmp_path


def test_values_that_name_a_file_are_found_in_any_node(here: Path) -> None:
    config = {
        "policy": {"path": "net.pt", "in_keys": ["net.pt"], "activation": "tanh"},
        "envs": {"a": {"transforms": {"m": {"module": str(here / "net.pt")}}}},
        "backend": {
            "name": "pong",
            "options": {"xml": "ant.xml", "long": "x/" * 9999, "zero": "a\0.b", "pipe": "pipe.pt"},
        },
        "baseline": "net.pt",
        "seed": 1,
    }
    file = GivenFile(DIGEST, str(here / "net.pt"))
    assert given_files(config) == {"policy.path": file, "envs.a.transforms.m.module": file}
    assert given_files(config, {("policy", "path")})["policy.path"] == GivenFile(DIGEST, None)


def test_the_file_is_taken_where_it_is_the_same(here: Path) -> None:
    file = GivenFile(DIGEST, str(here / "net.pt"))
    assert file.again("policy.path", "net.pt") == "net.pt"
    assert file.again("policy.path", "pong") == file.path, "another of that name is there, and the first still is"
    assert file.again("policy.path", "gone.pt") == file.path


def test_a_file_that_is_another_or_gone_is_said(here: Path) -> None:
    file = GivenFile("0" * 64, str(here / "moved.pt"))
    with pytest.raises(ConfigError) as caught:
        file.again("policy.path", "net.pt")
    for text in (f"{here}/net.pt", DIGEST[:12], "expected 000000000000.", "type policy.path=net.pt if"):
        assert text in str(caught.value)
    with pytest.raises(ConfigError, match=rf"policy\.path: no file {here}/gone\.pt, nor {here}/moved\.pt\. .*type"):
        file.again("policy.path", "gone.pt")


def test_a_manifest_may_be_anybodys(here: Path) -> None:
    assert recorded_files(here) == {}
    for files in ("no", {"a": 1, "b": {"sha256": "x", "path": None}, "c": {"sha256": DIGEST, "path": 3}}):
        (here / "manifest.json").write_text(json.dumps({"files": files}))
        assert recorded_files(here) == {}
    (here / "manifest.json").write_text(json.dumps({"files": {"policy.path": {"sha256": DIGEST, "path": None}}}))
    assert recorded_files(here) == {"policy.path": GivenFile(DIGEST, None)}
