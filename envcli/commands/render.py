"""Film an env, or a saved rollout that contains pixels.

Writes a film, a poster and a contact sheet into a new run folder. An episode begins with the frame after its reset, and
each step adds one frame, in real time by the env's clock. A batch is filmed as a grid, each env in its own time.

  envcli render env=cheetah_run max_steps=300
  envcli render env=pong format=gif max_steps=200
  envcli render env=pendulum preview=true
  envcli render env=pong transforms=atari compare=true
  envcli render env=cartpole parallel=processes parallel.num_envs=9
  envcli render rollout=outputs/rollout/Pong/2025-01-31_12-00-00-000000
"""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envcli.errors import ConfigError, UnknownName
from envcli.folders.json_file import plain, read_json
from envcli.folders.run_folder import RunFolder
from envcli.folders.saved_config import saved_config
from envcli.override import parsed
from envcli.terminal.answer import answer, number, relative_path
from envcli.terminal.progress import Progress
from envcli.terminal.summary import summary
from envcli.vocabulary import registry
from envcli.vocabulary.catalog import existing_folder
from envcli.vocabulary.schema import EnvConfig, at_least, key

if TYPE_CHECKING:
    from tensordict import TensorDictBase

    from envcli.envs.env import Env
    from envcli.films.film import Film
    from envcli.frames.image import Image
    from envcli.frames.scene import Frame, Scene
    from envcli.keys import NestedKey

__all__ = ["KEEPS", "Config", "run"]

KEEPS = True

_CHUNK = 100  # steps of all envs filmed at a time, so frames in memory, besides those that GIF and WebP hold
_RAW = "raw_pixels"
_FPS = 30.0  # frames per second for an env without a clock

BESIDE_ROLLOUT = ("allow_imports", "episodes", "format", "fps", "json", "max_steps", "preview", "tracker")
"""The keys that say how a recorded rollout is filmed; all others say how one is made."""


