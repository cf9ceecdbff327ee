"""AsyncEnvPool: whoever is ready is answered, and nobody waits for the others."""

from __future__ import annotations

import copy
import functools
import gc
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from tensordict import LazyStackedTensorDict, TensorDict

from envcli import (
    AsyncEnvPool,
    GymEnv,
    ProcessorAsyncEnvPool,
    SerialEnv,
    ThreadingAsyncEnvPool,
    TransformedEnv,
    VecNorm,
    make_env,
)
from envcli.envs.env import Env
from envcli.errors import ClosedError, ConfigError, EnvError, SpecError
from envcli.testing.contract import EnvContract
from envcli.testing.toys import CountingEnv, DoubleEnv
from tests.batch.faults import Faulty, makers

BACKENDS = ("threading", "multiprocessing")
SLOW = 0.5  # seconds for a step
BUSY = 3.5  # seconds more, for a machine that does other things beside

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def counting(backend: str) -> Iterator[AsyncEnvPool]:
    """Three envs."""
    with AsyncEnvPool([CountingEnv] * 3, backend=backend) as pool:
        yield pool


@pytest.fixture
def uneven(backend: str) -> Iterator[AsyncEnvPool]:
    """Three envs, of which the first is slow."""
    with AsyncEnvPool([lambda i=i: Faulty(seconds=0 if i else SLOW) for i in range(3)], backend=backend) as pool:
        yield pool


class TestThreads(EnvContract):
    def make_env(self) -> Env:
        return ThreadingAsyncEnvPool([CountingEnv] * 2)


class TestProcesses(EnvContract):
    def make_env(self) -> Env:
        return ProcessorAsyncEnvPool([functools.partial(GymEnv, "CartPole-v1")] * 2)


class TestBatches(EnvContract):
    def make_env(self) -> Env:
        return AsyncEnvPool([functools.partial(CountingEnv, batch_size=[2])] * 2)


# -- some of the envs -------------------------------------------------------------------------------------------------


def test_the_backend_says_what_it_is() -> None:
    for backend, kind in zip(BACKENDS, (ThreadingAsyncEnvPool, ProcessorAsyncEnvPool), strict=True):
        with AsyncEnvPool(CountingEnv, backend=backend) as pool:
            assert type(pool) is kind
            assert (pool.backend, pool.num_envs, pool.env_batch_sizes) == (backend, 1, [torch.Size([])])


def test_whoever_is_ready_is_answered_first(uneven: AsyncEnvPool) -> None:
    began = time.perf_counter()
    uneven.async_step_send(uneven.rand_action(uneven.reset()))
    quick = uneven.async_step_recv(min_get=2)
    assert quick["env_index"].tolist() == [1, 2]
    uneven.async_step_send(uneven.rand_action(uneven.step_mdp(quick)))
    assert uneven.async_step_recv(min_get=2)["next", "observation"].flatten().tolist() == [2, 2]
    assert time.perf_counter() - began < SLOW
    assert uneven.async_step_recv()["env_index"].tolist() == [0]
    assert time.perf_counter() - began >= SLOW


def test_at_most_as_many_as_asked_for_are_taken(counting: AsyncEnvPool) -> None:
    counting.async_reset_send()
    seen = [counting.async_reset_recv(max_get=1)["env_index"].item() for _ in range(3)]
    assert sorted(seen) == [0, 1, 2]


def test_those_of_certain_envs_are_waited_for(uneven: AsyncEnvPool) -> None:
    uneven.async_step_send(uneven.rand_action(uneven.reset()))
    assert uneven.async_step_recv(env_index=0)["env_index"].tolist() == [0]
    assert uneven.async_step_recv(env_index=[2, 1])["env_index"].tolist() == [1, 2]
    with pytest.raises(EnvError, match=r"step: nothing was sent to env 1"):
        uneven.async_step_recv(env_index=1)


