from __future__ import annotations

import io
import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from envcli.bench.sample import Sample
from envcli.bench.workload import Workload
from envcli.commands.bench import Config
from envcli.configuration.reading import read
from envcli.errors import EnvError
from envcli.tuning import tune_report
from envcli.tuning.search import Tuned, best_of, candidates, chosen, search
from envcli.tuning.setting import Setting
from envcli.tuning.trials import Trials

ONE = Setting("none")
CARTPOLE = {"type": "gym", "name": "CartPole-v1"}


class Toy:
    """Workers are worth what cores they have; an env more helps until there are 16; ``noise`` is of each repetition."""

    def __init__(self, cores: int = 4, noise: Sequence[float] = (1.0,) * 3, outside: Sequence[int] = ()) -> None:
        self.cores, self.noise, self.outside = cores, noise, list(outside)
        self.transforms = len(self.outside)
        self.compared: list[Setting] = []

    def speed(self, setting: Setting) -> float:
        if setting.kind != "processes":
            return 1000.0
        return 1000.0 * min(setting.workers, self.cores) * min(setting.envs, 16) / 20 - 10 * setting.moved

    def look(self, setting: Setting) -> Sample:
        if setting.workers > self.cores:
            raise EnvError("too many")
        return Sample(1000, 1000 / self.speed(setting), 1.0)

    def sides(self, setting: Setting, until: float) -> list[int]:
        return self.outside

    def least(self, settings: Sequence[Setting]) -> float:
        return 0.0

    def compare(self, settings: Sequence[Setting], until: float) -> dict[Setting, list[Sample]]:
        self.compared = list(settings)
        return {one: [Sample(1000, 1000 * n / self.speed(one), 1.0) for n in self.noise] for one in settings}


def shown(found: Tuned) -> str:
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(tune_report.table("Toy", found, Workload({}, 10, 0)))
    return console.export_text()


def test_it_finds_the_fastest_and_says_what_it_tried() -> None:
    toy = Toy(outside=[2])
    found = search(ONE, 4, toy, budget=60)
    assert found.best == Setting("processes", 16, 4)
    assert found.finalist(found.best).speed.median == toy.speed(found.best)
    assert ONE in toy.compared
    assert Setting("processes", 16, 4, 2) in found.looks
    assert found.looks[Setting("processes", 16, 5)] is None  # it could not be built
    assert Setting("processes", 128, 4) not in found.looks
    assert found.left_out == []


def test_without_time_it_says_what_was_left_out() -> None:
    found = search(ONE, 4, Toy(outside=[1]), budget=0)
    assert "4 envs in 4 workers" in found.left_out
    assert found.left_out[-1] == "transforms on the other side"
    assert (list(found.looks), found.best) == ([ONE], ONE)
    lines = shown(found)
    assert "none of them compared" in lines
    assert "best: unknown" in lines
    assert lines.count("best") == 1
    assert "as typed" in lines


class Timed(Toy):
    """One whose look, and whose start of a process to compare, takes 10 s of a clock that nothing else moves."""

    now, taken = 1000.0, 3

    def look(self, setting: Setting) -> Sample:
        self.now += 10
        return super().look(setting)

    def least(self, settings: Sequence[Setting]) -> float:
        return 10.0 * len(settings)

    def compare(self, settings: Sequence[Setting], until: float) -> dict[Setting, list[Sample]]:
        self.now += self.least(settings)
        return {one: samples[: self.taken] for one, samples in super().compare(settings, until).items()}


@pytest.mark.parametrize("budget", [0, 9, 25, 40, 60, 100, 200])
def test_it_ends_in_time_but_for_one_look(monkeypatch: pytest.MonkeyPatch, budget: float) -> None:
    toy = Timed(outside=[1])
    monkeypatch.setattr("envcli.tuning.search.time", SimpleNamespace(monotonic=lambda: toy.now))
    found = search(ONE, 4, toy, budget, began=995.0)
    assert found.seconds <= max(budget, 15)
    if budget >= 60:
        assert len(toy.compared) == len(found.finalists) > 1


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_of_too_few_samples_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    """A single one has no spread, so whoever is ahead would be so clearly."""
    toy = Timed()
    toy.taken = taken
    monkeypatch.setattr("envcli.tuning.search.time", SimpleNamespace(monotonic=lambda: toy.now))
    found = search(ONE, 4, toy, 100)
    assert [one.setting for one in found.finalists] == [ONE]
    assert "comparing 16 envs in 4 workers" in found.left_out


