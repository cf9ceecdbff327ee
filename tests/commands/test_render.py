"""``envcli render``: what it writes, opened."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from envcli.frames.contact_sheet import ContactSheet
from envcli.frames.scene import Frame

pytest.importorskip("pygame", reason="gymnasium draws CartPole and Pendulum with pygame")

Command = Callable[..., Any]


def picture(path: Path) -> np.ndarray:
    with Pillow.open(path) as image:
        return np.asarray(image)


def folder_of(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "outputs" / "render").glob("*/*")
    return found


def test_a_film_a_poster_and_a_sheet(cli: Command, tmp_path: Path) -> None:
    done = cli("render", "env=pendulum", "max_steps=20", "format=gif", "seed=0", "json=true")
    assert done.code == 0, done.err
    answer = json.loads(done.out)
    assert answer["frames"] == 21
    assert answer["fps"] == 30
    folder = folder_of(tmp_path)
    with Pillow.open(folder / "video.gif") as film:
        assert film.n_frames == 21
        assert film.size == (500, 500)
    assert picture(folder / "poster.png").shape == (500, 500, 3)
    assert picture(folder / "contact_sheet.png").shape[1] == 4 * 240 + 3 * 8
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"


def test_a_fast_gif_says_what_it_leaves_out(cli: Command, tmp_path: Path) -> None:
    words = ("env=pendulum", "max_steps=19", "format=gif", "fps=100", "seed=0")
    done = cli("render", *words)
    assert "frames    10, 0.2 s at 100 frames per second; 10 left out, as GIF shows at most 50 per second" in done.out
    with Pillow.open(folder_of(tmp_path) / "video.gif") as film:
        assert film.n_frames == 10


def test_a_film_that_would_fill_the_memory_is_refused_before_it_is_made(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envcli.films.animation._HELD", 10 * 500 * 500 * 3)
    done = cli("render", "env=pendulum", "max_steps=10", "format=gif", "seed=0")
    assert done.code == 2
    assert done.err == (
        "error: format: this one holds its frames in memory, at most 10 of this size (1 GiB). Type: max_steps=9 or "
        "format=mp4\n"
    )
    assert cli("render", "env=pendulum", "max_steps=9", "format=gif", "seed=0").code == 0


def test_a_film_whose_length_was_not_known_is_kept_as_far_as_it_fits(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envcli.films.animation._HELD", 10 * 500 * 500 * 3)
    done = cli("render", "env=pendulum", "episodes=1", "format=webp", "seed=0")
    folder = folder_of(tmp_path)
    assert (done.code, f"(1 GiB); these are kept in {folder.relative_to(tmp_path)}. Type" in done.err) == (2, True)
    with Pillow.open(folder / "video.webp") as film:
        assert film.n_frames == 10
    assert json.loads((folder / "metrics.json").read_text())["frames"] == 10


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_a_film_that_ctrl_c_stopped_is_whole(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "mp4":
        pytest.importorskip("imageio_ffmpeg")
    looked_at: list[Frame] = []

    def add(sheet: ContactSheet, frame: Frame, plain: Any = ContactSheet.add) -> None:
        looked_at.append(frame)
        if len(looked_at) == 8:
            raise KeyboardInterrupt
        plain(sheet, frame)

    monkeypatch.setattr(ContactSheet, "add", add)
    done = cli("render", "env=pendulum", "max_steps=20", f"format={kind}", "seed=0")
    assert (done.code, "interrupted after 7 frames, kept in" in done.err) == (130, True)
    folder = folder_of(tmp_path)
    assert json.loads((folder / "metrics.json").read_text())["frames"] == 7
    assert json.loads((folder / "status.json").read_text())["state"] == "interrupted"
    assert (folder / f"video.{kind}").stat().st_size > 1000
    assert (folder / "poster.png").is_file()


def test_a_film_that_ctrl_c_stopped_before_it_began_is_none(
    cli: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(sheet: ContactSheet, frame: Frame) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ContactSheet, "add", add)
    done = cli("render", "env=pendulum", "max_steps=20", "format=gif", "seed=0")
    assert (done.code, "interrupted after 0 frames, nothing kept" in done.err) == (130, True)
    assert not (folder_of(tmp_path) / "metrics.json").exists()


def test_episodes_end_the_film(cli: Command) -> None:
    done = cli("render", "env=cartpole", "max_steps=500", "episodes=2", "format=gif", "seed=0")
    assert done.code == 0, done.err
    assert "episodes  2, the last at step" in done.out


def test_a_preview_that_nobody_can_see_is_said(cli: Command) -> None:
    done = cli("render", "env=cartpole", "max_steps=4", "preview=true", "format=gif", "seed=0")
    assert done.code == 0, done.err
    assert "preview: stderr is not a terminal, so nothing is played" in done.err


def test_the_numbers_of_a_batch_are_those_of_its_first_env(cli: Command) -> None:
    words = ["parallel=serial", "parallel.num_envs=3", "max_steps=4", "format=gif", "seed=0"]
    done = cli("render", "env=cartpole", *words)
    assert "episodes  3 in 3 envs, 0 of them complete; the first env at step 4" in done.out


def test_a_run_that_is_to_be_filmed_is_named_by_its_key(cli: Command, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    done = cli("render", "run")
    assert (done.code, "Did you mean 'rollout=run'?" in done.err) == (2, True)


def test_the_pace_is_the_envs_own(cli: Command) -> None:
    done = cli("render", "env=pendulum", "frame_skip=3", "max_steps=4", "format=gif", "json=true")
    assert json.loads(done.out)["fps"] == 10


def test_the_pace_is_that_of_the_steps_that_transforms_repeat(cli: Command, tmp_path: Path) -> None:
    skip = ("env=pendulum", "transforms=[frame_skip]", "transforms.frame_skip.frame_skip=3", "max_steps=4")
    done = cli("render", *skip, "format=gif", "json=true")
    assert json.loads(done.out)["fps"] == 10
    assert cli("rollout", *skip, "from_pixels=true").code == 0
    (run,) = (tmp_path / "outputs" / "rollout").glob("*/*")
    done = cli("render", f"rollout={run}", "format=gif", "json=true")
    assert json.loads(done.out)["fps"] == 10


def test_a_saved_rollout_is_filmed_as_it_was(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "env=cartpole", "from_pixels=true", "max_steps=12", "seed=1").code == 0
    (run,) = (tmp_path / "outputs" / "rollout").glob("*/*")
    done = cli("render", f"rollout={run}", "format=png", "json=true")
    assert done.code == 0, done.err
    frames = sorted(Path(json.loads(done.out)["film"]).iterdir())
    assert len(frames) == 13
    import envcli

    saved = envcli.load_rollout(run)
    assert (picture(frames[5]) == saved["next", "pixels"][4].numpy()).all()


def test_a_saved_rollout_is_filmed_as_long_as_asked_and_keeps_its_seed(cli: Command, tmp_path: Path) -> None:
    assert cli("rollout", "env=cartpole", "from_pixels=true", "max_steps=12", "seed=7").code == 0
    (run,) = (tmp_path / "outputs" / "rollout").glob("*/*")
    for words, frames in (((), 13), (("max_steps=5",), 6), (("max_steps=500",), 13)):
        done = cli("render", f"rollout={run}", "format=png", "json=true", *words)
        answer = json.loads(done.out)
        assert (answer["frames"], answer["seed"]) == (frames, 7)
        folder = Path(answer["film"]).parent
        assert json.loads((folder / "manifest.json").read_text())["seed"] is None


@pytest.mark.parametrize(
    "word",
    ["compare=true", "env=pong", "transforms=[to_tensor_image]", "policy.type=module", "seed=3", "from_pixels=true"],
)
def test_what_says_how_a_rollout_is_made_has_no_place_beside_one(cli: Command, tmp_path: Path, word: str) -> None:
    done = cli("render", f"rollout={tmp_path}", word)
    assert done.code == 2
    assert f"rollout films a recorded run, so it takes no {word!r}. Leave one of them out." in done.err


def test_a_saved_stack_of_floats_is_filmed_in_its_colours(cli: Command, tmp_path: Path) -> None:
    chain = ("transforms=[to_tensor_image,cat_frames]", "transforms.to_tensor_image.from_int=false")
    chain += ("transforms.cat_frames.N=2", "transforms.cat_frames.dim=-3")
    assert cli("rollout", "env=pendulum", "from_pixels=true", "max_steps=3", "seed=1", *chain).code == 0
    assert cli("rollout", "env=pendulum", "from_pixels=true", "max_steps=3", "seed=1").code == 0
    films = []
    for run in sorted((tmp_path / "outputs" / "rollout").glob("*/*")):
        done = cli("render", f"rollout={run}", "format=png", "json=true")
        films.append(picture(Path(json.loads(done.out)["film"]) / "000002.png"))
    assert films[1].std(-1).max() > 10
    assert (films[0] == films[1]).all()


def test_episodes_of_several_envs_are_counted_together(cli: Command) -> None:
    words = ("parallel=serial", "parallel.num_envs=3", "max_steps=200", "episodes=4", "format=png", "seed=0")
    done = cli("render", "env=cartpole", *words)
    assert done.code == 0, done.err
    assert "in 3 envs, 4 of them complete; the first env at step" in done.out


def test_a_rollout_without_pixels_is_said(cli: Command, tmp_path: Path) -> None:
    cli("rollout", "env=cartpole", "max_steps=3")
    (run,) = (tmp_path / "outputs" / "rollout").glob("*/*")
    done = cli("render", f"rollout={run}")
    assert done.code == 2
    assert "has no pixels, only" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["format=mp5"], "Did you mean 'mp4'? (format)"),
        (["compare=true"], "no transforms to compare with"),
        (["from_pixels=false"], "CartPole-v1 shows no pixels. Type: from_pixels=true"),
        (["fps=0"], "fps: found 0"),
        (["rollout=nowhere"], "rollout: no folder nowhere"),
    ],
)
def test_what_cannot_be_filmed_is_one_line(cli: Command, words: list[str], message: str) -> None:
    done = cli("render", *words)
    assert done.code != 0
    assert message in done.err
    assert "Traceback" not in done.err


def test_compare_shows_both(cli: Command) -> None:
    words = ("transforms=[to_tensor_image,gray_scale]", "compare=true", "max_steps=3", "format=png", "json=true")
    done = cli("render", "env=pendulum", *words)
    assert done.code == 0, done.err
    frame = picture(sorted(Path(json.loads(done.out)["film"]).iterdir())[0])
    assert frame.shape == (500, 1004, 3)
    assert (frame[:, 504:, 0] == frame[:, 504:, 1]).all()
    assert not (frame[:, :500, 0] == frame[:, :500, 1]).all()