def test_one_env_alone(counting: AsyncEnvPool) -> None:
    moment = counting.reset()[1]
    counting.async_step_send(moment.set("action", torch.tensor([0.5])))
    found = counting.async_step_recv()
    assert found.batch_size == (1,)
    assert found["env_index"].tolist() == [1]
    assert found["next", "reward"].tolist() == [[0.5]]


def test_the_index_may_be_given_beside(counting: AsyncEnvPool) -> None:
    counting.reset()
    counting.async_step_send(TensorDict({"action": torch.tensor([[0.1], [0.2]])}, [2]), env_index=[2, 0])
    assert counting.async_step_recv(2)["next", "reward"].flatten().tolist() == pytest.approx([0.2, 0.1])  # by env


def test_what_was_sent_may_be_changed_at_once(uneven: AsyncEnvPool) -> None:
    moment = uneven.reset()
    moment["action"] = torch.full((3, 1), 0.5)
    uneven.async_step_send(moment)
    moment["action"].fill_(-1)
    assert uneven.async_step_recv(3)["next", "reward"].flatten().tolist() == [0.5] * 3


def test_an_episode_that_ends_is_followed_by_another(backend: str) -> None:
    with AsyncEnvPool([functools.partial(CountingEnv, 1), CountingEnv], backend=backend) as pool:
        pool.async_step_and_maybe_reset_send(pool.rand_action(pool.reset()))
        made, after = pool.async_step_and_maybe_reset_recv(2)
        assert made["next", "done"].flatten().tolist() == [True, False]
        assert after["observation"].flatten().tolist() == [0, 1]
        assert after["env_index"].tolist() == [0, 1]


def test_some_begin_anew(counting: AsyncEnvPool) -> None:
    counting.rand_step(counting.reset())
    counting.async_reset_send(env_index=[0, 2])
    assert counting.async_reset_recv(2)["env_index"].tolist() == [0, 2]
    moment = counting.rand_step()
    assert moment["next", "observation"].flatten().tolist() == [1, 2, 1]


def test_envs_that_are_batches(backend: str) -> None:
    with AsyncEnvPool([functools.partial(CountingEnv, batch_size=[2])] * 3, backend=backend) as pool:
        shown = pool.reset()
        assert shown.batch_size == (3, 2)
        assert shown["env_index"].tolist() == [[0, 0], [1, 1], [2, 2]]
        pool.async_step_send(pool.rand_action(shown[1:]))
        assert pool.async_step_recv(2)["env_index"].tolist() == [[1, 1], [2, 2]]
        pool.async_step_send(pool.rand_action(shown[1]))
        assert pool.async_step_recv()["env_index"].tolist() == [[1, 1]]


@pytest.mark.parametrize(
    ("stack", "kind"), [("dense", TensorDict), ("maybe_dense", TensorDict), ("lazy", LazyStackedTensorDict)]
)
def test_results_are_stacked_as_asked_for(stack: str, kind: type) -> None:
    with AsyncEnvPool([CountingEnv] * 2, stack=stack) as pool:
        pool.async_step_send(pool.rand_action(pool.reset()))
        found = pool.async_step_recv(2)
        assert type(found) is kind
        assert found["next", "observation"].shape == (2, 1)


def test_random_actions_are_those_that_a_mask_allows(backend: str) -> None:
    pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (extra pettingzoo)")
    with AsyncEnvPool([functools.partial(make_env, "env=connect_four")] * 2, backend=backend) as pool:
        pool.async_step_and_maybe_reset_send(pool.rand_action(pool.reset()))
        for _ in range(60):  # longer than a game
            _, moment = pool.async_step_and_maybe_reset_recv()
            pool.async_step_and_maybe_reset_send(pool.rand_action(moment))
        pool.async_step_and_maybe_reset_recv(2)
        assert pool.rollout(50, break_when_any_done=False).batch_size == (2, 50)


# -- the same as of a batch -------------------------------------------------------------------------------------------


