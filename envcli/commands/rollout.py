"""Run an env, and keep everything that happened.

The rollout is written as memory-mapped tensors while it is made: read it with envcli.load_rollout(folder). Ctrl-C keeps
what there is by then.

  envcli rollout env=pendulum max_steps=1000 seed=3 frame_skip=2
  envcli rollout backend.name=MountainCar-v0 transforms=[step_counter]
  envcli rollout -m env=pendulum,cartpole 'seed=range(0,3)'
  envcli rollout env=cartpole parallel=processes parallel.num_envs=64
  envcli rollout env_list=[air_raid,pong] transforms=pixels parallel=processes
  envcli rollout replay=outputs/rollout/Pendulum-v1/2025-01-31_12-00-00-000000
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envcli import registry
from envcli.answer import answer, number
from envcli.progress import Progress
from envcli.run_folder import RunFolder, near, plain
from envcli.schema import EnvConfig, key

if TYPE_CHECKING:
    from rich.table import Table
    from tensordict import TensorDictBase

    from envcli.env import Env
    from envcli.trackers.tracker import Tracker

__all__ = ["Config", "run"]


@dataclass
class Config(EnvConfig):
    """What ``envcli rollout`` reads."""

    recorder: dict[str, Any] = field(default_factory=dict)  # Any: what its class takes
    tracker: dict[str, Any] = field(default_factory=lambda: {"type": "none"})  # runs that were saved earlier have none
    replay: str | None = key(None, "a run folder: do exactly the same again; takes no other key")


def run(cfg: Config, folder: RunFolder) -> float | None:
    """Build, run, write, report. Returns the mean return of the episodes that ended."""
    with registry.construct("trackers", cfg.tracker, "tracker", cfg.allow_imports, folder=folder.path) as tracker:
        tracker.begin(plain(vars(cfg)))
        return _run(cfg, folder, tracker)


def _run(cfg: Config, folder: RunFolder, tracker: Tracker) -> float | None:
    import torch

    from envcli.builder import build, step_seconds
    from envcli.episodes import Episodes

    assert cfg.seed is not None  # drawn by then
    torch.manual_seed(cfg.seed)  # random actions come from torch's global generator
    with build(vars(cfg)) as env:
        clock, envs = step_seconds(env), env.numel()
        start = time.perf_counter()
        rollout = _record(env, cfg, folder)
        seconds = time.perf_counter() - start
    steps, episodes = rollout.numel(), Episodes.of(rollout)
    speed = {"seconds": seconds, "steps_per_second": steps / seconds, "step_seconds": clock}
    counts = {"name": cfg.env_name, "envs": envs, "steps": steps, **speed}
    metrics: dict[str, Any] = {**counts, **episodes.metrics(), "seed": cfg.seed, "folder": str(folder.path)}
    folder.write_metrics(metrics)
    tracker.episodes((step * envs, returned, length) for step, returned, length in episodes.in_order())
    tracker.end(plain(metrics))
    if not folder.part_of_sweep:  # the table at the sweep's end says it for all jobs
        answer(metrics, lambda: _table(metrics, folder), cfg.json)
    mean: float | None = metrics["return_mean"]
    return mean


def _record(env: Env, cfg: Config, folder: RunFolder) -> TensorDictBase:
    """The rollout, in the recorder's memory; whatever stops it, what was made by then is kept and named."""
    given = {"folder": folder.path / "rollout"}
    recorder = registry.construct("recorders", cfg.recorder, "recorder", cfg.allow_imports, **given)
    policy = registry.construct("policies", cfg.policy, "policy", cfg.allow_imports).bind(env)
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
        saved = recorder.finish()
        kept = f"kept in {near(saved)}" if saved else "nothing kept"
        raise KeyboardInterrupt(f"interrupted after {recorder.steps * env.numel()} steps, {kept}") from None
    except BaseException:
        recorder.finish()
        raise
    recorder.finish()
    return rollout


def _table(metrics: dict[str, Any], folder: RunFolder) -> Table:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="ignore", no_wrap=True)  # a broken path cannot be copied
    unfinished = metrics["unfinished_episodes"]
    cut = f" and {number(unfinished)} cut off by the end" if unfinished else ""
    each = f", {number(metrics['steps'] // metrics['envs'])} of each of {metrics['envs']} envs"
    table.add_row("steps", number(metrics["steps"]) + (each if metrics["envs"] > 1 else ""))
    table.add_row("episodes", f"{number(metrics['episodes'])}{cut}")
    for name, unit in (("return", ""), ("length", " steps")):
        if metrics[f"{name}_mean"] is not None:
            mean, low, high = (number(metrics[f"{name}_{kind}"]) for kind in ("mean", "min", "max"))
            table.add_row(name, f"mean {mean}, from {low} to {high}{unit}")
    if not metrics["episodes"]:
        table.add_row("rewards", f"{number(metrics['reward_sum'])} so far")
    table.add_row("speed", f"{number(round(metrics['steps_per_second']))} steps/s")
    table.add_row("seed", str(metrics["seed"]))
    table.add_row("kept in", near(folder.path))
    return table
