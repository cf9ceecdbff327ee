"""Speed as a ratio to the library's own loop, in one process: far below what is measured, so a busy machine passes."""

from __future__ import annotations

import time
from collections.abc import Callable

import gymnasium
import pytest
import torch
from tensordict.nn import TensorDictModule

from envcli.backends.gym import GymEnv

STEPS = 4000


def seconds(work: Callable[[], object], repeats: int = 5) -> float:
    """The best CPU time of some runs."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


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
        bare = seconds(bare_loop(env))
        ours = seconds(lambda: env.rollout(STEPS, break_when_any_done=False))
    assert bare / ours >= 0.5, f"{bare / ours:.2f} of the speed of the bare loop"


def test_a_step_by_hand_costs_a_few_bare_steps() -> None:
    steps = 1000
    with GymEnv("CartPole-v1") as env:
        bare = seconds(bare_loop(env, steps))
        action = env.rand_action()

        def by_hand() -> None:
            td = env.reset()
            for _ in range(steps):
                td = env.step_mdp(env.step(td.update(action)))
                if td["done"]:
                    td = env.reset()

        ours = seconds(by_hand)
    assert ours / bare <= 25, f"{ours / bare:.1f} bare steps for a step by hand"


def test_a_policy_costs_little_more_than_itself() -> None:
    steps = 1000
    with GymEnv("CartPole-v1", categorical_action_encoding=True) as env:
        module = TensorDictModule(lambda x: (x[..., 2] > 0).long(), in_keys=["observation"], out_keys=["action"])
        td = env.reset()
        bare = seconds(bare_loop(env, steps))
        alone = seconds(lambda: [module(td) for _ in range(steps)])
        ours = seconds(lambda: env.rollout(steps, module, break_when_any_done=False))
    assert ours - alone <= 12 * bare, f"{(ours - alone) / bare:.1f} bare steps beyond policy and env"


def test_all_checks_cost_a_fraction_of_a_step() -> None:
    with GymEnv("CartPole-v1", checks="off") as unchecked, GymEnv("CartPole-v1", checks="full") as checked:
        runs = [lambda env=env: env.rollout(STEPS, break_when_any_done=False) for env in (unchecked, checked)]
        none, full = seconds(runs[0]), seconds(runs[1])
    assert full / none <= 1.3, f"{full / none:.2f} of the time without checks"