def test_a_rollout_is_that_of_a_batch(backend: str) -> None:
    make = functools.partial(GymEnv, "CartPole-v1")
    with AsyncEnvPool([make] * 3, backend=backend) as pool, SerialEnv(3, make) as batch:
        found = []
        for env in (pool, batch):
            assert env.set_seed(10) == 3288080526
            torch.manual_seed(0)
            found.append(env.rollout(50, break_when_any_done=False))
        ours, theirs = found
        assert (ours.pop("env_index") == torch.arange(3)[:, None]).all()
        assert (ours == theirs).all()


def test_the_order_of_the_answers_changes_nothing(backend: str) -> None:
    """Steps that are made one by one, in any order, are those that are made together."""
    with AsyncEnvPool([functools.partial(GymEnv, "CartPole-v1")] * 3, backend=backend) as pool:
        together, alone = [], []
        pool.set_seed(1)
        moment = pool.reset()
        for _ in range(5):
            made = pool.step(moment.set("action", torch.eye(2, dtype=torch.int64)[[0, 1, 0]]))
            together.append(made["next", "observation"])
            moment = pool.step_mdp(made)
        pool.set_seed(1)
        moment = pool.reset()
        for order in ([2, 0, 1], [1, 2, 0], [0, 1, 2], [2, 1, 0], [1, 0, 2]):
            moment["action"] = torch.eye(2, dtype=torch.int64)[[0, 1, 0]]
            for i in order:
                pool.async_step_send(moment[i])
            made = torch.cat([pool.async_step_recv(env_index=i) for i in range(3)])
            alone.append(made["next", "observation"])
            moment = pool.step_mdp(made)
        assert torch.equal(torch.stack(together), torch.stack(alone))


def test_a_partial_reset(counting: AsyncEnvPool) -> None:
    moment = counting.step_mdp(counting.rand_step(counting.reset()))
    moment["_reset"] = torch.tensor([[False], [True], [False]])
    assert counting.reset(moment)["observation"].flatten().tolist() == [1, 0, 1]


def test_what_the_envs_have_learnt(backend: str) -> None:
    def make() -> Env:
        return TransformedEnv(CountingEnv(), VecNorm(in_keys=["observation"]))

    with AsyncEnvPool([make] * 2, backend=backend) as pool, SerialEnv(2, make) as batch:
        pool.rollout(3)
        state = pool.state_dict()
        assert list(state) == ["worker0", "worker1"]
        batch.load_state_dict(state)
        pool.eval()
        pool.load_state_dict(batch.state_dict())
        said = "expected the states of 2 envs, 'worker0' to 'worker1', found 1: there is no 'worker1'"
        with pytest.raises(SpecError, match=said):
            pool.load_state_dict({"worker0": state["worker0"]})


def test_arguments_of_the_makers(backend: str) -> None:
    with AsyncEnvPool([CountingEnv] * 2, backend=backend, create_env_kwargs=[{"limit": 1}, {"limit": 2}]) as pool:
        assert pool.rand_step(pool.reset())["next", "done"].flatten().tolist() == [True, False]


