"""What environment variables hold may be a secret. A configuration may use it, and a run does not write it down."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from envcli.configuration import environment_variables
from tests.conftest import Command

SECRET = "s3cr3t-t0ken"


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    monkeypatch.setenv("STEPS", "7")


def preset(folder: Path, text: str) -> list[str]:
    (folder / "theirs" / "experiment").mkdir(parents=True)
    (folder / "theirs" / "experiment" / "a.yaml").write_text(f"# @package _global_\n{text}\n")
    return ["--config-dir", str(folder / "theirs"), "experiment=a"]


def told(folder: Path) -> list[str]:
    """The files and folders below in which the secret is."""
    paths = [path for path in folder.rglob("*") if "theirs" not in path.parts]
    inside = [path for path in paths if path.is_file() and SECRET.encode() in path.read_bytes()]
    return [str(path) for path in [*inside, *(path for path in paths if SECRET in path.name)]]


def test_a_run_uses_it_and_keeps_its_name_alone(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "import os\nclass Own:\n    def __init__(self, token, again):\n"
        "        assert token == again[0] == os.environ['TOKEN']\n"
        "    def bind(self, env):\n        return None\n"
    )
    words = preset(
        tmp_path,
        "policy: {type: 'own:Own', token: '${oc.env:TOKEN}', again: ['${policy.token}']}\nmax_steps: ${oc.env:STEPS}",
    )
    done = cli("rollout", *words, "allow_imports=true", "tracker=tensorboard", "hydra.run.dir=run")
    assert done.code == 0, done.err
    saved = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert saved["policy"] == {"type": "own:Own", "token": "${oc.env:TOKEN}", "again": ["${policy.token}"]}
    assert saved["max_steps"] == "${oc.env:STEPS}"
    assert told(tmp_path) == []
    again = cli("rollout", "replay=run", "allow_imports=true", "hydra.run.dir=again")
    assert again.code == 0, again.err
    assert (tmp_path / "again" / "config.yaml").read_text() == (tmp_path / "run" / "config.yaml").read_text()


@pytest.mark.parametrize(
    ("key", "flags"),
    [
        ("backend: {name: '${oc.env:TOKEN}'}", []),
        ("env_list: ['${oc.env:TOKEN}']\nparallel: {type: serial}", ["-m"]),
    ],
    ids=["one run", "a sweep"],
)
def test_a_run_is_not_named_after_it(key: str, flags: list[str], cli: Command, tmp_path: Path) -> None:
    done = cli("rollout", *flags, *preset(tmp_path, key), "max_steps=5")
    assert done.code in (1, 2)
    assert "It names the run" in done.err
    assert told(tmp_path) == []


def test_an_error_does_not_keep_it(cli: Command, tmp_path: Path) -> None:
    device = preset(tmp_path, "device: {name: '${oc.env:TOKEN}'}")
    done = cli("rollout", "-m", *device, "hydra.sweep.dir=runs", "hydra.sweep.subdir=one")
    assert done.code in (1, 2)
    assert "found '${oc.env:TOKEN}'" in (tmp_path / "runs" / "one" / "status.json").read_text()
    assert told(tmp_path) == []


def test_nothing_is_left_of_a_value_that_begins_like_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment_variables, "_given", {"secret": "${oc.env:A}", "secretary": "${oc.env:B}"})
    assert environment_variables.hidden("the secret of a secretary") == "the ${oc.env:A} of a ${oc.env:B}"


def test_one_of_several_cannot_hold_it(cli: Command, tmp_path: Path) -> None:
    words = preset(
        tmp_path, "env_list: [cartpole]\nparallel: {type: serial}\nbackend: {options: {a: '${oc.env:TOKEN}'}}"
    )
    done = cli("rollout", *words, "max_steps=5")
    assert done.code == 2
    assert "${oc.env:TOKEN}, not allowed with several configurations" in done.err


@pytest.mark.slow
def test_a_measurement_keeps_its_name_alone(cli: Command, tmp_path: Path) -> None:
    words = preset(tmp_path, "max_steps: ${oc.env:STEPS}\nbackend: {options: {render_mode: null}}")
    done = cli("bench", *words, "seconds=0.01", "repetitions=1", "warm_up=0", "hydra.run.dir=run")
    assert done.code == 0, done.err
    assert '"max_steps": "${oc.env:STEPS}"' in (tmp_path / "run" / "bench.json").read_text()
