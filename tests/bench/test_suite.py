from __future__ import annotations

import io

import pytest
from rich.console import Console

from envcli.bench import suite
from envcli.configuration.reading import read
from envcli.errors import ConfigError
from envcli.vocabulary import catalog

ENTRIES = [one for name in catalog.choices("suite") for one in suite.entries(read("bench", [f"suite={name}"]).suite)]


@pytest.mark.parametrize("name", catalog.choices("suite"))
def test_every_suite_composes_and_says_what_it_is(name: str) -> None:
    assert catalog.choices("suite")[name]
    assert suite.entries(read("bench", [f"suite={name}"]).suite)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_workload_of_a_suite_is_one_that_can_be_typed(entry: suite.Entry) -> None:
    peers = [peer for peer in entry.against if peer != "variant"]
    config = read("bench", [*entry.words, f"peers=[{','.join(peers)}]"])
    assert config.peers == peers
    assert bool(config.variant) == ("variant" in entry.against)
    assert set(entry.memory) <= set(entry.against)
    assert all(promised > 0 for promised in entry.against.values())


def test_one_workload_can_be_changed_or_left_out() -> None:
    words = ["suite=readme", "suite.cartpole.against.native=0.9", "suite.pendulum=null"]
    found = {entry.name: entry for entry in suite.entries(read("bench", words).suite)}
    assert found["cartpole"].against == {"native": 0.9}
    assert "pendulum" not in found


def test_a_workload_that_promises_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"suite.a: found .*, expected \{words"):
        suite.entries({"a": {"words": []}})


def test_a_promise_is_kept_missed_or_not_measured() -> None:
    rows = [
        suite.Row("a", "envcli", "native", 0.8, ratio=0.85, spread=0.01, ours_us=13.2, theirs_us=11.1, clock="cpu"),
        suite.Row("b", "envcli", "native", 0.8, ratio=0.75, spread=0.01, clock="cpu"),
        suite.Row("c", "envcli", "sb3", 5, reason="sb3 is not installed"),
        suite.Row("d", "", "native", 5, reason="no key 'x'", failed=True),
    ]
    assert [row.kept for row in rows] == [True, False, None, None]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(suite.table(rows, ["of Toy"]))
    text = console.export_text()
    for part in (
        "13.2",
        "11.1",
        "0.85",
        "ok",
        "0.75",
        "missed",
        "left out: sb3 is not installed",
        "not measured: no key",
        "of Toy",
    ):
        assert part in text