def test_an_env_may_be_given_itself(backend: str) -> None:
    with AsyncEnvPool([CountingEnv(), CountingEnv(1)], backend=backend) as pool:
        assert pool.rand_step(pool.reset())["next", "done"].flatten().tolist() == [False, True]


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"env_makers": []}, "env_makers: found 0, expected a whole number of at least 1"),
        ({"backend": "asyncio"}, "backend: found 'asyncio', expected one of threading, multiprocessing"),
        ({"stack": "sparse"}, "stack: found 'sparse', expected one of dense, maybe_dense, lazy"),
        ({"create_env_kwargs": [{}]}, "create_env_kwargs: found 1 for 2 envs, expected one for each"),
        ({"worker_affinity": [[0], [0]]}, "worker_affinity: threads use the cores of their process"),
        ({"worker_affinity": [[0]], "backend": "multiprocessing"}, "worker_affinity: found 1 for 2 envs"),
        ({"step_timeout": -1, "backend": "multiprocessing"}, "step_timeout"),
    ],
)
def test_bad_arguments(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AsyncEnvPool(**{"env_makers": [CountingEnv] * 2, **options})


def test_envs_of_other_specs(backend: str) -> None:
    with pytest.raises(SpecError, match="env 1 does not fit the batch"):
        AsyncEnvPool([CountingEnv, DoubleEnv], backend=backend)


def test_a_busy_env_is_not_sent_to(uneven: AsyncEnvPool) -> None:
    moment = uneven.rand_action(uneven.reset())
    uneven.async_step_send(moment[:2])
    for again in (lambda: uneven.async_step_send(moment), uneven.async_reset_send, uneven.reset, uneven.rand_step):
        with pytest.raises(EnvError, match=r"envs 0, 1 are busy"):
            again()
    uneven.async_step_recv(2)
    assert uneven.rand_step()["next", "observation"].flatten().tolist() == [2, 2, 1]


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ([0, 0], r"found \[0, 0\]"),
        ([3, 0], r"different envs from 0 to 2, found \[3, 0\]"),
        ([1], r"of \[1\], found \[2\]"),
    ],
)
def test_a_send_to_nobody(index: list[int], said: str) -> None:
    with AsyncEnvPool([CountingEnv] * 3) as pool:
        with pytest.raises(SpecError, match=said):
            pool.async_step_send(pool.rand_action(pool.reset())[:2], env_index=index)
        with pytest.raises(SpecError, match="no 'env_index' in the TensorDict"):
            pool.async_step_send(pool.rand_action(pool.reset()).exclude("env_index"))


def test_more_than_is_under_way(uneven: AsyncEnvPool) -> None:
    with pytest.raises(EnvError, match="step: asked for at least 1 of 0 envs that were sent one"):
        uneven.async_step_recv()
    uneven.async_step_send(uneven.rand_action(uneven.reset()))
    for least, most in ((4, None), (0, None), (2, 1)):
        with pytest.raises(EnvError, match=f"asked for at least {least}"):
            uneven.async_step_recv(least, max_get=most)
    with pytest.raises(EnvError, match="reset: asked for at least 1 of 0"):
        uneven.async_reset_recv()
    with pytest.raises(TimeoutError, match=r"step: \d of 3 envs were ready in 0.01 s"):
        uneven.async_step_recv(3, timeout=0.01)
    assert len(uneven.async_step_recv(3)) == 3


def test_a_closed_pool(backend: str) -> None:
    pool = AsyncEnvPool([CountingEnv] * 2, backend=backend)
    moment = pool.rand_action(pool.reset())
    pool.shutdown()
    for use in (lambda: pool.async_step_send(moment), pool.async_step_recv, lambda: pool.set_seed(1)):
        with pytest.raises(ClosedError):
            use()


def test_it_is_not_copied(counting: AsyncEnvPool) -> None:
    with pytest.raises(EnvError, match="cannot be pickled or copied"):
        copy.deepcopy(counting)


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_env_that_fails_leaves_the_others_alone(backend: str) -> None:
    with AsyncEnvPool(makers("raises", "step", at=1), backend=backend) as pool:
        moment = pool.step_mdp(pool.rand_step(pool.reset()))
        pool.async_step_send(pool.rand_action(moment))
        others = pool.async_step_recv(env_index=[0, 1, 3])
        assert others["next", "observation"].flatten().tolist() == [2, 2, 2]
        with pytest.raises((EnvError, ValueError), match="the first line") as caught:
            pool.async_step_recv()
        assert "env 2" in "".join([str(caught.value), *getattr(caught.value, "__notes__", ())])
        pool.async_step_send(pool.rand_action(pool.step_mdp(others)))
        assert pool.async_step_recv(3)["next", "observation"].flatten().tolist() == [3, 3, 3]


