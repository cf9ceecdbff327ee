"""Many envs in Ray actors: the bits of any other batch, and what happens when something is lost."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.batch.env_creator import EnvCreator
from envcli.batch.ray_env import RayEnv
from envcli.batch.serial_env import SerialEnv
from envcli.env import Env
from envcli.errors import ConfigError, EnvError, SpecError
from envcli.memmap import MemmapFolder, load_rollout
from envcli.seeding import seed_chain
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transformed_env import TransformedEnv
from envcli.transforms.compose import Compose
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.batch.faults import makers
from tests.batch.test_determinism import assert_same_bits
from tests.batch.test_faults import interrupted
from tests.batch.test_parallel_env import BatchContract

pytest.importorskip("ray", reason="Ray is not installed: pip install 'envcli[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

cloudpickle.register_pickle_by_value(sys.modules[__name__])

SOON = 20.0  # seconds: a second or so, on a busy machine
STEPS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two machines, as far as Ray can tell."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 2**28})
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


def cartpole() -> Env:
    return TransformedEnv(GymEnv("CartPole-v1"), Compose(StepCounter(max_steps=30), RewardSum()))


def pendulum() -> Env:
    return GymEnv("Pendulum-v1", frame_skip=2)


def upright(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", torch.nn.functional.one_hot((td["observation"][..., 2] > 0).long(), 2))


def remembering(td: TensorDictBase) -> TensorDictBase:
    """Has a hidden state, an opinion, and rewrites what it sees."""
    hidden = td.get("hidden", torch.zeros(*td.batch_size, 1))
    td["next", "hidden"] = hidden + 1
    td["opinion"] = td["observation"] * 2
    td["observation"] = td["observation"].round(decimals=1)
    return upright(td)


def rollout(env: Env, policy: Any = None, **options: Any) -> TensorDictBase:
    env.set_seed(7)
    torch.manual_seed(1)
    return env.rollout(STEPS, policy, break_when_any_done=False, **options)


@pytest.mark.parametrize("make", [cartpole, pendulum, lambda: CountingEnv([2, 3], [2]), NestedEnv])
def test_any_number_of_actors_gives_the_same_bits(make: Callable[[], Env]) -> None:
    with SerialEnv(5, make) as env:
        data = rollout(env)
    for actors in (1, 2, 4):
        with RayEnv(5, make, num_actors=actors) as env:
            assert_same_bits(rollout(env), data)
            assert_same_bits(rollout(env), data)


@pytest.mark.parametrize("policy", [upright, remembering])
@pytest.mark.parametrize("in_actors", [True, False])
def test_a_policy_gives_the_same_bits(policy: Any, in_actors: bool) -> None:
    with SerialEnv(5, cartpole) as one, RayEnv(5, cartpole, num_actors=2, policy_in_actors=in_actors) as other:
        data = rollout(one, policy)
        assert_same_bits(rollout(other, policy), data)
        assert_same_bits(rollout(other), rollout(one))
        start = one.step_mdp(data[:, -1])
        begun = {"auto_reset": False, "tensordict": start, "break_when_any_done": False}
        assert_same_bits(other.rollout(20, policy, **begun), one.rollout(20, policy, **begun))


def test_a_policy_in_the_actors_is_asked_there() -> None:
    asked = []

    def policy(td: TensorDictBase) -> TensorDictBase:
        asked.append(td.shape)
        return td.set("pid", torch.full(td.shape, os.getpid())).set("action", torch.zeros(*td.shape, 1))

    with RayEnv(4, CountingEnv, num_actors=2) as env:
        pids = rollout(env, policy)["pid"]
        assert not asked
        assert len(pids.unique()) == 2
        assert (pids != os.getpid()).all()
        env.rollout(3, policy)  # it is to stop where an env is done
        assert len(asked) == 3


def test_other_ends_and_single_steps_give_the_same_bits() -> None:
    with SerialEnv(4, cartpole) as one, RayEnv(4, cartpole, num_actors=3) as other:
        for options in ({"break_when_any_done": True}, {"break_when_all_done": True}, {"set_truncated": True}):
            found = []
            for env in (one, other):
                env.set_seed(3)
                torch.manual_seed(2)
                found.append(env.rollout(25, **options))
            assert_same_bits(*found)
        tds = []
        for env in (one, other):
            env.set_seed(3)
            torch.manual_seed(2)
            td = env.reset()
            for _ in range(40):
                env.async_step_send(env.rand_action(td))
                row = env.async_step_recv()
                td = env.maybe_reset(env.step_mdp(row))
            tds.append(row)
        assert_same_bits(*tds)
        assert list(other.step_seconds) == list(one.step_seconds)
        assert other.state_dict().keys() == one.state_dict().keys()


def test_state_that_comes_in_with_each_step() -> None:
    with SerialEnv(3, StatelessEnv) as one, RayEnv(3, StatelessEnv, num_actors=2) as other:
        assert_same_bits(rollout(other), rollout(one))


def test_rows_go_into_files(tmp_path: Path) -> None:
    with RayEnv(4, cartpole, num_actors=2) as env, SerialEnv(4, cartpole) as one:
        folder = MemmapFolder(tmp_path / "it")
        buffer = folder.allocate(env._row_layout(), STEPS, env.batch_size)
        rollout(env, out=buffer)
        folder.finish(buffer)
        assert_same_bits(load_rollout(tmp_path / "it"), rollout(one))


def test_speed_is_that_of_workers_of_ours() -> None:
    from envcli.batch.parallel_env import ParallelEnv

    make = lambda: GymEnv("CartPole-v1")  # noqa: E731  # read twice, named once
    with RayEnv(64, make, num_actors=2) as ray_env, ParallelEnv(64, make, num_workers=2) as ours:
        best = []
        for env in (ours, ray_env):
            env.rollout(500, break_when_any_done=False)
        for env in (ours, ray_env, ours, ray_env, ours, ray_env):
            began = time.perf_counter()
            env.rollout(1000, break_when_any_done=False)
            best.append(time.perf_counter() - began)
    assert min(best[1::2]) < 2 * min(best[::2])  # 1.05 on a quiet machine


# -- what goes wrong ------------------------------------------------------------------------------------------------


def actors_of(env: RayEnv) -> list[int]:
    """The process of each."""
    import ray

    assert env._crew is not None
    get_pid = lambda actor: os.getpid()  # noqa: E731
    return ray.get([remote.actor.__ray_call__.remote(get_pid) for remote in env._crew._remotes])


def told(env: Env, message: str, seconds: float = SOON) -> pytest.ExceptionInfo[EnvError]:
    began = time.perf_counter()
    with pytest.raises(EnvError, match=message) as caught:
        env.rollout(STEPS, break_when_any_done=False)
    assert time.perf_counter() - began < seconds
    assert env.is_closed
    return caught


SEED2 = seed_chain(10, 2)[-1]
SEED3 = seed_chain(10, 3)[-1]


def test_an_exception_is_named_with_its_traceback() -> None:
    env = RayEnv(4, makers("raises", "step", at=7), num_actors=2)
    env.set_seed(10)
    caught = told(env, rf"^env 2 \(actor 1, seed {SEED2}\) in step 7: ValueError: the first line and the second$")
    assert "in fail" in "".join(caught.value.__notes__)
    for kind in ("raises what cannot be pickled", "calls sys.exit"):
        told(RayEnv(4, makers(kind, "reset"), num_actors=2), r"^env 2 \(actor 1\) in reset before step 0: ")
    told(RayEnv(4, makers("raises", "build"), num_actors=2), r"^env 2 \(actor 1\) in build: ValueError")


def test_a_lost_actor_is_named_at_once(capfd: pytest.CaptureFixture[str]) -> None:
    env = RayEnv(4, makers("is killed", "step", at=7), num_actors=2)
    env.set_seed(10)
    capfd.readouterr()
    told(env, rf"^envs 2 to 3 \(actor 1, seeds {SEED2}, {SEED3}\) in step \d or later: its process died \(Worker un")
    time.sleep(0.5)
    assert capfd.readouterr() == ("", "")
    assert env.rollout(3).shape == (4, 3), "it can be started again"
    env.close()
    told(RayEnv(4, makers("exits", "build"), num_actors=2), r"^envs 2 to 3 \(actor 1\) in build: its process died")


def test_a_hung_actor_is_named_at_the_deadline() -> None:
    env = RayEnv(4, makers("hangs", "step", at=7), num_actors=2, step_timeout=1.0)
    told(env, r"^envs 2 to 3 \(actor 1\) in step \d+( or later)?: no answer in 1 s. If it needs longer, raise step_timeout")


def test_the_policy_is_named() -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        raise KeyError("nothing")

    with RayEnv(4, CountingEnv, num_actors=2) as env, pytest.raises(
        EnvError, match=r"^the policy of envs [02] to [13] \(actor [01]\) in step 0: KeyError: 'nothing'"
    ):
        env.rollout(3, policy, break_when_any_done=False)


def test_a_question_may_fail() -> None:
    with RayEnv(4, CountingEnv, num_actors=2) as env:
        env.start()
        with pytest.raises(AttributeError, match="env 0 .*'colour'"):
            list(env.colour)
        assert not env.is_closed
        assert list(env.steps_made) == [0] * 4


class Slow(CountingEnv):
    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        time.sleep(0.002)
        return super()._step(tensordict)


def test_an_interrupt_ends_the_actors() -> None:
    env = RayEnv(4, Slow, num_actors=2)
    env.start()
    pids = actors_of(env)
    with interrupted(1.0, within=5.0):
        env.rollout(1_000_000, break_when_any_done=False)
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


@pytest.mark.parametrize("policy_given", [False, True])
def test_a_lost_actor_is_replaced(policy_given: bool) -> None:
    act = (lambda td: td.set("action", torch.zeros(*td.shape, 1))) if policy_given else None
    with RayEnv(6, Slow, num_actors=3, on_worker_death="restart") as env:
        env.set_seed(7)
        victims = actors_of(env)
        timers = [
            threading.Timer(after, os.kill, (pid, signal.SIGKILL))
            for after, pid in zip((0.5, 1.0), victims[:2], strict=True)
        ]
        for timer in timers:
            timer.start()
        data = env.rollout(500, act, break_when_any_done=False)
        assert len(env.restarts) == 2
        assert not set(victims[:2]) & set(actors_of(env))
        again = env.rollout(4, act)
    rows = [data["next", "restarted"][i].flatten().nonzero().flatten().tolist() for i in range(6)]
    assert rows[0] == rows[1]
    assert rows[2] == rows[3]
    assert [len(found) for found in rows] == [1, 1, 1, 1, 0, 0]
    assert not again["next", "restarted"].any()
    done = data["next", "done"][..., 0]
    for i in range(6):  # every row follows from the one before
        count, following = data["observation"][i, :, 0], data["next", "observation"][i, :, 0]
        restarted = data["next", "restarted"][i, :, 0]
        assert torch.equal(following, count + (~restarted).float())
        assert torch.equal(count[1:], torch.where(done[i, :-1], 0, following[:-1]))
        assert torch.equal(done[i], restarted | (following == 5))
    with SerialEnv(6, CountingEnv) as undisturbed:
        undisturbed.set_seed(7)
        starts = undisturbed.rollout(500, lambda td: td.set("action", torch.zeros(6, 1)), break_when_any_done=False)
    assert torch.equal(data["start"][4:], starts["start"][4:])


def test_who_is_lost_again_before_it_has_made_a_row_is_raised() -> None:
    class Hopeless(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            os._exit(3)

    env = RayEnv(2, [CountingEnv, Hopeless], num_actors=2, on_worker_death="restart")
    caught = told(env, r"^env 1 \(actor 1\) in step 0")
    assert "It had been restarted, after: env 1 (actor 1) in step 0" in "".join(caught.value.__notes__)


def test_a_machine_can_be_lost(cluster: Any) -> None:
    node = cluster.add_node(num_cpus=4, object_store_memory=2**28)
    with RayEnv(6, Slow, num_actors=3, on_worker_death="restart", start_timeout=100) as env:
        env.set_seed(7)
        import ray

        nodes = ray.get([r.actor.__ray_call__.remote(where) for r in env._crew._remotes])  # type: ignore[union-attr]
        there = nodes.count(node.node_id)
        assert there >= 1
        timer = threading.Timer(0.5, cluster.remove_node, (node, False))
        timer.start()
        data = env.rollout(400, break_when_any_done=False)
        timer.join()
        assert len(env.restarts) == there
        assert data["next", "restarted"].any(1).sum() == 2 * there


def where(actor: Any) -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def test_too_little_room_is_named() -> None:
    env = RayEnv(9, CountingEnv, num_actors=9, start_timeout=2.0)
    with pytest.raises(EnvError, match=r"no room for 9 actors of 1 CPUs after 2 s: .* CPUs are free. Take fewer \(par"):
        env.start()
    assert env.is_closed
    with RayEnv(9, CountingEnv, num_actors=9, cpus_per_actor=0) as env:
        assert env.rollout(2).shape == (9, 2)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="share no statistics. Type: parallel=processes"):
        RayEnv(2, EnvCreator(CountingEnv))
    with pytest.raises(ConfigError, match="cpus_per_actor: found -1"):
        RayEnv(2, CountingEnv, cpus_per_actor=-1)
    with pytest.raises(SpecError, match="on_worker_death=restart needs a 'truncated' flag"):
        RayEnv(2, StatelessEnv, on_worker_death="restart").start()
    with pytest.raises(SpecError, match="env 2 does not fit the batch"):
        RayEnv(3, [CountingEnv, CountingEnv, NestedEnv], num_actors=2).start()


class TestRay(BatchContract):
    def make_env(self) -> Env:
        return RayEnv(3, CountingEnv, num_actors=2, cpus_per_actor=0)


class TestRestartingRay(BatchContract):
    def make_env(self) -> Env:
        return RayEnv(2, NestedEnv, num_actors=2, on_worker_death="restart", cpus_per_actor=0)
