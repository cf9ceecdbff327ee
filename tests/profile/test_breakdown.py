from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from envcli.bench.sample import Sample
from envcli.bench.workload import Workload
from envcli.clocks.parts import IDLE, LOOP, PIXELS, POLICY, STEPS, WAITING
from envcli.profile import bars
from envcli.profile.advice import advice
from envcli.profile.breakdown import Breakdown, Column, broken_down

SECOND = 10**9
ENGINE = {"num_envs": 8}  # of a batch by nature


def reading(parts: dict[str, float], clocks: float = 0.0, spans: dict[str, Any] | None = None) -> dict[str, Any]:
    nanoseconds = {part: seconds * SECOND for part, seconds in parts.items()}
    return {"parts": nanoseconds, "clocks": clocks * SECOND, "calls": 100, "spans": spans or {}}


def test_parts_and_what_is_missing_make_a_step_without_clocks() -> None:
    """Ten steps of a second each; clocks make it 12, of which they own up to 1.5."""
    one = {"main": reading({STEPS: 8.0, LOOP: 2.5}, clocks=1.5), "workers": []}
    found = broken_down([Sample(10, 10.0, 10.0)] * 3, [Sample(10, 12.0, 12.0)] * 3, [one] * 3, envs=1)
    assert found.columns[0].parts == pytest.approx({STEPS: 0.8e6, LOOP: 0.25e6})
    assert found.us == pytest.approx(1e6)
    assert found.unaccounted == pytest.approx(-0.05e6)
    assert (found.slowdown, found.clocks_us) == pytest.approx((1.2, 0.15e6))
    assert not any("too noisy" in line for line in bars.below(found))
    assert any("too noisy" in line for line in bars.below(replace(found, us=0.5e6)))


def test_a_machine_that_drifts_hurts_both_alike() -> None:
    plain = [Sample(10, wall, wall) for wall in (10.0, 20.0, 30.0)]
    readings = [{"main": reading({STEPS: s.wall}), "workers": []} for s in plain]
    assert broken_down(plain, plain, readings, 1).unaccounted == pytest.approx(0)


def test_each_worker_fills_its_time_with_waiting() -> None:
    """The main process waits from 1 to 9; one worker is busy from 2 to 8, the other one until 5."""
    spans = [[(2 * SECOND, 8 * SECOND), (3 * SECOND, 4 * SECOND)], [(2 * SECOND, 5 * SECOND)]]
    workers = [reading({STEPS: 6.0}, spans={LOOP: spans[0]}), reading({STEPS: 3.0}, spans={LOOP: spans[1]})]
    main = reading({LOOP: 2.0, WAITING: 8.0}, spans={WAITING: [(SECOND, 9 * SECOND)]})
    sample = [Sample(20, 10.0, 10.0)]
    found = broken_down(sample, sample, [{"main": main, "workers": workers}], envs=2)
    assert [column.name for column in found.columns] == ["the main process", "each of the 2 workers"]
    assert found.columns[1].parts == pytest.approx({STEPS: 0.45e6, IDLE: 0.55e6})
    for column in found.columns:
        assert sum(column.parts.values()) == pytest.approx(found.us)
    assert found.of_waiting == pytest.approx({"all": 3 / 8, "some": 3 / 8, "none": 2 / 8})
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(bars.table("Toy, 2 envs", found))
    text = console.export_text()
    for part in ("of all 2 envs", "the main process", "each of the 2 workers", "for the slowest", "not accounted for"):
        assert part in text


PONG = {"type": "ale", "name": "Pong", "obs_type": "rgb"}
CHEETAH = {"type": "dm_control", "name": "cheetah-run", "render_quality": "full"}
IMAGES = {
    "frames": {"type": "to_tensor_image", "dtype": None},
    "small": {"type": "resize", "w": 84, "h": 64},
    "gray": {"type": "gray_scale"},
}
BATCH = {"type": "processes", "num_envs": 4, "num_workers": 2}
SERIAL = {"type": "serial", "num_envs": 4}
SMALL, GRAY = "transforms.small", "transforms.gray"


def said(parts: dict[str, float], of_waiting: dict[str, float] | None = None, **cfg: Any) -> str:
    """The advice where these parts are all of a step."""
    us = sum(parts.values())
    found = Breakdown(1, us, 0.0, 1.0, 0.0, 0.0, [Column("main", parts)], of_waiting or {})
    return advice(found, Workload(cfg, 10, 0))


@pytest.mark.parametrize(
    ("parts", "cfg", "typed"),
    [
        ({STEPS: 9, LOOP: 1}, {"parallel": BATCH}, "the simulator itself is the time, 90 % of it"),
        ({GRAY: 6, STEPS: 4}, {"backend": PONG, "transforms": IMAGES}, "obs_type=grayscale '~transforms.gray'"),
        ({PIXELS: 9, STEPS: 1}, {"backend": CHEETAH}, "backend.render_quality=fast"),
        (
            {PIXELS: 9, STEPS: 1},
            {"backend": {**CHEETAH, "render_quality": "fast"}, "transforms": IMAGES},
            "'backend.pixel_size=[64,84]' '~transforms.small'",
        ),
        ({SMALL: 9}, {"backend": {"type": "gym"}, "transforms": IMAGES}, "transforms.frames.dtype=uint8"),
        ({POLICY: 9, STEPS: 1}, {}, "One call of it can act for many envs. Whether that pays, measure: tune=true"),
        ({POLICY: 9, STEPS: 1}, {"parallel": SERIAL}, "Whether that pays, measure: tune=true"),
        ({LOOP: 9, STEPS: 1}, {"parallel": BATCH}, "the largest part is loop, 90 %"),
        ({STEPS: 9}, {"backend": {"type": "torch"}, "parallel": ENGINE}, "measure: 'variant={parallel.num_envs: 16}'"),
        (
            {STEPS: 9},
            {"backend": {"type": "gymnasium_vector"}, "parallel": ENGINE},
            "'variant={backend: gymnasium, parallel: processes, parallel.num_envs: 8}'",
        ),
        (
            {STEPS: 9},
            {"backend": {"type": "envpool", "num_threads": 1}, "parallel": ENGINE},
            "'variant={backend.num_threads: 2}'",
        ),
        ({STEPS: 9}, {"backend": {"type": "envpool", "num_threads": None}, "parallel": ENGINE}, "nothing to change"),
        ({"outer_transforms.gray": 9}, {"parallel": BATCH, "outer_transforms": IMAGES}, "from_int=false"),
    ],
)
def test_the_largest_part_with_a_cure_comes_first(
    parts: dict[str, float], cfg: dict[str, Any], typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envcli.profile.advice.cores", lambda: 2)
    assert typed in said(parts, **cfg)


def test_waiting_is_told_by_its_reason() -> None:
    many = {"type": "processes", "num_envs": 5, "num_workers": 2}
    waits = {WAITING: 9.0, LOOP: 1.0}
    late = {"all": 0.2, "some": 0.0, "none": 0.8}
    assert "messages. Whether that pays, measure: tune=true. Or the main process" in said(waits, late, parallel=BATCH)
    assert "local_worker" not in said(waits, late, parallel={**BATCH, "local_worker": True})
    assert "uneven: parallel.num_envs=6" in said(waits, {"all": 0.2, "some": 0.8, "none": 0.0}, parallel=many)
