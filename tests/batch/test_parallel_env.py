"""Many envs in several processes."""

from __future__ import annotations

import gc
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch import worker_pool
from envcli.batch.bell import Bell
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.batch.worker_pool import WorkerPool
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs import kept_rows
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, SpecError
from envcli.memory import spare_memory
from envcli.memory.buffer import RolloutBuffer
from envcli.memory.shared_memory import SharedMemory
from envcli.shards.loading import load_rollout
from envcli.shards.memmap_folder import MemmapFolder
from envcli.testing.contract import EnvContract
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter


def transformed() -> Env:
    return TransformedEnv(CountingEnv(4), Compose(StepCounter(max_steps=3), RewardSum()))


class BatchContract(EnvContract):
    """A batch is open from its first use on, and after close() it can be started anew, as TorchRL's can."""

    def test_with_closes(self) -> None:
        with self.make_env() as env:
            assert env.is_closed
            env.reset()
            assert not env.is_closed
        assert env.is_closed

    def test_use_after_close_is_refused(self) -> None:
        env = self.make_env()
        env.reset()
        env.close()
        assert env.is_closed
        try:
            assert env.rollout(2).shape == (*env.batch_size, 2)
        finally:
            env.close()


class TestSerial(BatchContract):
    def make_env(self) -> Env:
        return SerialEnv(3, CountingEnv)


