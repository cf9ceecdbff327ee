"""Run an env and save every step.

The rollout is written as memory-mapped tensors while it runs; read it with envcli.load_rollout(folder). Ctrl-C stops it
and keeps all steps so far.

  envcli rollout env=pendulum max_steps=1000 seed=3 frame_skip=2
  envcli rollout backend.name=MountainCar-v0 transforms=step_counter
  envcli rollout -m env=pendulum,cartpole 'seed=range(0,3)'
  envcli rollout env=cartpole parallel=processes parallel.num_envs=64
  envcli rollout env=humanoid_walk parallel=ray parallel.num_actors=2
  envcli rollout 'env_list=[air_raid,pong]' transforms=pixels parallel=processes
  envcli rollout env=cheetah_run total_steps=10_000_000
  envcli rollout resume=outputs/rollout/cheetah-run/2025-01-31_12-00-00-000000
  envcli rollout -m resume=outputs/rollout/multirun/2025-01-31_12-00-00-000000
  envcli rollout replay=outputs/rollout/Pendulum-v1/2025-01-31_12-00-00-000000
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

from envcli.errors import ConfigError
from envcli.folders.env_state import write_env_state
from envcli.folders.json_file import plain
from envcli.folders.run_folder import RunFolder
from envcli.terminal.answer import answer, number, relative_path
from envcli.terminal.episode_lines import episode_lines, restarts_line
from envcli.terminal.progress import Progress
from envcli.terminal.summary import summary
from envcli.typed_word import word
from envcli.vocabulary import registry
from envcli.vocabulary.schema import EnvConfig, at_least, key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from envcli.envs.env import Env
    from envcli.policies.policy import BoundPolicy
    from envcli.recorders.recorder import Recorder
    from envcli.trackers.tracker import Tracker

__all__ = ["KEEPS", "Config", "run"]

KEEPS = True

log = logging.getLogger(__name__)

_TOLD = 3  # restarts of workers that are reported one by one


@dataclass
class Config(EnvConfig):
    """What ``envcli rollout`` reads."""

    recorder: dict[str, Any] = field(default_factory=dict)  # Any: what its class takes
    tracker: dict[str, Any] = field(default_factory=lambda: {"type": "none"})  # older runs have none
    total_steps: int | None = key(None, "steps of all envs together, saved in shards and resumable; replaces max_steps")
    shard_steps: int | None = key(
        None, "with total_steps: steps of each env per shard; null: as many as fit in about 128 MiB"
    )
    overwrite: bool = key(
        False, "replace an earlier run in the same folder (hydra.run.dir=...) once this one is done", typed=True
    )
    replay: str | None = key(None, "repeat the run in this folder exactly; takes no other key", typed=True)
    resume: str | None = key(
        None,
        "continue the stopped total_steps run in this folder, or with -m the stopped sweep; takes no other key",
        typed=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("total_steps", self.total_steps, 1)
        at_least("shard_steps", self.shard_steps, 1)
        if self.shard_steps is not None and self.total_steps is None:
            raise ConfigError("shard_steps: only a rollout with total_steps is written in shards. Add total_steps=...")
        if self.total_steps is not None and self.break_when_any_done:
            raise ConfigError("total_steps and break_when_any_done cannot be combined. Leave one of them out.")


def run(cfg: Config, folder: RunFolder) -> float | None:
    """Build, run, write, report. Returns the mean return of the episodes that ended."""
    from envcli.batch.remote_batched_env import restarts_of
    from envcli.builder import build, step_seconds
    from envcli.envs.closing import closing
    from envcli.trackers.tracker import following

    tracker = registry.construct("trackers", cfg.tracker, "tracker", cfg.allow_imports, folder=folder.path)
    if folder.resumed and cfg.total_steps is None:
        cure = word("replay", relative_path(folder.path))
        raise ConfigError(f"resume: {folder.path} is not a rollout with total_steps. Type {cure}")
    cfg.settle_torch()
    with contextlib.ExitStack() as until_told:
        with closing(build(vars(cfg))) as env:
            recorder, policy = _parts(env, cfg, folder)
            until_told.enter_context(following(tracker, plain(folder.config)))
            clock, envs, changed = step_seconds(env), env.numel(), list(env._roles().reward_transforms)
            pixels = {"pixels": _look(env)} if "pixels" in env.observation_keys else {}
            start = time.perf_counter()
            try:
                if cfg.total_steps is None:
                    steps, counted = _record(env, recorder, policy, cfg, folder, tracker)
                else:
                    steps, counted = _stream(env, recorder, policy, cfg, folder)
            finally:
                restarts = restarts_of(env)
                _note_restarts(restarts)
            seconds = time.perf_counter() - start
            write_env_state(folder.path, env.state_dict())
        speed = {"seconds": seconds, "steps_per_second": steps / seconds, "step_seconds": clock}
        metrics: dict[str, Any] = {"name": cfg.env_name, "envs": envs, "steps": steps, **speed, **counted}
        metrics |= {
            "restarts": len(restarts),
            "reward_transforms": changed,
            **pixels,
            "seed": cfg.seed,
            "folder": str(folder.home),
        }
        folder.write_metrics(metrics)
        tracker.end(plain(metrics))
        _note_no_numbers(metrics, cfg)
        if not folder.part_of_sweep:  # the table at the end of the sweep shows all jobs
            answer(metrics, lambda: summary(_lines(metrics, folder)), cfg.json)
    mean: float | None = metrics["return_mean"]
    return mean


def _look(env: Env) -> dict[str, Any]:
    """How its pixels are to be seen, for those who film them."""
    from envcli.frames.look import Look

    return asdict(Look.of(env, "pixels"))


def _record(
    env: Env, recorder: Recorder, policy: BoundPolicy | None, cfg: Config, folder: RunFolder, tracker: Tracker
) -> tuple[int, dict[str, Any]]:
    """Run the rollout in the recorder's memory. Returns the number of steps, and the metrics of its episodes.

    Whatever stops it, the steps so far are kept and reported. The tracker is told of each episode.
    """
    from envcli.episodes import Episodes

    buffer = recorder.buffer(env, cfg.max_steps)
    try:
        with Progress(cfg.max_steps * env.numel(), folder.command) as progress:
            rollout = env.rollout(
                cfg.max_steps,
                policy,
                break_when_any_done=cfg.break_when_any_done,
                out=buffer,
                progress=lambda steps: progress(steps * env.numel()),
            )
    except KeyboardInterrupt:
        raise _interrupted(recorder.steps * env.numel(), recorder.finish()) from None
    except BaseException as error:
        error.add_note(_made_before(cfg, recorder.finish()))
        raise
    recorder.finish()
    episodes, envs = Episodes(), env.numel()
    episodes.add(rollout)
    ended = zip(*(values.tolist() for values in episodes.ended), strict=True)
    tracker.episodes((step * envs, returned, length) for step, returned, length in ended)
    return rollout.numel(), episodes.metrics()


def _stream(
    env: Env, recorder: Recorder, policy: BoundPolicy | None, cfg: Config, folder: RunFolder
) -> tuple[int, dict[str, Any]]:
    """As :func:`_record`, but piece by piece in constant memory; episodes are counted, but not told to the tracker."""
    from envcli.envs.stream import pieces
    from envcli.episodes import Episodes

    assert cfg.total_steps is not None
    rows = -(-cfg.total_steps // env.numel())  # a row holds a step of each env
    stream = recorder.stream(env, rows, cfg.shard_steps, folder.resumed)
    episodes, replayed = Episodes(), stream.replayed * env.numel()
    try:
        with Progress(rows * env.numel(), folder.command) as progress:
            for piece in pieces(env, rows, stream, policy, lambda steps: progress(steps * env.numel())):
                episodes.add(piece)
    except KeyboardInterrupt:
        saved = stream.finish(finished=False)
        raise _interrupted(stream.steps * env.numel(), saved, resumable=True) from None
    except BaseException as error:
        error.add_note(_made_before(cfg, stream.finish(finished=False)))
        raise
    stream.finish()
    return rows * env.numel(), {**episodes.metrics(), "replayed": replayed}


def _note_no_numbers(metrics: dict[str, Any], cfg: Config) -> None:
    if metrics["reward_sum"] is None or isfinite(metrics["reward_sum"]):
        return
    checked = [node["backend"] for node in cfg.envs.values()] if cfg.env_list else [cfg.backend]
    cure = "To stop at the first one, add backend.checks=full" if any("checks" in node for node in checked) else ""
    log.warning(
        "reward: NaN or infinite in some steps, and so are the returns. %s", cure or "Fix the env or its transforms"
    )


def _note_restarts(restarts: Sequence[str]) -> None:
    if restarts:
        more = f"; and {number(len(restarts) - _TOLD)} more" if len(restarts) > _TOLD else ""
        log.warning("%s: %s%s", restarts_line(len(restarts)), "; ".join(restarts[:_TOLD]), more)


def _parts(env: Env, cfg: Config, folder: RunFolder) -> tuple[Recorder, BoundPolicy | None]:
    given = {"folder": folder.path / "rollout"}
    recorder = registry.construct("recorders", cfg.recorder, "recorder", cfg.allow_imports, **given)
    policy = registry.construct("policies", cfg.policy, "policy", cfg.allow_imports)
    return recorder, policy.bind(env)


def _made_before(cfg: Config, saved: Path | None) -> str:
    """What a run that failed leaves to look into it."""
    return f"seed {cfg.seed}" + ("" if saved is None else f", the steps so far are kept in {relative_path(saved)}")


def _interrupted(steps: int, saved: Path | None, resumable: bool = False) -> KeyboardInterrupt:
    if saved is None:
        return KeyboardInterrupt(f"interrupted after {number(steps)} steps, nothing kept")
    cure = f". To go on, type: envcli rollout {word('resume', relative_path(saved.parent))}" if resumable else ""
    return KeyboardInterrupt(f"interrupted after {number(steps)} steps, kept in {relative_path(saved)}{cure}")


def _lines(metrics: dict[str, Any], folder: RunFolder) -> Iterator[tuple[str, str]]:
    each = f", {number(metrics['steps'] // metrics['envs'])} of each of {number(metrics['envs'])} envs"
    yield "steps", number(metrics["steps"]) + (each if metrics["envs"] > 1 else "")
    yield from episode_lines(metrics, metrics["reward_transforms"])
    if metrics["episodes"] == 0 and metrics["reward_sum"] is not None:  # None: groups are paid, the root is not
        yield "rewards", f"{number(metrics['reward_sum'])} so far"
    if metrics["restarts"]:
        yield "restarts", restarts_line(metrics["restarts"])
    yield "speed", f"{number(round(metrics['steps_per_second']))} steps/s"
    yield "seed", str(metrics["seed"])
    if metrics.get("replayed"):
        yield "resumed", f"after {number(metrics['replayed'])} steps, which were run again and compared"
    yield "kept in", relative_path(folder.home)
