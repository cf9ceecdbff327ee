"""Setting: how a workload is spread."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from envcli.bench.workload import Workload
from envcli.tuning.setting import Setting

SERIAL = {"type": "serial", "num_envs": 4}
PROCESSES = {"type": "processes", "num_envs": 8, "num_workers": 2, "local_worker": True}
INNER = {"a": {"type": "clip", "low": -1}, "b": {"type": "step_counter"}}


def work(parallel: dict[str, Any] | None = None, **cfg: Any) -> Workload:
    return Workload({"parallel": parallel or {"type": "none"}, **cfg}, steps=100, seed=1, actions="actions.npy")


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        (work(), Setting("none")),
        (work(SERIAL), Setting("serial", 4)),
        (work(PROCESSES, outer_transforms={"c": INNER["a"], "gone": None}), Setting("processes", 8, 2, 1)),
    ],
)
def test_it_is_what_the_work_has(given: Workload, setting: Setting) -> None:
    assert Setting.of(given) == setting


def test_of_two_the_one_with_less_is_simpler() -> None:
    order = [
        Setting("none"),
        Setting("serial", 2),
        Setting("serial", 4),
        Setting("processes", 16, 1),
        Setting("processes", 4, 2),
        Setting("processes", 4, 2, moved=1),
    ]
    assert order == sorted(order, key=lambda one: one.simplicity)


@pytest.mark.parametrize(
    "setting", [Setting("none"), Setting("serial", 3), Setting("processes", 6, 3, 1), Setting("processes", 6, 3, 2)]
)
def test_applied_the_work_has_it(setting: Setting) -> None:
    found = setting.applied(work(SERIAL, transforms=INNER), steps=7)
    assert Setting.of(found) == setting
    assert (found.steps, found.seed, found.actions) == (7, 1, None)
    assert found.transforms == list(INNER.values()), "all of them, in their order"


def test_what_else_is_said_of_workers_stays_where_they_do() -> None:
    assert Setting("processes", 4, 4).applied(work(PROCESSES), 7).cfg["parallel"] == {
        "type": "processes",
        "num_envs": 4,
        "num_workers": 4,
        "local_worker": True,
    }
    assert Setting("serial", 4).applied(work(PROCESSES), 7).cfg["parallel"] == {"type": "serial", "num_envs": 4}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (Setting("none"), ["parallel=none"]),
        (Setting("serial", 4), ["parallel=serial", "parallel.num_envs=4"]),
        (
            Setting("processes", 4, 2, 1),
            [
                "parallel=processes",
                "parallel.num_envs=4",
                "parallel.num_workers=2",
                "~transforms.b",
                "+outer_transforms.b={type: step_counter}",
            ],
        ),
    ],
)
def test_words_for_a_shell_say_what_differs(setting: Setting, words: list[str]) -> None:
    typed = setting.words(work(transforms=INNER))
    assert [part for word in typed for part in shlex.split(word)] == words


def test_what_is_outside_can_be_typed_back_inside() -> None:
    typed = Setting("serial", 4).words(work(SERIAL, outer_transforms={"a": INNER["a"]}))
    assert shlex.split(" ".join(typed))[2:] == ["+transforms.a={type: clip, low: -1}", "~outer_transforms.a"]


def test_a_preset_says_the_same() -> None:
    assert Setting("processes", 4, 2, 1).yaml(work(transforms=INNER)).splitlines() == [
        "# @package _global_",
        "defaults:",
        "  - override /parallel: processes",
        "parallel: {num_envs: 4, num_workers: 2}",
        "transforms:",
        "  b: null",
        "outer_transforms:",
        "  b: {type: step_counter}",
    ]
    assert Setting("none").yaml(work()).splitlines()[2:] == ["  - override /parallel: none"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (Setting("none"), "one env"),
        (Setting("serial", 4), "4 envs one after the other"),
        (Setting("processes", 4, 1), "4 envs in a worker"),
        (Setting("processes", 4, 2, 3), "4 envs in 2 workers, 3 transforms outside"),
    ],
)
def test_people_read_it(setting: Setting, said: str) -> None:
    assert str(setting) == said


@pytest.mark.parametrize(
    ("inner", "outer", "typed"),
    [("ab", "", [0, 1, 2]), ("a", "b", [0, 1]), ("", "ab", [0, 1, 2]), ("a", "a", [1]), ("ab", "a", [1])],
)
def test_words_append_and_keep_names_apart(inner: str, outer: str, typed: list[int]) -> None:
    chains = {"transforms": {name: {"type": name} for name in inner}}
    chains |= {"outer_transforms": {name: {"type": name} for name in outer}}
    found = [moved for moved in range(3) if Setting("serial", 2, 1, moved).can_be_typed(work(SERIAL, **chains))]
    assert found == typed
