from __future__ import annotations

from pathlib import Path

import pytest

from envcli.errors import StoreError
from envcli.folders.saved_config import saved_config


def test_it_is_what_was_saved_and_empty_where_nothing_was(tmp_path: Path) -> None:
    assert saved_config(tmp_path) == {}
    (tmp_path / "config.yaml").write_text("seed: 3\n")
    assert saved_config(tmp_path) == {"seed": 3}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff", "cannot be read, 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte."),
        (b"a: [1", "cannot be read, expected ',' or ']', but got '<stream end>'."),
        (b"", "is empty. Restore it, or make the run anew."),
        (b"- 1\n", "found a list, expected keys."),
    ],
)
def test_what_is_no_configuration_is_named(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(StoreError) as caught:
        saved_config(tmp_path)
    assert str(caught.value) == f"{tmp_path}/config.yaml: {said}"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(StoreError, match=r"config\.yaml: cannot be read, is a directory\.$"):
        saved_config(tmp_path)