class TestParallel(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(3, CountingEnv, num_workers=2)


class TestBatches(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(3, lambda: SerialEnv(2, CountingEnv), num_workers=2)


class TestNested(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(2, NestedEnv, num_workers=2)


class TestStateless(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(2, StatelessEnv, num_workers=2)


class TestTransformsInside(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(3, transformed, num_workers=2)


class TestTransformsOutside(BatchContract):
    def make_env(self) -> Env:
        return TransformedEnv(
            ParallelEnv(3, CountingEnv, num_workers=2), Compose(StepCounter(max_steps=3), RewardSum())
        )


def test_workers_write_straight_into_files(tmp_path: Path) -> None:
    with SerialEnv(3, transformed) as env:
        env.set_seed(3)
        torch.manual_seed(0)
        expected = env.rollout(30, break_when_any_done=False)
    folder = MemmapFolder(tmp_path / "rollout")
    with ParallelEnv(3, transformed, num_workers=2) as env:
        env.set_seed(3)
        torch.manual_seed(0)
        rows = folder.allocate(env._row_layout(), 40, env.batch_size)
        env.rollout(30, break_when_any_done=False, out=rows)
        folder.finish(rows)
    saved = load_rollout(tmp_path / "rollout")
    assert saved.shape == (3, 30)
    assert all(torch.equal(saved[key], expected[key]) for key in expected.keys(True, True))


def test_rows_can_be_used_again() -> None:
    with ParallelEnv(3, transformed, num_workers=2) as env:
        rows = env._buffer(20)
        for _ in range(3):
            env.set_seed(3)
            torch.manual_seed(0)
            again = env.rollout(20, break_when_any_done=False, out=rows).clone()
            env.set_seed(3)
            torch.manual_seed(0)
            fresh = env.rollout(20, break_when_any_done=False)
            assert all(torch.equal(again[key], fresh[key]) for key in fresh.keys(True, True))
            env.rollout(7, break_when_any_done=False, out=rows)


def test_rows_that_workers_cannot_reach_are_refused() -> None:
    with ParallelEnv(2, CountingEnv, num_workers=2) as env:
        rows = RolloutBuffer.allocate(env._row_layout(), 4, env.batch_size)
        with pytest.raises(SpecError, match="in private memory of this process"):
            env.rollout(4, out=rows)
        assert env.rollout(4).shape == (2, 4)


def test_a_result_outlives_its_batch() -> None:
    with ParallelEnv(2, CountingEnv, num_workers=2) as env:
        data = env.rollout(4)
    assert data["observation"].flatten().tolist() == [0, 1, 2, 3] * 2
    assert pickle.loads(pickle.dumps(data))["observation"].shape == (2, 4, 1)


def test_the_number_of_envs_may_be_given_by_the_name_it_has_elsewhere() -> None:
    env = ParallelEnv(num_workers=3, create_env_fn=CountingEnv)
    assert env.num_envs == 3
    assert env.num_workers <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": 0}, "num_workers: found 0"),
        ({"num_workers": "3"}, "num_workers: found '3', expected a whole number"),
        ({"num_workers": True}, "num_workers: found True"),
        ({"start_method": "frok"}, "start_method: found 'frok', expected one of forkserver, spawn, fork"),
        ({"step_timeout": -1}, "step_timeout: found -1"),
        ({"start_timeout": float("nan")}, "start_timeout: found nan"),
        ({"step_timeout": None}, "step_timeout: found None, expected seconds, or 0 for no limit"),
        ({"close_timeout": "5"}, "close_timeout: found '5', expected seconds, or 0 for no limit"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ParallelEnv(2, CountingEnv, **options)


@pytest.mark.parametrize("seconds", [float("inf"), 1e12, 0.5])
def test_a_limit_of_any_size_is_one(seconds: float) -> None:
    with ParallelEnv(2, CountingEnv, num_workers=2, step_timeout=seconds, close_timeout=seconds) as env:
        assert env.rollout(3).shape == (2, 3)


def test_two_threads_take_turns_or_are_told_so(tmp_path: Path) -> None:
    begun = tmp_path / "begun"

    class Slow(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            begun.touch()
            time.sleep(0.3)
            return super()._step(tensordict)

    with ParallelEnv(2, Slow, num_workers=2) as env, ThreadPoolExecutor(1) as other:
        env.start()
        under_way = other.submit(env.rollout, 4, break_when_any_done=False)
        while not begun.exists():
            time.sleep(0.01)
        with pytest.raises(EnvError, match=r"another thread is using this batch\. Give each a batch of its own"):
            list(env.steps_made)
        assert under_way.result().shape == (2, 4)
        assert list(env.steps_made) == [4, 4]
        assert other.submit(list, env.steps_made).result() == [4, 4]


def test_a_started_one_cannot_be_pickled() -> None:
    with ParallelEnv(2, CountingEnv, num_workers=1) as env:
        env.start()
        with pytest.raises(EnvError, match="cannot be pickled"):
            pickle.dumps(env)


def test_a_worker_has_one_thread_and_the_environment_of_its_maker(monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(CountingEnv):
        def told(self) -> tuple[int, str | None]:
            return torch.get_num_threads(), os.environ.get("TOLD_LATE")

    with ParallelEnv(1, CountingEnv) as env:  # there is a fork server now
        env.start()
        monkeypatch.setenv("TOLD_LATE", "yes")
        with ParallelEnv(2, Asked, num_workers=2) as other:
            other.start()
            assert other.told() == [(1, "yes")] * 2


def test_unseeded_workers_do_not_repeat_each_other() -> None:
    class Lucky(CountingEnv):
        def luck(self) -> tuple[float, float]:
            return torch.rand(()).item(), float(np.random.random())

    with ParallelEnv(4, Lucky, num_workers=4) as env:
        env.start()
        luck = env.luck()
    assert len({number for pair in luck for number in pair}) == 8


class Watching(CountingEnv):
    def in_sight(self) -> tuple[int, int]:
        """Objects that the garbage collector looks through, and those that it does not."""
        return len(gc.get_objects()), gc.get_freeze_count()


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_the_garbage_collector_of_a_worker_leaves_torch_alone(method: str) -> None:
    with ParallelEnv(1, Watching, num_workers=1, start_method=method) as env:
        env.start()
        ((looked_through, left_alone),) = env.in_sight()
    assert 10 * looked_through < left_alone


class Napping(CountingEnv):
    """Takes 5 ms for a step."""

    def _step_row(self, t: int) -> None:
        time.sleep(0.005)
        super()._step_row(t)


def test_the_main_process_is_woken_once_a_step_and_not_by_each_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Bell] = []
    wait = Bell.wait
    with ParallelEnv(4, Napping, num_workers=4) as env:
        actions = env.full_action_spec.zero()
        env.rollout(2, lambda td: td.update(actions))
        monkeypatch.setattr(Bell, "wait", lambda bell: (heard.append(bell), wait(bell)))
        env.rollout(20, lambda td: td.update(actions), break_when_any_done=False)
    steps_and_reset = 21
    assert len(heard) < 2 * steps_and_reset + 2 * 4  # and two words that each answers for itself


def outside() -> Env:
    return TransformedEnv(ParallelEnv(3, CountingEnv, num_workers=2), StepCounter(max_steps=4))


@pytest.mark.parametrize("cheap", [0, 2**20], ids=["lent", "copied"])
@pytest.mark.parametrize("large", [1, 2**20])
@pytest.mark.parametrize("make", [lambda: ParallelEnv(3, CountingEnv, num_workers=2), outside], ids=["plain", "outer"])
def test_rollouts_whose_memory_was_used_before_are_the_same(
    make: Any, large: int, cheap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spare_memory, "_LARGE", large)
    monkeypatch.setattr(kept_rows, "_CHEAP", cheap)

    def with_memory(td: TensorDictBase) -> TensorDictBase:
        return td.update(actions).set("hidden", torch.ones(3, 2))

    with make() as env, make() as fresh:
        actions = env.full_action_spec.zero()
        held = []
        for steps, policy, keep in [
            (9, None, False), (9, None, False), (9, with_memory, False), (9, None, True), (9, None, False),
            (9, None, True), (4, with_memory, False), (9, with_memory, True), (9, None, False), (1, None, False),
            (9, None, False),
        ]:  # fmt: skip
            for one in (env, fresh):
                one.set_seed(0)
                torch.manual_seed(0)
                one.rollout(2)
            torch.manual_seed(0)
            data = env.rollout(steps, policy, break_when_any_done=False)
            torch.manual_seed(0)
            out = RolloutBuffer.allocate(fresh._row_layout(), steps, fresh.batch_size, SharedMemory())
            expected = fresh.rollout(steps, policy, break_when_any_done=False, out=out)
            assert (data == expected).all()
            assert set(data.keys(True, True)) == set(expected.keys(True, True))
            held += [(data, expected.clone())] if keep else []
            del data
        for data, expected in held:
            assert (data == expected).all(), "what somebody keeps is not written again"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's account of mappings")
@pytest.mark.parametrize(("cheap", "each"), [(2**20, 0), (0, 1)], ids=["small", "large"])
def test_any_number_of_rollouts_can_be_kept(cheap: int, each: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux lets a process have 65,530 mappings."""
    monkeypatch.setattr(kept_rows, "_CHEAP", cheap)

    def act(td: TensorDictBase) -> TensorDictBase:
        return td.set("action", actions).set("seen", td["observation"] + 1)

    with ParallelEnv(2, CountingEnv, num_workers=1) as env, SerialEnv(2, CountingEnv) as alone:
        actions = env.full_action_spec.zero()["action"]
        env.set_seed(0)
        alone.set_seed(0)
        kept = [env.rollout(4, act, break_when_any_done=False)]
        gc.collect()  # rows of other tests may end at any time
        before = Path("/proc/self/maps").read_text(encoding="ascii").count("memfd:envcli")
        kept += [env.rollout(4, act, break_when_any_done=False) for _ in range(30)]
        after = Path("/proc/self/maps").read_text(encoding="ascii").count("memfd:envcli")
        assert after - before <= 30 * each
        for data in kept:
            expected = alone.rollout(4, act, break_when_any_done=False)
            assert (data == expected).all()
            assert data.names == expected.names


@pytest.mark.parametrize(("cheap", "told"), [(2**20, 0), (0, 1)], ids=["small", "large"])
@pytest.mark.parametrize("make", [lambda: ParallelEnv(3, CountingEnv, num_workers=2), outside], ids=["plain", "outer"])
def test_workers_that_are_bound_to_the_same_memory_are_not_told(
    make: Any, cheap: int, told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_rows, "_CHEAP", cheap)
    asked: list[str] = []
    ask = WorkerPool.ask

    def spy(pool: WorkerPool, name: str, args: Any = None) -> list[Any]:
        asked.append(name)
        return ask(pool, name, args)

    with make() as env:
        env.rollout(5)
        monkeypatch.setattr(WorkerPool, "ask", spy)
        for _ in range(4):
            env.rollout(5, break_when_any_done=False)
        assert asked.count("bind") <= told
        kept = env.rollout(5, break_when_any_done=False)
        again = env.rollout(5, break_when_any_done=False)
        assert asked.count("bind") <= 2 * told
        assert kept["observation"].data_ptr() != again["observation"].data_ptr()


def test_a_ctrl_c_while_workers_are_told_of_new_rows_leaves_old_ones_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    in_words = worker_pool.in_words

    def interrupted(thing: Any) -> bytes:
        if thing[0] == "bind":
            monkeypatch.setattr(worker_pool, "in_words", in_words)
            raise KeyboardInterrupt
        return in_words(thing)

    with ParallelEnv(2, lambda: CountingEnv(limit=20), num_workers=2) as env:
        held = env.rollout(9)
        kept, last = held.clone(), env.step_mdp(held[:, -1])
        monkeypatch.setattr(worker_pool, "in_words", interrupted)
        with pytest.raises(KeyboardInterrupt):
            env.rand_step(last.clone())
        after = env.rand_step(last.clone())
        assert (after["next", "observation"] == last["observation"] + 1).all()
        assert (held == kept).all()


class Calibrating(CountingEnv):
    """Has methods that make steps of their own, or another env of it."""

    def calibrate(self) -> float:
        self.reset()
        return self.rollout(3)["observation"].sum().item()


def scaled() -> Env:
    return TransformedEnv(CountingEnv(7), RewardScaling(0.0, 2.0))


def normalized(loc: float) -> Env:
    return TransformedEnv(CountingEnv(7), ObservationNorm(loc, 1.0, in_keys=["observation"]))


BATCHES = [SerialEnv, ParallelEnv]


@pytest.mark.parametrize("batch", BATCHES)
def test_a_method_of_the_envs_may_make_steps(batch: Any) -> None:
    with batch(2, lambda: Calibrating(limit=7)) as env:
        first = env.rollout(6, break_when_any_done=False).clone()
        assert env.calibrate() == [3.0, 3.0]
        again = env.rollout(6, break_when_any_done=False)
        assert (again["next", "observation"] == first["next", "observation"]).all()
        row = env.reset()
        env.calibrate()
        env.reset()
        assert (env.rand_step(row)["next", "observation"] == row["observation"] + 1).all(), (
            "the rows of single steps too"
        )


def test_a_method_of_the_envs_may_append_a_transform() -> None:
    with ParallelEnv(2, scaled, num_workers=2) as env:
        torch.manual_seed(0)
        before = env.rollout(4)["next", "reward"].clone()
        env.insert_transform(1, RewardScaling(0.0, 10.0))
        torch.manual_seed(0)
        assert (env.rollout(4)["next", "reward"] == 10 * before).all()


@pytest.mark.parametrize("batch", BATCHES)
def test_what_is_loaded_is_there_in_the_next_rollout(batch: Any) -> None:
    with batch(2, lambda: normalized(1000.0)) as other:
        state = other.state_dict()
    with batch(2, lambda: normalized(0.0)) as env:
        before = env.rollout(5)["observation"].clone()
        env.load_state_dict(state)
        assert torch.allclose(env.rollout(5)["observation"], before + 1000)


class FailsInItsSecondStep(CountingEnv):
    def _step_row(self, t: int) -> None:
        if self._count.any():
            raise RuntimeError("no further")
        super()._step_row(t)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_step_that_fails_while_something_else_waits_for_it_is_never_received(wrapped: bool) -> None:
    with ParallelEnv(2, FailsInItsSecondStep, num_workers=2) as batch:
        env = TransformedEnv(batch, RewardScaling(0.0, 10.0)) if wrapped else batch
        td = env.rand_step(env.reset())
        env.async_step_send(env.rand_action(env.step_mdp(td)))
        with pytest.raises(EnvError, match="no further"):
            list(batch.steps_made)
        with pytest.raises(EnvError, match=r"no step is in progress|the step failed"):
            env.async_step_recv()
