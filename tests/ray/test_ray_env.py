"""Many envs in Ray actors: the bits of any other batch, and what happens when something is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tensordict import TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.batch.env_creator import EnvCreator
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, SpecError
from envcli.ray.ray_env import RayEnv
from envcli.seeding import seed_chain
from envcli.shards.loading import load_rollout
from envcli.shards.memmap_folder import MemmapFolder
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.compose import Compose
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from tests.batch.faults import makers
from tests.batch.test_determinism import assert_same_bits
from tests.batch.test_parallel_env import BatchContract
from tests.ray.stand_in_cluster import StandInCluster

STEPS = 60
SEED2, SEED3 = seed_chain(10, 2)[-1], seed_chain(10, 3)[-1]


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StandInCluster]]:
    """Without Ray: what is its part is tested beside, in test_ray_cluster.py."""
    monkeypatch.setattr("envcli.ray.ray_env.RayCluster", StandInCluster)
    monkeypatch.setattr(StandInCluster, "plan", {})
    # What is planned for a call happens in the same row however busy the machine is: stretches grow as they are made.
    monkeypatch.setattr("envcli.ray.ray_env._GO", float("inf"))
    yield StandInCluster
    assert not StandInCluster.plan, "what was planned has not come"


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
    def policy(td: TensorDictBase) -> TensorDictBase:
        return td.set("together", torch.full(td.shape, td.shape[0])).set("action", torch.zeros(*td.shape, 1))

    with RayEnv(4, CountingEnv, num_actors=2) as env:
        assert (rollout(env, policy)["together"] == 2).all()
        assert (env.rollout(3, policy)["together"] == 4).all(), "it is to stop where an env is done"
        env.policy_in_actors = False
        assert (rollout(env, policy)["together"] == 4).all()


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


# -- what goes wrong ------------------------------------------------------------------------------------------------


def told(env: Env, message: str) -> EnvError:
    with pytest.raises(EnvError) as caught:
        env.rollout(STEPS, break_when_any_done=False)
    assert re.search(message, str(caught.value))  # not by match=, which reads the notes too
    assert env.is_closed
    return caught.value


def test_an_exception_is_named_with_its_traceback() -> None:
    env = RayEnv(4, makers("raises", "step", at=7), num_actors=2)
    env.set_seed(10)
    error = told(
        env,
        rf"^env 2 \(actor 1, seed {SEED2}\) in step 7: ValueError: the first line and the second in .*faults.py, line",
    )
    assert "in fail" in "".join(error.__notes__)
    for kind in ("raises what cannot be pickled", "calls sys.exit"):
        told(RayEnv(4, makers(kind, "reset"), num_actors=2), r"^env 2 \(actor 1\) in reset before step 0: ")
    told(RayEnv(4, makers("raises", "build"), num_actors=2), r"^env 2 \(actor 1\) in build: ValueError")


def test_a_lost_actor_is_named(stand_in: type[StandInCluster]) -> None:
    env = RayEnv(4, CountingEnv, num_actors=2)
    env.set_seed(10)
    stand_in.plan[1, 3] = "dies"  # after the reset, a row, and two
    told(env, rf"^envs 2 to 3 \(actor 1, seeds {SEED2}, {SEED3}\) in step 3 or later: its process died$")
    assert env.rollout(3).shape == (4, 3), "it can be started again"
    env.close()


def test_a_hung_actor_is_named(stand_in: type[StandInCluster]) -> None:
    stand_in.plan[1, 1] = "hangs"
    env = RayEnv(4, CountingEnv, num_actors=2, step_timeout=7.0)
    told(env, r"^envs 2 to 3 \(actor 1\) in step 0: no answer in 7 s. If it needs longer, raise step_timeout")


def test_the_policy_is_named() -> None:
    def policy(td: TensorDictBase) -> TensorDictBase:
        raise KeyError("nothing")

    env = RayEnv(4, CountingEnv, num_actors=2)
    with pytest.raises(EnvError, match=r"^the policy of envs 2 to 3 \(actor 1\) in step 0: KeyError: 'nothing'"):
        env.rollout(3, policy, break_when_any_done=False)


def test_a_question_may_fail() -> None:
    with RayEnv(4, CountingEnv, num_actors=2) as env:
        env.start()
        with pytest.raises(AttributeError, match=r"env . .*'colour'"):
            list(env.colour)
        assert not env.is_closed
        assert list(env.steps_made) == [0] * 4


def run(env: RayEnv, policy: Any) -> TensorDictBase:
    env.set_seed(7)
    return env.rollout(STEPS, policy, break_when_any_done=False)


def still(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", torch.zeros(*td.shape, 1))


@pytest.mark.parametrize("policy", [None, still])
@pytest.mark.parametrize(("fate", "call", "row"), [("dies", 3, 3), ("hangs", 4, 7), ("dies", 0, None)])
def test_a_lost_actor_is_replaced(
    policy: Any, fate: str, call: int, row: int | None, stand_in: type[StandInCluster]
) -> None:
    with SerialEnv(6, CountingEnv) as env:
        undisturbed = run(env, still)  # type: ignore[arg-type]
    stand_in.plan[1, call] = fate
    with RayEnv(6, CountingEnv, num_actors=3, on_worker_death="restart") as env:
        data = run(env, policy)
        assert len(env.restarts) == 1
        assert env.restarts[0].startswith("envs 2 to 3 (actor 1, seeds ")
        again = env.rollout(4, policy)
    marked = data["next", "restarted"][..., 0].nonzero().tolist()
    assert marked == ([] if row is None else [[2, row], [3, row]])
    assert not again["next", "restarted"].any()
    assert not data["restarted"].any()
    assert torch.equal(data["start"][[0, 1, 4, 5]], undisturbed["start"][[0, 1, 4, 5]])
    assert not (data["start"][2, row or 0 :] == undisturbed["start"][2, row or 0]).all()
    done = data["next", "done"][..., 0]
    for i in range(6):  # every row follows from the one before
        count, following = data["observation"][i, :, 0], data["next", "observation"][i, :, 0]
        lost = data["next", "restarted"][i, :, 0]
        assert torch.equal(following, count + (~lost).float())
        assert torch.equal(count[1:], torch.where(done[i, :-1], 0, following[:-1]))
        assert torch.equal(done[i], lost | (following == 5))


def test_who_is_lost_again_before_it_has_made_a_row_is_raised(stand_in: type[StandInCluster]) -> None:
    stand_in.plan[1, 1] = "dies"
    env = RayEnv(2, CountingEnv, num_actors=2, on_worker_death="restart")
    env.reset()
    stand_in.plan[1, 0] = "dies"
    error = told(env, r"^env 1 \(actor 1\) in reset before step 0")
    assert "It had been restarted, after: env 1 (actor 1) in reset before step 0" in "".join(error.__notes__)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot share statistics. Type: parallel=processes"):
        RayEnv(2, EnvCreator(CountingEnv))
    with pytest.raises(ConfigError, match="cpus_per_actor: found -1"):
        RayEnv(2, CountingEnv, cpus_per_actor=-1)
    with pytest.raises(SpecError, match="on_worker_death=restart needs a 'truncated' flag"):
        RayEnv(2, StatelessEnv, on_worker_death="restart").start()
    with pytest.raises(SpecError, match="env 2 does not fit the batch"):
        RayEnv(3, [CountingEnv, CountingEnv, NestedEnv], num_actors=2).start()


class TestRay(BatchContract):
    def make_env(self) -> Env:
        return RayEnv(3, CountingEnv, num_actors=2)


class TestRestartingRay(BatchContract):
    def make_env(self) -> Env:
        return RayEnv(2, NestedEnv, num_actors=2, on_worker_death="restart")
