"""Measure how fast an env runs, next to others doing the same work.

Contenders take turns, each in its own process, with the same actions where possible. The table shows medians, spread
and pairwise ratios; bench.json keeps all results, raw samples included. A multirun plots speed against the swept key,
and returns the speed to the sweeper.

  envcli bench env=cartpole
  envcli bench env=cartpole 'peers=[native,gymnasium_sync,sb3,torchrl]'
  envcli bench env=pong transforms=atari parallel=processes parallel.num_envs=8
  envcli bench -m env=cartpole parallel=processes parallel.num_envs=1,2,4,8
  envcli bench env=pong transforms=atari 'variant={transforms: [none]}'
  envcli bench env=pong transforms=atari profile=true
  envcli bench env=pong transforms=atari tune=true
  envcli bench baseline=outputs/bench/CartPole-v1/... max_slowdown=1.1
  envcli bench suite=readme strict=true
"""

from __future__ import annotations

from envcli.commands.bench.config import Config
from envcli.folders.run_folder import RunFolder

__all__ = ["KEEPS", "Config", "run"]

KEEPS = True


def run(cfg: Config, folder: RunFolder) -> float | None:
    """Measure, write, report. Returns the subject's env steps per second; None for a suite."""
    if cfg.suite:
        from envcli.commands.bench.suite import measure_suite

        measure_suite(cfg, folder)
        return None
    if cfg.tune:
        from envcli.commands.bench.tuning import tune

        return tune(cfg, folder)
    from envcli.commands.bench.comparison import compare

    return compare(cfg, folder)
