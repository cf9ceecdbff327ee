from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from envcli.reports.page import page
from envcli.reports.sweep import Sweep
from tests.reports.runs import EVIL, some_metrics, write_run, write_sweep

VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Checks that elements are closed in order, and collects them, their attributes and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if self._open and self._open[-1] != "style" else ""

    def values(self, attribute: str) -> list[str]:
        return [value for _, key, value in self.attributes if key == attribute]


def read(folder: Path) -> Reader:
    return Reader(page(Sweep.of(folder)))


def test_a_sweep_has_all_its_parts(tmp_path: Path) -> None:
    found = read(write_sweep(tmp_path / "sweep"))
    for text in (
        "12 rollouts of pendulum, cartpole",
        "10 finished",
        "2 failed",
        "envcli rollout -m env=all",
        "What went wrong",
        "job 5: pendulum broke down",
        "Over seeds",
        "Returns",
        "Lengths",
        "Speed",
        "In common",
    ):
        assert text in found.text
    assert found.tags.count("tr") == 1 + 4 + 1 + 12, "the groups and the jobs, each below a line of titles"
    assert found.tags.count("circle") > 4 * 40
    assert "./0_pendulum" in found.values("href")
    assert ("html", "lang", "en") in found.attributes
    assert all(scope in ("col", "row") for scope in found.values("scope"))
    assert found.tags.count("th") == len(found.values("scope"))
    pictures = [label for label in found.values("aria-label") if label.startswith("return of env=pendulum")]
    assert len(pictures) == 2
    assert "median" in pictures[0]


def test_nothing_comes_from_elsewhere_and_nothing_runs(tmp_path: Path) -> None:
    found = read(write_sweep(tmp_path / "sweep"))
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    assert all(href.startswith("./") for href in found.values("href"))
    assert not found.values("src")
    assert any("default-src 'none'" in content for content in found.values("content"))
    css = (Path(page.__code__.co_filename).with_name("page.css")).read_text()
    assert "url(" not in css
    assert "@import" not in css


def test_what_a_stranger_wrote_stays_text(tmp_path: Path) -> None:
    evil = EVIL.replace("/", "")  # which no folder's name can hold
    for number in range(3):
        name = f"{number}_javascript:alert(1) {evil}"
        words = (f"env={EVIL}{number}", f"{EVIL}=1", f"seed={EVIL}")
        metrics = {**some_metrics(number), "name": EVIL, "film": "javascript:alert(1)", EVIL: 1}
        write_run(
            tmp_path / "sweep" / name, "failed" if number == 2 else "finished", EVIL, words, EVIL, EVIL, **metrics
        )  # type: ignore[arg-type]
    found = read(tmp_path / "sweep")
    assert not {"script", "img"} & set(found.tags)
    assert not any(key.startswith("on") for _, key, _ in found.attributes)
    assert all(href.startswith("./") and "javascript:" not in href for href in found.values("href"))
    assert "<script>alert(1)</script>" in found.text, "it is shown as what it is"
    assert "\x1b" not in found.text


def test_posters_are_inside_and_lead_to_the_films(tmp_path: Path) -> None:
    for number in range(3):
        folder = write_run(
            tmp_path / "sweep" / f"{number}_x", command="render", overrides=(f"env=e{number}",), frames=3
        )
        Image.new("RGB", (640, 480), (number, 0, 0)).save(folder / "poster.png")
        (folder / "video.mp4").touch()
    (folder / "poster.png").write_bytes(b"\x89PNG nothing")
    found = read(tmp_path / "sweep")
    sources = found.values("src")
    assert len(sources) == 2, "what is no picture is left out"
    assert all(source.startswith("data:image/jpeg;base64,") and len(source) < 5000 for source in sources)
    assert found.values("alt") == ["a frame of env=e0", "a frame of env=e1"]
    assert found.values("href").count("./0_x/video.mp4") == 2, "at the poster and in the table"


def test_where_groups_are_left_out_it_is_said_how_many_there_are(tmp_path: Path) -> None:
    for number in range(70):
        metrics = some_metrics(number) if number >= 15 else {"name": "A", "steps_per_second": 100.0}
        write_run(tmp_path / "sweep" / f"{number}_x", overrides=(f"env=e{number}",), **metrics)
    text = read(tmp_path / "sweep").text
    assert text.count("The first 60 of 70; all are in the table below.") == 1, "of the speeds; 55 have returns"
    assert text.count("The first ") == 1


@pytest.mark.parametrize(("values", "curve"), [(("1", "2", "4"), True), (("1", "2", "null"), False)])
def test_speed_is_a_curve_over_a_number_and_bars_over_anything_else(
    tmp_path: Path, values: tuple[str, ...], curve: bool
) -> None:
    for number, value in enumerate(values):
        write_run(tmp_path / "sweep" / f"{number}_x", overrides=(f"frame_skip={value}",))
    found = read(tmp_path / "sweep")
    assert ("curves" in found.values("class")) == curve
    assert ("bar" in found.values("class")) != curve


def test_a_sample_of_episodes_is_called_one(tmp_path: Path) -> None:
    for number, metrics in enumerate(({}, {"quantiles_of": 16384, "return_quantiles": [1.0, 2.0]})):
        write_run(tmp_path / "sweep" / f"{number}_x", **metrics)
    assert "with more episodes than 16,384, they are of a random sample of so many" in read(tmp_path / "sweep").text
    assert "random sample" not in read(tmp_path / "sweep" / "0_x").text


def test_a_run_without_episodes_has_no_figure_of_them(tmp_path: Path) -> None:
    found = read(write_run(tmp_path / "Pong" / "a", return_mean=None, return_quantiles=[], steps_per_second=5.0))
    assert "A rollout of Pong" in found.text
    assert "Returns" not in found.text


def test_seeds_that_failed_or_ran_again_are_not_counted_as_more(tmp_path: Path) -> None:
    for number, seed in enumerate((1, 2, 3, 1)):
        state = "failed" if seed == 2 else "finished"
        write_run(tmp_path / f"{number}_x", state, overrides=(f"seed={seed}",), seed=seed, return_mean=5 * seed)
    text = read(tmp_path).text
    assert "seedsrunsreturn2 of 33 of 410 ± 7.1" in text
    assert "over the seeds; runs of the same seed are averaged first, and count as one." in text
