from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from envcli.bench import plot

SVG = "{http://www.w3.org/2000/svg}"


def job(state: str = "finished", speed: float = 100.0, **overrides: str) -> dict[str, Any]:  # Any: of run folders
    quartiles = {"median": speed, "low": speed * 0.9, "high": speed * 1.1}
    found = {key.replace("__", "."): value for key, value in overrides.items()}
    return {"state": state, "overrides": found, "metrics": {"speed": quartiles} if state == "finished" else {}}


def test_a_point_for_each_job_that_finished_in_order() -> None:
    jobs = [
        job(env="a", parallel__num_envs="8", speed=300),
        job(env="a", parallel__num_envs="2", speed=100),
        job("failed", env="a", parallel__num_envs="4"),
    ]
    found = plot.points(jobs)
    assert found is not None
    assert found[0] == "parallel.num_envs"
    assert [(x, y) for x, y, _, _ in found[1]] == [(2, 100), (8, 300)]


@pytest.mark.parametrize(
    "jobs",
    [
        [],
        [job(a="1")],
        [job(a="1", b="1"), job(a="2", b="2")],
        [job(env="pong"), job(env="qbert")],
        [job(a="1"), job()],
    ],
)
def test_where_there_is_no_curve_there_is_none(jobs: list[dict[str, Any]]) -> None:
    assert plot.points(jobs) is None


def test_the_picture_is_one_with_the_ideal_line() -> None:
    points = [(1.0, 100.0, 90.0, 110.0), (2.0, 180.0, 170.0, 190.0), (16.0, 400.0, 390.0, 420.0)]
    root = ElementTree.fromstring(plot.drawn("A <title>", "parallel.num_envs", points))
    texts = [node.text for node in root.iter(f"{SVG}text")]
    assert {"A <title>", "parallel.num_envs", "ideal", "16", "400"} <= set(texts)
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == 3
    xs, ys = ([float(node.attrib[name]) for node in circles] for name in ("cx", "cy"))
    assert xs == sorted(xs)
    assert ys == sorted(ys, reverse=True)  # faster is higher
    assert all(0 < x < 720 and 0 < y < 420 for x, y in zip(xs, ys, strict=True))


def test_of_other_keys_nobody_knows_what_were_ideal() -> None:
    assert "ideal" not in plot.drawn("t", "max_steps", [(10.0, 1.0, 1.0, 1.0), (20.0, 0.001, 0.001, 0.001)])
