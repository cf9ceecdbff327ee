"""Ray itself: two machines, as far as it can tell, and what is lost there."""

from __future__ import annotations

import gc
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import cloudpickle
import pytest
import torch
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import EnvError
from envcli.ray.ray_env import RayEnv
from envcli.seeding import seed_chain
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.batch.faults import makers
from tests.batch.test_determinism import assert_same_bits
from tests.batch.test_faults import interrupted
from tests.test_overhead import fulfilled

pytest.importorskip("ray", reason="Ray is not installed: pip install 'envcli[ray]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),
    pytest.mark.timeout(300),  # an actor imports torch, which takes its time where machines are busy
    # Ray's test cluster drops handles of processes that it ends itself, later
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

cloudpickle.register_pickle_by_value(sys.modules[__name__])

SOON = 20.0  # seconds: a second or so, on a busy machine
STEPS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines, as far as Ray can tell."""
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_worker_niceness="0")
    from ray.cluster_utils import Cluster

    missed = {"health_check_period_ms": 500, "health_check_timeout_ms": 2000, "health_check_initial_delay_ms": 0}
    head = {"num_cpus": 2, "object_store_memory": 2**28, "_system_config": missed}  # a lost machine is missed sooner
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(num_cpus=2, object_store_memory=2**28)
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module", autouse=True)
def connection(cluster: Any) -> Iterator[Any]:
    """To connect takes seconds: it is done once, and the envs find it done."""
    import ray

    usual = signal.getsignal(signal.SIGTERM)
    ray.init(cluster.address, log_to_driver=False, logging_level=logging.ERROR)
    yield ray
    ray.shutdown()
    signal.signal(signal.SIGTERM, usual)


@pytest.fixture(autouse=True)
def _what_ray_forgets_is_found_here() -> Iterator[None]:
    """And not by a later test, where nobody expects its warnings."""
    yield
    gc.collect()


def cartpole() -> Env:
    return TransformedEnv(GymEnv("CartPole-v1"), Compose(StepCounter(max_steps=30), RewardSum()))


def rollout(env: Env, policy: Any = None, **options: Any) -> TensorDictBase:
    env.set_seed(7)
    torch.manual_seed(1)
    return env.rollout(STEPS, policy, break_when_any_done=False, **options)


def test_the_bits_are_the_same_and_both_machines_work() -> None:
    import ray

    with SerialEnv(6, cartpole) as one, RayEnv(6, cartpole, num_actors=3) as other:
        assert_same_bits(rollout(other), rollout(one))
        assert_same_bits(rollout(other, upright), rollout(one, upright))
        assert other._pool is not None
        nodes = ray.get([handle.actor.__ray_call__.remote(where) for handle in other._pool._handles])
        assert len(set(nodes)) == 2
    assert ray.is_initialized(), "who did not connect does not disconnect"


def where(actor: Any) -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def upright(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", torch.nn.functional.one_hot((td["observation"][..., 2] > 0).long(), 2))


def test_speed_is_that_of_workers_of_ours() -> None:
    from envcli.batch.parallel_env import ParallelEnv

    make = lambda: GymEnv("CartPole-v1")  # noqa: E731  # read twice, named once
    with RayEnv(64, make, num_actors=2) as ray_env, ParallelEnv(64, make, num_workers=2) as ours:
        works = [lambda env=env: env.rollout(500, break_when_any_done=False) for env in (ray_env, ours)]
        fast, _ = fulfilled(lambda ray, own: ray < 2 * own, *works, rounds=15, clock=time.perf_counter)
    assert fast  # 1.05 of the time on a quiet machine


def actors_of(env: RayEnv) -> list[int]:
    """The process of each."""
    import ray

    assert env._pool is not None
    get_pid = lambda actor: os.getpid()  # noqa: E731
    return ray.get([handle.actor.__ray_call__.remote(get_pid) for handle in env._pool._handles])


def told(env: Env, message: str) -> pytest.ExceptionInfo[EnvError]:
    env._require_open()  # to start actors takes its time
    began = time.perf_counter()
    with pytest.raises(EnvError) as caught:
        env.rollout(STEPS, break_when_any_done=False)
    assert time.perf_counter() - began < SOON
    assert re.search(message, str(caught.value))  # not by match=, which reads the notes too
    assert env.is_closed
    return caught


def test_a_lost_actor_is_named_at_once() -> None:
    env = RayEnv(4, makers("is killed", "step", at=7), num_actors=2)
    env.set_seed(10)
    SEED2, SEED3 = seed_chain(10, 2)[-1], seed_chain(10, 3)[-1]
    told(env, rf"^envs 2 to 3 \(actor 1, seeds {SEED2}, {SEED3}\) in step \d or later: its process died \(Worker un")
    assert env.rollout(3).shape == (4, 3), "it can be started again"
    env.close()


def test_a_hung_actor_is_named_at_the_deadline() -> None:
    env = RayEnv(4, makers("hangs", "step", at=7), num_actors=2, step_timeout=3.0)
    told(
        env,
        r"^envs 2 to 3 \(actor 1\) in step \d+( or later)?: no answer in 3 s. If it needs longer",
    )


class Slow(CountingEnv):
    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        time.sleep(0.002)
        return super()._step(tensordict)


def test_an_interrupt_ends_the_actors() -> None:
    env = RayEnv(4, Slow, num_actors=2)
    env.start()
    pids = actors_of(env)
    made: list[int] = []
    with interrupted(0, within=5.0, ready=lambda: bool(made)):
        env.rollout(1_000_000, break_when_any_done=False, progress=made.append)
    assert env.is_closed
    until = time.monotonic() + SOON
    while any(map(is_alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_alive, pids))


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_too_little_room_is_named() -> None:
    env = RayEnv(2, CountingEnv, num_actors=2, cpus_per_actor=3, start_timeout=2.0)
    with pytest.raises(EnvError, match=r"no room for 2 actors of 3 CPUs after 2 s: 4 of its 4 CPUs are free. Use few"):
        env.start()
    assert env.is_closed
    with RayEnv(2, CountingEnv, num_actors=2, cpus_per_actor=0, start_timeout=110) as env:
        assert env.rollout(2).shape == (2, 2)


def test_a_machine_can_be_lost(cluster: Any) -> None:
    node = cluster.add_node(num_cpus=4, object_store_memory=2**28)
    with RayEnv(6, Slow, num_actors=3, on_worker_death="restart", start_timeout=100) as env:
        env.set_seed(7)
        import ray

        nodes = ray.get([handle.actor.__ray_call__.remote(where) for handle in env._pool._handles])  # type: ignore[union-attr]
        there = nodes.count(node.node_id)
        assert there >= 1
        timer = threading.Timer(0.5, cluster.remove_node, (node, False))
        timer.start()
        data = env.rollout(400, break_when_any_done=False)
        timer.join()
        assert len(env.restarts) == there
        assert data["next", "restarted"].any(1).sum() == 2 * there
