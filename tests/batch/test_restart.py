"""A worker that dies is replaced: its envs' episodes are cut, and all others go on as if nothing had happened."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import torch
from tensordict import TensorDictBase

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, SpecError
from envcli.seeding import seed_chain
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.batch.faults import Faulty, fail
from tests.batch.test_faults import interrupted
from tests.batch.test_parallel_env import BatchContract
from tests.envs.by_hand import by_hand

pytestmark = pytest.mark.usefixtures("nothing_left")

cloudpickle.register_pickle_by_value(sys.modules[__name__])

LIMIT, STEPS, SEED = 5, 23, 7


class Mortal(CountingEnv):
    """Dies in its first life, when it has made ``at`` steps, in ``phase``; ``mark`` remembers that it did."""

    def __init__(
        self, mark: Path | None = None, at: int = 0, phase: str = "step", kind: str = "exits", limit: int = LIMIT
    ) -> None:
        super().__init__(limit)
        self.mark, self.at, self.phase, self.kind = mark, at, phase, kind

    @property
    def training_of(self) -> bool:
        """What a batch has under the same name is its own."""
        return self.training

    def _die_in(self, phase: str) -> None:
        if self.mark is not None and self.phase == phase and self.steps_made >= self.at and not self.mark.exists():
            self.mark.touch()
            fail(self.kind)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self._die_in("reset")
        return super()._reset(tensordict, **options)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self._die_in("step")
        return super()._step(tensordict)

    def ask(self) -> int:
        self._die_in("ask")
        return self.steps_made


def transformed(*args: Any) -> Env:
    return TransformedEnv(Mortal(*args), Compose(StepCounter(), RewardSum()))


def restarting(makers: Any, **options: Any) -> ParallelEnv:
    """Six envs in three shares: 0 1, 2 3, 4 5."""
    return ParallelEnv(6, makers, num_workers=3, on_worker_death="restart", **options)


def mortals(mark: Path, which: int = 3, make: Callable[..., Env] = Mortal, **how: Any) -> list[Callable[[], Env]]:
    if make is transformed:
        return [lambda i=i: transformed(*((mark, how["at"]) if i == which else ())) for i in range(6)]
    return [lambda i=i: make(mark, **how) if i == which else make() for i in range(6)]


def policy(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", (td["observation"] + 1) / (LIMIT + 1))


WAYS: dict[str, Callable[[Env], TensorDictBase]] = {
    "known": lambda env: env.rollout(STEPS, break_when_any_done=False),
    "policy": lambda env: env.rollout(STEPS, policy, break_when_any_done=False),
    "callback": lambda env: env.rollout(STEPS, policy, lambda *_: None, break_when_any_done=False),
    "steps": lambda env: by_hand(env, policy, STEPS),
}


def run(env: Env, way: str) -> TensorDictBase:
    env.set_seed(SEED)
    torch.manual_seed(1)
    return WAYS[way](env)


def flagged(data: TensorDictBase) -> list[list[int]]:
    """Where ``restarted`` is up, as [env, row]; and it is so nowhere but where an episode was cut."""
    restarted = data["next", "restarted"]
    assert torch.equal(restarted & data["next", "truncated"] & data["next", "done"], restarted)
    assert not data["next", "reward"][restarted].any()
    return restarted.squeeze(-1).nonzero().tolist()


def assert_same(one: TensorDictBase, other: TensorDictBase) -> None:
    for key in other.keys(True, True):
        assert torch.equal(one[key], other[key]), key


@pytest.mark.parametrize("make", [Mortal, transformed])
@pytest.mark.parametrize("way", WAYS)
def test_who_dies_is_marked_and_nobody_else_is_touched(way: str, make: Any, tmp_path: Path) -> None:
    with SerialEnv(6, make) as env:
        undisturbed = run(env, way)
    runs = []
    for name in ("one", "two"):
        with restarting(mortals(tmp_path / name, make=make, at=7)) as env:
            data = run(env, way)
            assert len(env.restarts) == 1
            runs.append(data.clone())
    assert_same(*runs)
    others = [0, 1, 4, 5]
    assert_same(data[others].exclude("restarted", ("next", "restarted")), undisturbed[others])
    counts = data["observation"].squeeze(-1).int().tolist()
    assert flagged(data) == [[2, 7], [3, 7]]
    assert counts[2] == counts[3] == [0, 1, 2, 3, 4, 0, 1, 2] + [t % LIMIT for t in range(15)]
    assert torch.equal(data["next", "observation"][3, 7], data["observation"][3, 7])
    assert_same(data[3, :7].exclude("restarted", ("next", "restarted")), undisturbed[3, :7])
    assert data["start"][3, 8] != data["start"][3, 7]
    with Mortal() as alone:
        alone.set_seed(seed_chain(seed_chain(SEED, 3)[-1], 6)[-1])
        assert alone.reset()["start"] == data["start"][3, 8]
    if make is transformed:
        assert data["step_count"][3].flatten().tolist() == counts[3]
        assert data["next", "episode_reward"][3, 7] == data["episode_reward"][3, 7]


@pytest.mark.parametrize("kind", ["is killed", "segfaults", "hangs", "is stopped"])
def test_it_does_not_matter_how_a_worker_is_lost(kind: str, tmp_path: Path) -> None:
    with restarting(mortals(tmp_path / "it", at=7, kind=kind), step_timeout=1.5) as env:
        assert flagged(run(env, "policy")) == [[2, 7], [3, 7]]
        found = "no answer in 1.5 s" if kind in ("hangs", "is stopped") else "the worker was killed by"
        assert len(env.restarts) == 1
        assert "env 3 (worker 1, seed " in env.restarts[0]
        assert found in env.restarts[0]


def test_it_does_not_matter_that_a_worker_was_forked(tmp_path: Path) -> None:
    with restarting(mortals(tmp_path / "it", at=7), start_method="fork") as env:
        assert flagged(run(env, "policy")) == [[2, 7], [3, 7]]


@pytest.mark.slow
def test_it_does_not_matter_that_a_worker_was_spawned(tmp_path: Path) -> None:
    """One, for each imports torch."""
    makers = mortals(tmp_path / "it", at=7)[2:4]
    with ParallelEnv(2, makers, num_workers=1, start_method="spawn", on_worker_death="restart") as env:
        assert flagged(run(env, "policy")) == [[0, 7], [1, 7]]


@pytest.mark.parametrize("way", WAYS)
def test_who_dies_in_a_reset(way: str, tmp_path: Path) -> None:
    with restarting(mortals(tmp_path / "it", at=5, phase="reset")) as env:
        data = run(env, way)
        assert len(env.restarts) == 1
    # where it is an order of its own, the step before it stays, and no episode is cut short
    assert flagged(data) == ([] if way in ("callback", "steps") else [[2, 4], [3, 4]])
    assert data["observation"][3].flatten().int().tolist() == [t % LIMIT for t in range(STEPS)]


@pytest.mark.parametrize("rule", ["any", "all"])
def test_a_rollout_that_stops_at_an_end(rule: str, tmp_path: Path) -> None:
    with restarting(mortals(tmp_path / "it", at=2)) as env:
        env.set_seed(SEED)
        data = env.rollout(STEPS, break_when_any_done=rule == "any", break_when_all_done=rule == "all")
        after = env.rollout(4)
    observed = data["next", "observation"].squeeze(-1).int().tolist()
    if rule == "any":
        assert data.shape == (6, 3)
        assert observed == [[1, 2, 3]] * 2 + [[1, 2, 2]] * 2 + [[1, 2, 3]] * 2
        assert flagged(data) == [[2, 2], [3, 2]]
    else:
        assert data.shape == (6, 5)
        assert observed[2:5] == [[1, 2, 2, 2, 2]] * 2 + [[1, 2, 3, 4, 5]]
        assert flagged(data) == [[i, t] for i in (2, 3) for t in (2, 3, 4)], "who waits repeats its end"
    assert flagged(after) == []
    assert after["observation"].flatten(1).int().tolist() == [[0, 1, 2, 3]] * 6


def workers_of(env: ParallelEnv) -> list[int]:
    assert env._pool is not None
    return [worker.process.pid for worker in env._pool._workers if worker.process is not None]


@pytest.mark.parametrize("policy_given", [False, True])
def test_a_real_kill_in_the_middle(policy_given: bool, tmp_path: Path) -> None:
    class Slow(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            time.sleep(0.001)
            if self.steps_made in (40, 100):
                (tmp_path / f"{os.getpid()} {self.steps_made}").touch()
            return super()._step(tensordict)

    def kill(pid: int, steps: int) -> None:
        while not (tmp_path / f"{pid} {steps}").exists():
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)

    with restarting(Slow) as env:
        env.start()
        victims = workers_of(env)
        for pid, steps in zip(victims[:2], (40, 100), strict=True):
            threading.Thread(target=kill, args=(pid, steps), daemon=True).start()
        data = env.rollout(400, policy if policy_given else None, break_when_any_done=False)
        assert len(env.restarts) == 2
        assert not set(victims[:2]) & set(workers_of(env))
        assert victims[2] == workers_of(env)[2]
    rows = [[t for j, t in flagged(data) if j == i] for i in range(6)]
    assert rows[0] == rows[1] != rows[2] == rows[3]
    assert [len(found) for found in rows] == [1, 1, 1, 1, 0, 0]
    done = data["next", "done"][..., 0]
    for i in range(6):  # every row follows from the one before
        count, following = data["observation"][i, :, 0], data["next", "observation"][i, :, 0]
        restarted = data["next", "restarted"][i, :, 0]
        assert torch.equal(following, count + (~restarted).float())
        assert torch.equal(count[1:], torch.where(done[i, :-1], 0, following[:-1]))
        assert torch.equal(done[i], restarted | (following == LIMIT))


def test_who_dies_at_rest_is_missed_by_the_next_call() -> None:
    calls: dict[str, Callable[[ParallelEnv], Any]] = {
        "reset": lambda env: env.reset(),
        "step": lambda env: env.rand_step(),
        "rollout": lambda env: env.rollout(20, break_when_any_done=False),
        "get": lambda env: list(env.steps_made),
        "seed": lambda env: env.set_seed(3),
    }
    for name, call in calls.items():
        with restarting(CountingEnv) as env:
            env.set_seed(SEED)
            td = env.reset()
            os.kill(workers_of(env)[1], signal.SIGKILL)
            found = call(env)
            assert len(env.restarts) == 1, name
            if name == "step":
                assert found["next", "restarted"].flatten().tolist() == [False, False, True, True, False, False]
                td = env.maybe_reset(env.step_mdp(found))
                assert td["observation"].flatten().tolist() == [1, 1, 0, 0, 1, 1]
            elif name in ("rollout", "reset"):
                assert not found.get(("next", "restarted"), found["restarted"]).any()
            elif name == "seed":
                starts = env.reset()["start"]
                with SerialEnv(6, CountingEnv) as other:
                    other.set_seed(3)
                    assert torch.equal(other.reset()["start"], starts)
            else:
                assert found == [0] * 6
            assert env.step(env.rand_action(td))["next", "done"].shape == (6, 1)


@pytest.mark.parametrize("kind", ["", "exits", "is killed"])
def test_who_dies_when_all_are_closed_is_only_reported(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with restarting([Faulty, Faulty, lambda: Faulty(kind, "close"), Faulty, Faulty, Faulty]) as env:
        data = env.rollout(STEPS, break_when_any_done=False)
        if not kind:
            os.kill(workers_of(env)[1], signal.SIGKILL)
    assert data.shape == (6, STEPS)
    (said,) = caplog.messages
    assert re.match(r"envs? [23].* \(worker 1.*: the worker ", said)


def test_an_env_that_raises_when_it_is_closed_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    env = restarting([Faulty, lambda: Faulty("exits", "close"), lambda: Faulty("raises", "close"), *[Faulty] * 3])
    env.reset()
    with pytest.raises(EnvError, match=r"^env 2 .* in close: ValueError: the first line"):
        env.close()
    (said,) = caplog.messages
    assert said.startswith("env 1 (worker 0")


def test_who_waits_goes_on_waiting(tmp_path: Path) -> None:
    makers = mortals(tmp_path / "it", at=3)
    makers[2] = lambda: Mortal(limit=2)
    with restarting(makers) as env:
        data = env.rollout(STEPS, break_when_all_done=True)
    assert data.shape == (6, 5)
    assert data["next", "restarted"].squeeze(-1).nonzero().tolist() == [[3, 3], [3, 4]]
    observed = data["next", "observation"].squeeze(-1).int().tolist()
    assert observed[2:5] == [[1, 2, 2, 2, 2], [1, 2, 3, 3, 3], [1, 2, 3, 4, 5]]


def test_several_can_be_lost_at_once(tmp_path: Path) -> None:
    makers = [lambda i=i: Mortal(tmp_path / str(i), at=7) for i in range(6)]
    for way in ("known", "policy"):
        with restarting(makers) as env:
            data = run(env, way)
            assert len(env.restarts) >= 3
        assert {(i, 7) for i in range(6)} <= set(map(tuple, flagged(data)))
        counts = data["observation"].squeeze(-1).int()
        assert torch.equal(counts[::2], counts[1::2]), "who shares a worker shares its fate"
        for path in tmp_path.iterdir():
            path.unlink()


def test_a_step_under_way_can_be_lost() -> None:
    with restarting(CountingEnv) as env:
        td = env.rand_action(env.reset())
        os.kill(workers_of(env)[1], signal.SIGSTOP)
        env.async_step_send(td)
        os.kill(workers_of(env)[1], signal.SIGKILL)
        data = env.async_step_recv()
    assert data["next", "restarted"].flatten().tolist() == [False, False, True, True, False, False]
    assert data["next", "observation"].flatten().tolist() == [1, 1, 0, 0, 1, 1]


def test_an_interrupt_while_a_new_one_is_made(tmp_path: Path) -> None:
    class Unborn(Mortal):
        def __init__(self, mark: Path) -> None:
            super().__init__(mark, 3)
            if mark.exists():
                time.sleep(1000)

    env = restarting([CountingEnv] * 5 + [lambda: Unborn(tmp_path / "it")])
    env.start()
    with interrupted(0.8, within=1.0), env:
        env.rollout(STEPS, policy)
    assert env.is_closed


def test_what_envs_share_outlives_them() -> None:
    from envcli.batch.env_creator import EnvCreator
    from envcli.transforms.vec_norm import VecNorm

    make = EnvCreator(lambda: TransformedEnv(CountingEnv(), VecNorm(["observation"], decay=1.0)))
    with restarting(make) as env:
        env.rollout(3)
        os.kill(workers_of(env)[1], signal.SIGKILL)
        env.rollout(3)
        assert len(env.restarts) == 1
    assert make.state_dict()["_extra_state"]["td"]["observation_count"].item() == 2 * 6 * 4


def test_a_question_that_kills_is_asked_again(tmp_path: Path) -> None:
    with restarting(mortals(tmp_path / "it", phase="ask")) as env:
        env.start()
        assert env.ask() == [0] * 6
        assert len(env.restarts) == 1


def test_an_error_tells_what_happened_to_the_same_worker_before() -> None:
    class Hopeless(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            time.sleep(0.8)  # the other worker is missed before
            os._exit(3)

    def act(tensordict: TensorDictBase) -> TensorDictBase:
        if env.restarts:
            os.kill(workers_of(env)[1], signal.SIGKILL)
        return policy(tensordict)

    env = restarting([Hopeless] + [CountingEnv] * 5)
    with pytest.raises(EnvError, match=r"^env 0 \(worker 0\) in step 1: ") as caught:
        env.rollout(STEPS, act, break_when_any_done=False)
    assert len(env.restarts) == 2
    assert f"It had been restarted, after: {env.restarts[0]}" in caught.value.__notes__


def test_who_is_lost_again_before_it_has_made_a_row_is_raised() -> None:
    class Hopeless(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            os._exit(3)

    for act in (None, policy):
        env = restarting([CountingEnv] * 3 + [Hopeless] + [CountingEnv] * 2)
        with pytest.raises(EnvError, match=r"^env 3 .*worker 1.* in step .*exited with code 3") as caught:
            env.rollout(STEPS, act, break_when_any_done=False)
        assert "It had been restarted, after: env 3 (worker 1) in step 0" in "".join(caught.value.__notes__)
        assert len(env.restarts) == 1
        assert env.is_closed


def test_who_dies_again_and_again_but_makes_rows_is_replaced_each_time() -> None:
    class Frail(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            if self.steps_made == 3:
                os._exit(3)
            return super()._step(tensordict)

    runs = []
    for way in ("known", "policy", "policy"):
        with restarting([CountingEnv] * 3 + [Frail] + [CountingEnv] * 2) as env:
            runs.append(run(env, way).clone())
            counts = runs[-1]["observation"][3].flatten().int().tolist()
            assert counts == [0, 1, 2, 3] * 5 + [0, 1, 2]
            assert [t for i, t in flagged(runs[-1]) if i == 3] == [3, 7, 11, 15, 19]
    assert_same(runs[1], runs[2])
    assert torch.equal(runs[0]["start"], runs[1]["start"])
    assert len(set(runs[1]["start"][3].flatten().tolist())) == 6


def test_an_env_that_raises_is_raised(tmp_path: Path) -> None:
    env = restarting(mortals(tmp_path / "it", at=3, kind="raises"))
    with pytest.raises(EnvError, match=r"env 3 .* in step 3: ValueError"):
        env.rollout(STEPS, policy)
    assert env.is_closed
    assert env.restarts == []


def test_who_dies_in_the_making_is_raised() -> None:
    def make() -> Env:
        os._exit(3)

    env = restarting(make)
    with pytest.raises(EnvError, match="in build: the worker exited"):
        env.start()
    assert env.is_closed


def test_what_was_loaded_and_chosen_is_told_to_the_new_ones() -> None:
    def make() -> Env:
        from envcli.transforms.vec_norm import VecNorm

        return TransformedEnv(CountingEnv(), VecNorm(["observation"], decay=1.0))

    with restarting(make) as env:
        env.rollout(3)
        env.load_state_dict(env.state_dict())
        os.kill(workers_of(env)[1], signal.SIGKILL)
        counts = [env.state_dict()[f"worker{i}"]["_extra_state"]["td"]["observation_count"].item() for i in range(6)]
        assert counts == [4] * 6


def test_transforms_outside_follow(tmp_path: Path) -> None:
    env = TransformedEnv(restarting(mortals(tmp_path / "it", at=7)), Compose(StepCounter(), RewardSum()))
    with env:
        data = run(env, "policy")
    assert flagged(data) == [[2, 7], [3, 7]]
    assert data["step_count"][3].flatten().tolist() == data["observation"][3].flatten().tolist()[:8] + [
        t % LIMIT for t in range(15)
    ]


def test_a_transform_outside_may_rewrite_what_a_lost_env_shows_once_more(tmp_path: Path) -> None:
    norm = ObservationNorm(loc=1.0, scale=2.0, in_keys=["observation"])
    for way in ("known", "steps"):
        with TransformedEnv(restarting(mortals(tmp_path / way, at=7)), norm.clone()) as env:
            env.set_seed(SEED)
            act = lambda td: td.set("action", torch.zeros(6, 1))  # noqa: E731  # read twice, named once
            if way == "known":
                data = env.rollout(STEPS, act, break_when_any_done=False)
            else:
                td, rows = env.reset(), []
                for _ in range(STEPS):
                    row, td = env.step_and_maybe_reset(act(td))
                    rows.append(row)
                data = torch.stack(rows, 1)
        assert flagged(data) == [[2, 7], [3, 7]]
        assert data["observation"][3].flatten().tolist()[6:10] == [3, 5, 1, 3]
        assert data["next", "observation"][3, 7].item() == 5


def test_batches_inside_are_lost_as_a_whole() -> None:
    class Frail(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            if self.steps_made == 8:
                os._exit(3)
            return super()._step(tensordict)

    def make(limit: int) -> Env:
        return SerialEnv(2, [lambda: CountingEnv(2), lambda: Frail(limit)])

    for way in ("known", "policy"):
        with ParallelEnv(2, make, [{"limit": 99}, {"limit": 3}], num_workers=2, on_worker_death="restart") as env:
            env.set_seed(SEED)
            act = (lambda td: td.set("action", torch.zeros(2, 2, 1))) if way == "policy" else None
            data = env.rollout(12, act, break_when_any_done=False)
        assert data["next", "restarted"][..., 0].nonzero().tolist() == [[i, j, 8] for i in range(2) for j in range(2)]
        assert data["observation"][0, 1].flatten().int().tolist() == [*range(9), 0, 1, 2]
        assert data["observation"][1, 1].flatten().int().tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]


def test_envs_without_a_flag_for_it_are_refused() -> None:
    env = ParallelEnv(2, StatelessEnv, on_worker_death="restart")
    with pytest.raises(SpecError, match="on_worker_death=restart needs a 'truncated' flag"):
        env.start()
    assert env.is_closed
    with pytest.raises(ConfigError, match="on_worker_death: found 'revive', expected one of raise, restart"):
        ParallelEnv(2, CountingEnv, on_worker_death="revive")


class TestRestarting(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(3, CountingEnv, num_workers=2, on_worker_death="restart")


class TestRestartingNested(BatchContract):
    def make_env(self) -> Env:
        return ParallelEnv(2, NestedEnv, num_workers=2, on_worker_death="restart")


def test_a_new_worker_is_told_what_the_mode_is(tmp_path: Path) -> None:
    with restarting(mortals(tmp_path / "it", at=7)) as env:
        env.eval()
        env.rollout(STEPS, break_when_any_done=False)
        assert len(env.restarts) == 1
        assert list(env.training_of) == [False] * 6


def test_a_new_worker_is_told_what_the_mode_of_each_env_is(tmp_path: Path) -> None:
    with restarting(mortals(tmp_path / "it", at=7)) as env:
        env.eval()
        env[[1, 2, 5]].train()
        modes = [False, True, True, False, False, True]
        assert list(env.training_of) == modes
        env.rollout(STEPS, break_when_any_done=False)
        assert len(env.restarts) == 1
        assert list(env.training_of) == modes