@dataclass
class Config(EnvConfig):
    """What ``envcli render`` reads."""

    format: str | None = key(
        None, "mp4, png, gif or webp (the last two are held in memory, 1 GiB at most); null: mp4 if installed, else gif"
    )
    fps: float | None = key(None, "frames per second; null: real time by the env's clock, or 30 if it has none")
    episodes: int | None = key(None, "stop after this many episodes, over all envs; null: after max_steps")
    compare: bool = key(False, "show each frame next to what the transforms make of it")
    preview: bool = key(False, "also play the film in the terminal")
    tracker: dict[str, Any] = field(default_factory=lambda: {"type": "none"})  # older runs have none
    rollout: str | None = key(
        None, "film a saved rollout instead: a run folder with pixels; all of it, unless max_steps is typed"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("episodes", self.episodes, 1)
        if self.fps is not None and self.fps <= 0:
            raise ConfigError(f"fps: found {self.fps}, expected a number above 0.")


def run(cfg: Config, folder: RunFolder) -> None:
    """Film, write, report. The tracker starts with the first frame."""
    from envcli.trackers.tracker import following

    tracker = registry.construct("trackers", cfg.tracker, "tracker", cfg.allow_imports, folder=folder.path)
    with contextlib.ExitStack() as until_told:
        metrics = _run(cfg, folder, lambda: until_told.enter_context(following(tracker, plain(folder.config))))
        for path in (Path(metrics["film"]), folder.path / "poster.png", folder.path / "contact_sheet.png"):
            tracker.keep(path)
        tracker.end(plain(metrics))


@dataclass
class _Take:
    """What is filmed.

    Attributes:
        scene: the picture of one step.
        pieces: rollouts that continue each other.
        steps: the number of steps filmed of each env.
        clock: seconds of simulated time in a step; None if that is not known.
        seed: the seed of the rollout; None if that is not known.
    """

    scene: Scene
    pieces: Iterator[TensorDictBase]
    steps: int
    clock: float | None
    seed: int | None


def _run(cfg: Config, folder: RunFolder, begin: Callable[[], None]) -> dict[str, Any]:
    """Film, write, report. Returns the metrics. ``begin`` is called at the first frame."""
    if cfg.rollout is not None:
        typed = any(override.key == "max_steps" for override in parsed(folder.overrides))
        take = _recorded(existing_folder(cfg.rollout, "rollout"), cfg.rollout, cfg.max_steps if typed else None)
        return _film(cfg, folder, begin, take)
    from envcli.builder import build
    from envcli.envs.closing import closing

    cfg.settle_torch()
    with closing(build(_keeping_raw(cfg))) as env:
        return _film(cfg, folder, begin, _live(cfg, env))


def _live(cfg: Config, env: Env) -> _Take:
    """A take of ``env``, which runs while it is filmed."""
    from envcli.builder import step_seconds
    from envcli.frames.look import Look
    from envcli.frames.scene import Scene

    keys = _keys(cfg, env)
    scene = Scene(keys, {key: Look.of(env, key) for key in keys}, cfg.env_list or ())
    return _Take(scene, _pieces(cfg, env), cfg.max_steps, step_seconds(env), cfg.seed)


def _pieces(cfg: Config, env: Env) -> Iterator[TensorDictBase]:
    policy = registry.construct("policies", cfg.policy, "policy", cfg.allow_imports).bind(env)
    last, done, chunk = None, 0, max(1, _CHUNK // env.numel())
    while done < cfg.max_steps:
        steps = min(chunk, cfg.max_steps - done)
        piece = env.rollout(steps, policy, break_when_any_done=False, auto_reset=last is None, tensordict=last)
        yield piece
        last = env.step_mdp(piece[..., -1])
        done += steps


def _recorded(run: Path, given: str, max_steps: int | None) -> _Take:
    """A take of the rollout in the folder ``run``, typed as ``given``; ``max_steps`` None: of all of it."""
    from envcli.frames.look import Look
    from envcli.frames.scene import Scene
    from envcli.shards.loading import load_rollout

    rollout = load_rollout(given)
    shown = list(map(str, rollout["next"].keys()))
    if "pixels" not in shown:
        raise ConfigError(f"rollout: {given} has no pixels, only {', '.join(shown)}. Record it with from_pixels=true")
    metrics, named = read_json(run / "metrics.json"), saved_config(run).get("env_list")
    names = named if isinstance(named, Sequence) and not isinstance(named, str) else ()
    clock = metrics.get("step_seconds")
    clock = clock if isinstance(clock, int | float) and clock > 0 else None  # the file may hold anything
    scene = Scene(["pixels"], {"pixels": Look.read(metrics.get("pixels"))}, list(map(str, names)))
    held = rollout.batch_size[-1]
    steps = held if max_steps is None else min(held, max_steps)
    pieces = (rollout[..., start : min(start + _CHUNK, steps)] for start in range(0, steps, _CHUNK))
    return _Take(scene, pieces, steps, clock, read_json(run / "manifest.json").get("seed"))


def _keeping_raw(cfg: Config) -> dict[str, Any]:
    """The configuration, changed so that the simulator's frames are kept beside what transforms make of them."""
    if not _keeps_raw(cfg):
        return vars(cfg)
    raw = {_RAW: {"type": "rename", "in_keys": ["pixels"], "out_keys": [_RAW], "create_copy": True}}
    return {**vars(cfg), "transforms": {**raw, **cfg.transforms}}


def _keeps_raw(cfg: Config) -> bool:
    """Whether the simulator's frames can be kept; not for different envs, whose frames may differ in size."""
    return bool(cfg.transforms or cfg.outer_transforms) and not cfg.env_list


def _keys(cfg: Config, env: Env) -> list[NestedKey]:
    """The entries that are shown: the simulator's frames and, to compare, what transforms make of them."""
    from envcli.keys import as_path

    shown = {as_path(key) for key in env.observation_keys}
    if not _keeps_raw(cfg):
        if ("pixels",) not in shown:
            raise ConfigError(f"{cfg.env_name} shows no pixels. Type: from_pixels=true")
        if cfg.compare and cfg.env_list:
            raise ConfigError("compare: with different envs only the transformed frames are shown. Type: compare=false")
        if cfg.compare:
            raise ConfigError(
                "compare: there are no transforms to compare with. Type: transforms=[...] or compare=false"
            )
        return ["pixels"]
    if not cfg.compare:
        return [_RAW]
    if ("pixels",) not in shown:
        raise ConfigError("compare: the transforms leave no 'pixels' to compare with. Type: compare=false")
    return [_RAW, "pixels"]


def _film(cfg: Config, folder: RunFolder, begin: Callable[[], None], take: _Take) -> dict[str, Any]:
    from PIL import Image as Pillow

    from envcli.frames.contact_sheet import ContactSheet
    from envcli.frames.image import zoomed
    from envcli.frames.preview import Preview

    fps = cfg.fps or (1 / take.clock if take.clock else _FPS)
    film = _new_film(cfg.format or _best_format(), folder.path, fps)
    sheet, count, last = ContactSheet(), 0, None
    preview = Preview(sys.stderr, fps) if cfg.preview and sys.stderr.isatty() else None
    if cfg.preview and preview is None:
        print("preview: stderr is not a terminal, so nothing is played", file=sys.stderr)
    try:
        with Progress(take.steps, folder.command) if preview is None else contextlib.nullcontext(None) as progress:
            for last in _frames(take, cfg.episodes):
                image = zoomed(last.image)
                if count == 0:
                    _require_room(film, image, take.steps + 1 if cfg.episodes is None else 1)
                    begin()
                _require_room(film, image, count + 1, f"; these are kept in {relative_path(folder.path)}")
                sheet.add(last)
                film.add(image)
                count += 1
                if preview is not None:
                    preview.show(last)
                elif progress is not None:
                    progress(count)
    except KeyboardInterrupt:
        kept = f"kept in {relative_path(folder.path)}" if count else "nothing kept"
        raise KeyboardInterrupt(f"interrupted after {number(count)} frames, {kept}") from None
    finally:
        if count:  # also after Ctrl-C, for what was filmed until then
            Pillow.fromarray(zoomed(sheet.poster())).save(folder.path / "poster.png")
            Pillow.fromarray(sheet.drawn()).save(folder.path / "contact_sheet.png")
            written = film.finish()
            metrics = {"frames": count - film.left_out, "fps": fps, "seconds": count / fps, "film": str(written)}
            metrics |= {"left_out": film.left_out, "seed": take.seed}
            folder.write_metrics({**metrics, "folder": str(folder.path)})
    assert last is not None
    if not folder.part_of_sweep:
        answer(metrics, lambda: summary(_lines(metrics, last, take.scene, folder)), cfg.json)
    return metrics


def _new_film(kind: str, folder: Path, fps: float) -> Film:
    try:
        film: Film = registry.construct("films", {"type": kind}, "format", folder=folder, fps=fps)
    except UnknownName as error:
        raise UnknownName("film format", kind, error.known, "(format)") from None
    return film


def _require_room(film: Film, image: Image, count: int, kept: str = "") -> None:
    """Raise ConfigError unless ``film`` takes ``count`` frames like ``image``."""
    room = film.room(image)
    if room is not None and count > room:
        raise ConfigError(
            f"format: this one holds its frames in memory, at most {number(room)} of this size (1 GiB){kept}. "
            f"Type: max_steps={room - 1} or format=mp4"
        )


def _frames(take: _Take, episodes: int | None) -> Iterator[Frame]:
    """The frames, up to the end of the last of ``episodes``."""
    scene = take.scene
    shown = itertools.chain.from_iterable(scene.frames(piece) for piece in take.pieces)
    for frame in itertools.chain(shown, scene.rest()):
        yield frame
        if episodes is not None and scene.over >= episodes:
            return


def _best_format() -> str:
    if util.find_spec("imageio_ffmpeg") is not None:
        return "mp4"
    print("For MP4, install the extra: pip install 'envcli[video]'", file=sys.stderr)
    return "gif"


def _lines(metrics: dict[str, Any], last: Frame, scene: Scene, folder: RunFolder) -> Iterator[tuple[str, str]]:
    clock = f"{number(metrics['seconds'])} s at {number(metrics['fps'])} frames per second"
    dropped = metrics["left_out"]
    left_out = f"; {number(dropped)} left out, as GIF shows at most 50 per second" if dropped else ""
    yield "frames", f"{number(metrics['frames'])}, {clock}{left_out}"
    if last.envs == 1:
        yield "episodes", f"{last.episode + 1}, the last at {last.caption}"
    else:
        ended = f"{scene.begun} in {last.envs} envs, {scene.over} of them complete"
        yield "episodes", f"{ended}; the first env at {last.caption}"
    yield "film", relative_path(Path(metrics["film"]))
    yield "poster", relative_path(folder.path / "poster.png")
    yield "sheet", relative_path(folder.path / "contact_sheet.png")
