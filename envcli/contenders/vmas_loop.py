"""VMAS's own loop, as its documentation writes it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array, Unfit

__all__ = ["vmas_loop"]


def vmas_loop(work: Workload, given: Array | None) -> tuple[Callable[[], None], Callable[[], None]]:
    """``step`` of all envs at once, and ``reset_at`` for each of them that is done.

    Where all are done it is ``reset``. Actions are drawn beforehand by ``get_random_actions``; those that are ``given``
    would be of one agent.
    """
    from envcli.vmas import scenarios

    if work.cfg.get("from_pixels"):
        raise Unfit("VMAS's bare loop draws no frames")
    node, repeat = work.backend, int(work.cfg.get("frame_skip") or 1)
    device = torch.device((work.cfg.get("device") or {}).get("name") or "cpu")
    said = {name: node[name] for name in ("continuous_actions", "max_steps", "terminated_truncated") if name in node}
    options = {**said, **(node.get("options") or {})}
    env = scenarios.make(str(node["name"]), work.envs, device, work.seed, options)
    actions = [env.get_random_actions() for _ in range(work.steps)]

    def run() -> None:
        env.reset()
        for action in actions:
            for _ in range(repeat):
                _, _, *ends, _ = env.step(action)
            done = ends[0] | ends[-1]
            if done.all():
                env.reset()
            elif done.any():
                for i in done.nonzero().flatten().tolist():
                    env.reset_at(i, return_observations=False)
                env.get_from_scenario(get_observations=True, get_rewards=False, get_infos=True, get_dones=False)

    return run, lambda: None
