from __future__ import annotations

from types import SimpleNamespace

import pytest

from envcli.bench.race import enough_passes, race
from envcli.bench.sample import Sample
from envcli.errors import EnvError


class Toy:
    """Takes ``cost`` seconds for a pass of ten steps, and writes down when it ran; may fail in its n-th run."""

    def __init__(self, name: str, cost: float, diary: list[str], fails: int = -1) -> None:
        self.name, self.cost, self.diary, self.fails = name, cost, diary, fails
        self.runs = 0

    def run(self, passes: int) -> Sample:
        self.diary.append(self.name)
        self.runs += 1
        if self.runs == self.fails:
            raise EnvError(f"{self.name} broke")
        return Sample(10 * passes, self.cost * passes, 0.0)


def test_contenders_take_turns_and_warm_up_does_not_count() -> None:
    diary: list[str] = []
    samples = race([Toy("a", 1.0, diary), Toy("b", 2.0, diary)], repetitions=3, warm_up=2)
    assert "".join(diary) == "ab" + "abab" + "ababab"
    assert {name: len(found) for name, found in samples.items()} == {"a": 3, "b": 3}


def test_fast_work_is_done_more_often() -> None:
    diary: list[str] = []
    samples = race([Toy("fast", 0.001, diary), Toy("slow", 1.0, diary)], repetitions=1, seconds=0.5)
    assert samples["fast"][0].wall >= 0.5
    assert samples["fast"][0].wall < 1
    assert samples["slow"][0].steps == 10


def test_enough_passes_ends_where_a_clock_stands_still() -> None:
    toy = Toy("still", 1e-9, [])
    assert enough_passes(toy, 1e-3) >= 1e6


def test_who_fails_on_the_way_is_named_and_the_others_go_on() -> None:
    for fails in (1, 2, 4):
        failed: dict[str, str] = {}
        samples = race([Toy("a", 1.0, []), Toy("b", 1.0, [], fails), Toy("c", 1.0, [])], 3, failed=failed)
        assert {name: len(found) for name, found in samples.items()} == {"a": 3, "c": 3}
        assert failed == {"b": "b broke"}


def test_without_the_first_there_is_nothing_to_compare() -> None:
    with pytest.raises(EnvError, match="a broke"):
        race([Toy("a", 1.0, [], fails=3), Toy("b", 1.0, [])], 3, failed={})


def test_no_round_begins_that_would_not_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("envcli.bench.race.time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Toy):
        def run(self, passes: int) -> Sample:
            now[0] += self.cost
            return super().run(passes)

    def raced(until: float) -> list[int]:
        now[0] = 100.0
        samples = race([Slow("a", 1.0, []), Slow("b", 2.0, [])], repetitions=9, until=until)
        assert now[0] <= max(until, 103.0)
        return [len(found) for found in samples.values()]

    assert raced(112.0) == raced(114.9) == [2, 2]  # 3 s to find how much there is to do, 3 s to warm up, 3 s a round
    assert raced(106.0) == [0, 0]
    assert raced(99.0) == [0, 0]
