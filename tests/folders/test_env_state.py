from __future__ import annotations

from pathlib import Path

import pytest
import torch

from envcli.folders.env_state import write_env_state


def test_a_state_is_loaded_again(tmp_path: Path) -> None:
    write_env_state(tmp_path, {"worker0": {}, "worker1": {"sum": torch.ones(2)}})
    found = torch.load(tmp_path / "env_state.pt", weights_only=True)
    assert found["worker1"]["sum"].tolist() == [1, 1]


def test_of_envs_that_learn_nothing_nothing_is_kept(tmp_path: Path) -> None:
    write_env_state(tmp_path, {"worker0": {}, "worker1": {}})
    assert list(tmp_path.iterdir()) == []


def test_a_state_that_cannot_be_kept_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_env_state(tmp_path, {"worker0": {}, "worker1": {"of": lambda: None}})
    assert "env_state.pt: not written" in caplog.text
    assert not (tmp_path / "env_state.pt").exists()
