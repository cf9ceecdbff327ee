"""ConfigLoader: Hydra composes a run once, although it asks twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from tests.conftest import Command

Composed = list[tuple[DictConfig, tuple[object, ...]]]


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Composed:
    """What Hydra composes from here on, each with the words it was made of."""
    made: Composed = []
    compose = ConfigLoaderImpl.load_configuration

    def noting(*args: object, **named: bool) -> DictConfig:
        cfg = compose(*args, **named)  # type: ignore[arg-type]
        made.append((cfg, args))
        return cfg

    monkeypatch.setattr(ConfigLoaderImpl, "load_configuration", noting)
    return made


@pytest.mark.parametrize("words", [[], ["seed=1", "hydra.job.name=other"], ["hydra.mode=RUN"]])
def test_a_run_is_composed_once(cli: Command, composed: Composed, words: list[str]) -> None:
    assert cli("rollout", "max_steps=2", *words).code == 0
    (cfg, (loader, name, overrides, *others)), *more = composed
    assert not more
    assert overrides[-1] == "hydra.mode=RUN", "Hydra added it"  # type: ignore[index]
    again = ConfigLoaderImpl.load_configuration(loader, name, overrides, *others)  # type: ignore[arg-type]
    hydra, expected = (OmegaConf.to_container(node.hydra, resolve=False) for node in (cfg, again))
    for key in ("overrides", "mode", "job", "sweep"):
        assert hydra[key] == expected[key]


def test_jobs_of_a_sweep_are_composed_one_by_one(cli: Command, composed: Composed) -> None:
    assert cli("rollout", "-m", "max_steps=2,3").code == 0
    assert [cfg.max_steps for cfg, _ in composed][-2:] == [2, 3]


def test_a_file_may_say_that_it_is_a_sweep(
    cli: Command, composed: Composed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    text = "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {max_steps: '2,3'}}}\n"
    (tmp_path / "own" / "experiment" / "both.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(tmp_path / "own"))
    done = cli("rollout", "experiment=both")
    assert done.code == 0, done.err
    assert {2, 3} <= {cfg.max_steps for cfg, _ in composed}
