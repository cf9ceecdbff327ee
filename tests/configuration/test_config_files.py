"""YAML files of the user's own that cannot be read, told in one line; and one that can, though Hydra stumbles."""

from __future__ import annotations

from pathlib import Path

import pytest

from envcli.configuration.composition import compose
from envcli.errors import ConfigError

HEAD = "# @package _global_\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "experiment").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (f"{HEAD}# \xfc\n".encode("latin-1"), "not UTF-8, invalid start byte at byte 22. Save it as UTF-8."),
        (HEAD.encode("utf-16"), "not UTF-8, invalid start byte at byte 0. Save it as UTF-8."),
        (f"{HEAD}- 1\n- 2\n".encode(), "found a list, expected keys, such as max_steps: 1000"),
    ],
)
def test_what_cannot_be_read_is_named(content: bytes, said: str, folder: Path) -> None:
    file = folder / "experiment" / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        compose("rollout", ["experiment=mine"], [folder])
    assert str(caught.value) == f"{file}: {said}"


def test_nobody_may_read_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder / "experiment" / "mine.yaml"
    file.write_text(HEAD)

    def refuse(*args: object) -> None:  # the user of a test may be root
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr("hydra._internal.config_repository.ConfigRepository.load_config", refuse)
    with pytest.raises(ConfigError, match=r"\.yaml: cannot be read, permission denied\.$"):
        compose("rollout", ["experiment=mine"], [folder])


def test_a_byte_order_mark_is_read_over(folder: Path) -> None:
    (folder / "experiment" / "mine.yaml").write_text(f"{HEAD}max_steps: 20\n", encoding="utf-8-sig")
    assert compose("rollout", ["experiment=mine"], [folder]).max_steps == 20


def test_one_that_includes_itself_is_named(folder: Path) -> None:
    for name, other in (("mine", "other"), ("other", "mine")):
        (folder / "experiment" / f"{name}.yaml").write_text(f"{HEAD}defaults:\n  - /experiment/{other}\n")
    with pytest.raises(ConfigError, match=r"^experiment/(mine|other)\.yaml: includes itself\."):
        compose("rollout", ["experiment=mine"], [folder])
