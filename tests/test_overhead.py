"""Speed as a ratio to the library's own loop, in one process: far below what is measured, so a busy machine passes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

import gymnasium
import pytest
import torch
from tensordict.nn import TensorDictModule

from envcli.backends.gym import GymEnv

STEPS = 4000


def seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """What one run takes."""
    start = clock()
    work()
    return clock() - start


def fulfilled(
    rule: Callable[..., bool],
    *works: Callable[[], object],
    rounds: int = 40,
    clock: Callable[[], float] = time.process_time,
) -> tuple[bool, list[float]]:
    """Whether the best times of these, run in turns, come to fulfil the rule, and those times.

    A busy neighbour makes a run slower and never faster, so the best of more runs is nearer to the truth; and what is
    run in turns has the same neighbours. No rule is fulfilled by fewer than three runs, of which the first warms up.
    """
    best = [math.inf] * len(works)
    for i in range(rounds):
        best = [min(known, seconds(work, clock)) for known, work in zip(best, works, strict=True)]
        if i >= 2 and rule(*best):
            return True, best
    return False, best


def bare_loop(env: GymEnv, steps: int = STEPS) -> Callable[[], object]:
    """The library's own loop with actions made beforehand, storing nothing."""
    space = gymnasium.make(env._env.spec.id).action_space
    actions = [space.sample() for _ in range(steps)]

    def loop() -> None:
        native = env._env
        native.reset()
        for action in actions:
            _, _, terminated, truncated, _ = native.step(action)
            if terminated or truncated:
                native.reset()

    return loop


@pytest.fixture(autouse=True)
def _one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_a_rollout_is_nearly_as_fast_as_the_bare_loop(name: str) -> None:
    with GymEnv(name) as env:
        rollout = partial(env.rollout, STEPS, break_when_any_done=False)
        fast, (bare, ours) = fulfilled(lambda bare, ours: bare / ours >= 0.5, bare_loop(env), rollout)
    assert fast, f"{bare / ours:.2f} of the speed of the bare loop"


def test_a_step_by_hand_costs_a_few_bare_steps() -> None:
    steps = 1000
    with GymEnv("CartPole-v1") as env:
        action = env.rand_action()

        def by_hand() -> None:
            td = env.reset()
            for _ in range(steps):
                td = env.step_mdp(env.step(td.update(action)))
                if td["done"]:
                    td = env.reset()

        fast, (bare, ours) = fulfilled(lambda bare, ours: ours / bare <= 25, bare_loop(env, steps), by_hand)
    assert fast, f"{ours / bare:.1f} bare steps for a step by hand"


def test_a_policy_costs_little_more_than_itself() -> None:
    steps = 1000
    with GymEnv("CartPole-v1", categorical_action_encoding=True) as env:
        module = TensorDictModule(lambda x: (x[..., 2] > 0).long(), in_keys=["observation"], out_keys=["action"])
        td = env.reset()
        fast, (bare, alone, ours) = fulfilled(
            lambda bare, alone, ours: ours - alone <= 12 * bare,
            bare_loop(env, steps),
            lambda: [module(td) for _ in range(steps)],
            lambda: env.rollout(steps, module, break_when_any_done=False),
        )
    assert fast, f"{(ours - alone) / bare:.1f} bare steps beyond policy and env"


def test_all_checks_cost_a_fraction_of_a_step() -> None:
    with GymEnv("CartPole-v1", checks="off") as unchecked, GymEnv("CartPole-v1", checks="full") as checked:
        works = [partial(env.rollout, STEPS, break_when_any_done=False) for env in (unchecked, checked)]
        fast, (none, full) = fulfilled(lambda none, full: full / none <= 1.3, *works)
    assert fast, f"{full / none:.2f} of the time without checks"