def test_a_dead_process_is_named_at_once_and_replaced() -> None:
    with AsyncEnvPool(makers("is killed", "step"), backend="multiprocessing") as pool:
        pool.set_seed(10)
        began = time.perf_counter()
        pool.async_step_send(pool.rand_action(pool.reset()))
        said = r"env 2 \(worker 2, seed 2460402094\) in step 0: the worker was killed by SIGKILL"
        with pytest.raises(EnvError, match=said):
            pool.async_step_recv(4)
        assert time.perf_counter() - began < 1 + BUSY
        assert pool.async_step_recv(3)["env_index"].tolist() == [0, 1, 3]
        pool.async_reset_send(env_index=2)
        assert pool.async_reset_recv()["observation"].tolist() == [[0]]


def test_a_hung_process_is_named_at_its_deadline() -> None:
    with AsyncEnvPool(makers("hangs", "step"), backend="multiprocessing", step_timeout=1) as pool:
        pool.async_step_send(pool.rand_action(pool.reset()))
        assert pool.async_step_recv(3)["env_index"].tolist() == [0, 1, 3]
        with pytest.raises(EnvError, match=r"env 2 \(worker 2\) in step 0: no answer in 1 s"):
            pool.async_step_recv()


def test_closing_does_not_wait_for_a_hung_env() -> None:
    pool = AsyncEnvPool(makers("hangs", "step"), backend="multiprocessing", close_timeout=0.5)
    pool.async_step_send(pool.rand_action(pool.reset()))
    began = time.perf_counter()
    with pytest.raises(EnvError, match=r"env 2 in step: no answer in 0.5 s. If it needs longer, raise close_timeout"):
        pool.close()
    assert time.perf_counter() - began < 1.5 + BUSY
    assert pool.is_closed


def test_closing_does_not_wait_for_a_hung_thread() -> None:
    held = threading.Event()

    class Held(CountingEnv):
        def _step(self, tensordict: Any) -> Any:
            held.wait()
            return super()._step(tensordict)

    pool = AsyncEnvPool([Held, CountingEnv], close_timeout=0.2)
    pool.async_step_send(pool.rand_action(pool.reset()))
    with pytest.raises(EnvError, match=r"env 0 in step: no answer in 0.2 s.* Its thread lasts as long as this process"):
        pool.close()
    held.set()


def test_an_env_that_cannot_be_built(backend: str) -> None:
    with pytest.raises((EnvError, ValueError), match="the first line") as caught:
        AsyncEnvPool(makers("raises", "build"), backend=backend)
    assert "env 2" in "".join([str(caught.value), *getattr(caught.value, "__notes__", ())])


def test_one_that_fails_to_close(backend: str) -> None:
    pool = AsyncEnvPool(makers("raises", "close"), backend=backend)
    with pytest.raises((EnvError, ValueError), match="the first line"):
        pool.close()


def test_one_that_nobody_closes_ends_its_threads(backend: str) -> None:
    def ours() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "envcli-env"]

    before = len(ours())
    pool = AsyncEnvPool([CountingEnv] * 2, backend=backend)
    pool.reset()
    assert len(ours()) == before + 2
    del pool
    gc.collect()
    assert len(ours()) == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity of processes to cores")
def test_processes_use_the_cores_they_are_given() -> None:
    core = min(os.sched_getaffinity(0))
    with AsyncEnvPool([_OnCores], backend="multiprocessing", worker_affinity=lambda index: [core + index]) as pool:
        assert pool.reset()["observation"].tolist() == [[1]]


class _OnCores(CountingEnv):
    """Shows how many cores it may use."""

    def _reset(self, tensordict: Any, **options: Any) -> Any:
        shown = super()._reset(tensordict, **options)
        return shown.set("observation", torch.full((1,), float(len(os.sched_getaffinity(0)))))