def test_of_equally_fast_ones_the_simplest_is_best() -> None:
    """The fastest is ahead by less than the spread of its lead."""
    plain, fancy = Setting("serial", 8), Setting("processes", 64, 2)
    walls = {plain: [1.0, 1.2, 0.9, 1.1, 1.0], fancy: [1.1, 0.9, 1.0, 0.8, 1.15]}
    samples = {one: [Sample(100, wall, wall) for wall in found] for one, found in walls.items()}
    finalists = chosen(samples)
    assert finalists[0].setting == fancy or finalists[0].speed.median == finalists[1].speed.median
    assert best_of(finalists) == plain
    samples[fancy] = [Sample(100, wall / 2, wall) for wall in walls[plain]]
    assert best_of(chosen(samples)) == fancy


def test_what_is_typed_leads_there() -> None:
    """The words, and the preset, compose to the work that was measured."""
    words = ["env=pong", "transforms=atari"]
    config = read("bench", words)
    work = Workload({name: getattr(config, name) for name in ("transforms", "outer_transforms", "parallel")}, 10, 0)
    setting = Setting("processes", 8, 2, moved=2)
    wanted = setting.applied(work, 10)
    assert list(wanted.cfg["outer_transforms"]) == ["cat_frames", "reward_clipping"]
    again = read("bench", [*words, *(word for typed in setting.words(work) for word in shlex.split(typed))])
    for place in ("transforms", "outer_transforms"):
        assert getattr(again, place) == wanted.cfg[place]
    assert (again.parallel["num_envs"], again.parallel["num_workers"]) == (8, 2)
    assert Setting.of(wanted) == setting


def test_the_preset_can_be_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiment").mkdir()
    work = Workload({"transforms": {"count": {"type": "step_counter", "max_steps": 5}}}, 10, 0)
    (tmp_path / "experiment" / "fast.yaml").write_text(Setting("processes", 8, 2, 1).yaml(work))
    monkeypatch.setenv("ENVCLI_CONFIG_PATH", str(tmp_path))
    config = read("bench", ["experiment=fast"])
    assert (config.parallel["num_envs"], config.parallel["num_workers"]) == (8, 2)
    assert config.outer_transforms["count"] == {"type": "step_counter", "max_steps": 5}


def test_the_table_and_the_curve() -> None:
    found = search(ONE, 4, Toy(noise=(0.98, 1.0, 1.02)), budget=60)
    work, text = Workload({}, 10, 0), shown(found)
    for part in ("16 envs in 4 workers", "as typed", "tried once", "type:  parallel=processes", "num_workers: 4}"):
        assert part in text
    drawing = tune_report.curve("Toy", found)
    assert drawing is not None
    assert len(list(ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}circle"))) >= 4
    data = tune_report.as_data(found, work)
    assert data["best"]["times_as_fast_as_typed"] == pytest.approx(3.2)
    assert len(data["finalists"][0]["samples"]) == 3


def test_settings_are_tried_in_processes(tmp_path: Path) -> None:
    work = Workload({"backend": CARTPOLE, "transforms": {"count": {"type": "step_counter"}}}, 50, 0)
    with Trials("envcli", work, tmp_path, threads=1, timeout=200) as trials:
        trials._pace = 1.0  # so that passes are as short as can be
        assert trials.steps(Setting("serial", 4)) == 32
        assert trials.look(Setting("serial", 2)).steps > 0
        assert trials.sides(Setting("processes", 2, 2), math.inf) == [1]
        assert trials.sides(Setting("processes", 2, 2), -math.inf) == []
        assert trials.compare([Setting("serial", 2)], -math.inf) == {}
        with pytest.raises(EnvError, match="no batch"):
            trials._build(Setting("nonsense", 2), 5)


def test_a_step_is_typed_as_the_subject_has_it() -> None:
    config: Any = read("bench", ["tune=true", "subject=envcli_step"])
    assert isinstance(config, Config)
    assert config.tune


def test_candidates_keep_outer_transforms_where_they_were() -> None:
    typed = Setting("processes", 2, 2, moved=1)
    found = search(typed, 2, Toy(2), budget=60)
    assert {setting.moved for setting in found.looks} == {1}
    assert next(candidates(typed, 2, found)) == typed
