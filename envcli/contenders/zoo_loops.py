"""PettingZoo's own loops, as its documentation writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array

__all__ = ["pettingzoo_loop"]


def pettingzoo_loop(work: Workload, given: Array | None) -> tuple[Callable[[], None], Callable[[], None]]:
    """``step`` with an action for each living agent or, if agents take turns, ``last`` and ``step``.

    Actions are drawn from each agent's space beforehand. With an action mask only random numbers are, and the action is
    chosen by both, since it must be allowed. With pixels, ``render`` after each step and reset.
    """
    from envcli.zoo import tasks

    node, pixels = work.backend, bool(work.cfg.get("from_pixels"))
    parallel = bool(node.get("parallel", True))
    env = tasks.make(str(node["name"]), parallel, dict(node.get("options") or {}), from_pixels=pixels)
    env.reset(seed=work.seed)
    draw = env.render if pixels else _nothing
    said = node.get("done_on_any")
    ends = any if (parallel if said is None else said) else all
    if parallel:
        return _rounds(env, work, draw, ends), env.close
    return _turns(env, work, draw, ends), env.close


def _rounds(env: Any, work: Workload, draw: Callable[[], Any], ends: Callable[[Any], bool]) -> Callable[[], None]:
    actions, repeat = _drawn(env, work), int(work.cfg.get("frame_skip") or 1)

    def run() -> None:
        over = True
        for t in range(work.steps):
            if over:
                env.reset()
                draw()
            for _ in range(repeat):
                _, _, terminations, truncations, _ = env.step({agent: actions[agent][t] for agent in env.agents})
                over = not env.agents or ends(terminations[agent] or truncations[agent] for agent in terminations)
                if over:
                    break
            draw()

    return run


def _turns(env: Any, work: Workload, draw: Callable[[], Any], ends: Callable[[Any], bool]) -> Callable[[], None]:
    actions, chance = _drawn(env, work), np.random.default_rng(work.seed).random(work.steps).tolist()

    def run() -> None:
        over = True
        for t in range(work.steps):
            if over:
                env.reset()
                draw()
            observation, _, terminated, truncated, info = env.last()
            while (terminated or truncated) and env.agents:
                env.step(None)
                observation, _, terminated, truncated, info = env.last()
            mask = observation["action_mask"] if isinstance(observation, dict) else info.get("action_mask")
            action = actions[env.agent_selection][t] if mask is None else _allowed(mask, chance[t])
            env.step(action)
            over = ends(env.terminations[agent] or env.truncations[agent] for agent in env.agents)
            draw()

    return run


def _drawn(env: Any, work: Workload) -> dict[str, list[Any]]:
    drawn = {}
    for agent in env.possible_agents:
        space = env.action_space(agent)
        space.seed(work.seed)
        drawn[agent] = [space.sample() for _ in range(work.steps)]
    return drawn


def _allowed(mask: Array, chance: float) -> int:
    choices = np.flatnonzero(mask)
    return int(choices[int(chance * len(choices))])


def _nothing() -> None:
    return
