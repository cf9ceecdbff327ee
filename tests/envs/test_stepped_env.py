"""SteppedEnv: reset, step and what stands around them, at the front door; and its end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.backends.gym import GymEnv
from envcli.backends.torch import TorchEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.dynamics.pendulum import Pendulum
from envcli.envs.env import Env
from envcli.errors import ActionError, ClosedError, ConfigError, SpecError
from envcli.seeding import next_seed
from envcli.testing.toys import CountingEnv, StatelessEnv
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.step_counter import StepCounter
from tests.envs.conftest import native
from tests.transforms.test_step_counter import Team


@pytest.mark.parametrize("batch", [None, 3])
def test_every_action_there_is(batch: int | None) -> None:
    def make() -> GymEnv:
        return GymEnv("CartPole-v1", categorical_action_encoding=True)

    with make() if batch is None else SerialEnv(batch, make) as env:
        env.reset()
        every = env.all_actions()
        assert every.batch_size == (2, *env.batch_size)
        assert [set(row.flatten().tolist()) for row in every["action"]] == [{0}, {1}]


def test_actions_without_end_cannot_be_listed() -> None:
    with pytest.raises(SpecError, match="cannot list its members"):
        GymEnv("Pendulum-v1").all_actions()


def test_the_next_step_by_torchrls_argument() -> None:
    env = CountingEnv()
    assert env.step_mdp(next_tensordict=env.rand_step(env.reset()))["observation"] == 1


def test_step_updates_what_it_is_given(env: Any) -> None:
    td = env.rand_action(env.reset())
    td["note"] = torch.ones(1)
    assert env.step(td) is td
    assert td["observation"] == 0
    assert td["next", "observation"] == 1
    assert td["note"] == 1
    assert "note" not in td["next"]
    assert "action" not in td["next"]


def test_reset_updates_what_it_is_given(env: Any) -> None:
    td = env.step(env.rand_action(env.reset()))
    assert env.reset(td) is td
    assert td["observation"] == 0
    assert not td["done"].any()


def test_a_whole_mask_is_a_reset_and_is_taken_away(env: Any) -> None:
    td = env.step_mdp(env.rand_step(env.reset()))
    td["_reset"] = torch.tensor([True])
    env.reset(td)
    assert td["observation"] == 0
    assert "_reset" not in td


def test_an_empty_mask_resets_nobody(env: Any) -> None:
    """As in a loop that sets it to ``done`` after each step."""
    td = env.step_mdp(env.rand_step(env.reset()))
    assert env.reset(td.set("_reset", torch.tensor([False]))) is td
    assert td["observation"] == 1
    assert "_reset" not in td
    assert env.step(env.rand_action(td))["next", "observation"] == 2, "the env is where it was"
    data = env.rollout(2, tensordict=env.step_mdp(td).set("_reset", torch.tensor([False])), break_when_any_done=False)
    assert data["observation"][0] == 2


def test_a_mask_that_makes_no_sense(env: Any) -> None:
    with pytest.raises(SpecError, match=r"expected a bool mask of shape \[1\], found torch.int64"):
        env.reset(env.reset().set("_reset", torch.tensor([1])))


def test_a_mask_of_a_wrong_shape() -> None:
    env = CountingEnv(batch_size=[3])
    td = TensorDict({"_reset": torch.ones(2, 1, dtype=torch.bool)})
    with pytest.raises(SpecError, match=r"shape \[3, 1\], found torch.bool \[2, 1\]"):
        env.reset(td)


def test_without_an_action_there_is_no_step(env: Any) -> None:
    with pytest.raises(SpecError, match=r"no 'action' in the TensorDict. env\.rand_action"):
        env.step(env.reset())


def test_a_step_reads_the_state() -> None:
    env = StatelessEnv()
    with pytest.raises(KeyError):
        env.step(env.rand_action())


def test_a_refused_action_moves_nothing(env: Any) -> None:
    td = env.reset().set("action", torch.full((3,), 7))
    with pytest.raises(ActionError):
        env.step(td)
    assert "next" not in td
    assert env.rand_step(env.reset())["next", "observation"] == 1


@pytest.mark.parametrize("batch", [(), (3,)])
def test_random_actions_of_agents_stand_in_a_tensordict_of_agents(batch: tuple[int, ...]) -> None:
    env = Team(9, batch)
    for td in (env.rand_action(), env.rand_action(TensorDict({}, batch))):
        assert td["agents"].batch_size == env.full_action_spec["agents"].shape == (*batch, 2)
    given = env.reset()
    group = given["agents"]
    assert env.rand_action(given)["agents"] is group


def test_rand_step_is_a_step_with_a_random_action(env: Any) -> None:
    torch.manual_seed(3)
    action = env.rand_action()["action"]
    torch.manual_seed(3)
    td = env.reset()
    assert env.rand_step(td) is td
    assert torch.equal(td["action"], action)


def test_step_mdp_keeps_the_action_as_torchrl_does(env: Any) -> None:
    moved = env.step_mdp(env.rand_step(env.reset()))
    assert "action" in moved
    assert "reward" not in moved


def test_step_and_maybe_reset(env: Any) -> None:
    limit = 5 if isinstance(env, CountingEnv) else 3
    td, shown = env.reset(), []
    for _ in range(limit + 1):
        stepped, td = env.step_and_maybe_reset(env.rand_action(td))
        shown.append((int(stepped["next", "observation"]), int(td["observation"])))
        assert not td["done"].any()
        assert "_reset" not in td
    assert shown == [*((i, i) for i in range(1, limit)), (limit, 0), (1, 1)]


def test_any_done_leaves_the_mask() -> None:
    env = CountingEnv([1, 2, 1], [3])
    td = env.step_mdp(env.rand_step(env.reset()))
    assert env.any_done(td)
    assert td["_reset"].squeeze(-1).tolist() == [True, False, True]
    assert env.maybe_reset(td)["observation"].squeeze(-1).tolist() == [0, 1, 0]
    assert not env.any_done(td)
    with pytest.raises(SpecError, match=r"no 'done' in the TensorDict"):
        env.any_done(td.exclude("done", "terminated", "truncated"))


# -- seeds ------------------------------------------------------------------------------------------------------------


def test_seeds(env: Any) -> None:
    assert env.set_seed(10) == next_seed(10) == 3316746426
    assert env.set_seed(10, static_seed=True) == 10
    assert env.set_seed() is None
    assert env.set_seed(np.int64(10)) == 3316746426


@pytest.mark.parametrize("seed", [-1, 1.5, True, "3", [1, 2]])
def test_what_is_no_seed_is_refused_at_once(seed: Any) -> None:
    for env in (native(), SerialEnv(3, native), TransformedEnv(native(), StepCounter())):
        env.set_seed(3)
        with pytest.raises(ConfigError, match=r"set_seed: found .*, expected"):
            env.set_seed(seed)
        env.reset()  # as if nobody had said anything
        env.close()


def test_seeds_of_a_batch_are_of_any_library() -> None:
    with SerialEnv(2, lambda: GymEnv("CartPole-v1")) as env:
        shown = []
        for seeds in ([3, 5], np.array([3, 5]), torch.tensor([3, 5]), [np.int64(3), 5]):
            assert env.set_seed(seeds) is None
            shown.append(env.reset()["observation"])
        assert all(torch.equal(one, shown[0]) for one in shown)
        assert env.set_seed(np.int64(10)) == 2460402094
        outer = TransformedEnv(env, StepCounter())
        for seeds in (np.array([3, 5]), torch.tensor([3, 5])):
            assert outer.set_seed(seeds) is None
            assert torch.equal(outer.reset()["observation"], shown[0])
        assert outer.set_seed(torch.tensor(10)) == 2460402094


# -- its end ----------------------------------------------------------------------------------------------------------


def test_closed_is_closed(env: Any) -> None:
    td = env.reset()
    env.close()
    env.close()
    with pytest.raises(RuntimeError, match=r"was closed\. Build a new one"):
        env.reset()
    with pytest.raises(ClosedError, match="already closed"):
        env.close(raise_if_closed=True)
    with pytest.raises(ClosedError):
        env.rand_step(td)


def test_with_closes_after_an_error_too() -> None:
    env = native()
    with pytest.raises(ZeroDivisionError), env:
        raise ZeroDivisionError
    assert env.is_closed
    assert env._env.closed == 1


def test_a_simulator_that_fails_to_close_is_not_asked_twice() -> None:
    class Stubborn(CountingEnv):
        def _close(self) -> None:
            raise OSError("the window does not close")

    env = Stubborn()
    with pytest.raises(OSError, match="does not close"):
        env.close()
    env.close()


def penalised(step: Callable[..., TensorDictBase]) -> Callable[..., TensorDictBase]:
    @functools.wraps(step)
    def stepped(*args: Any) -> TensorDictBase:
        result = step(*args)
        result["next", "reward"] -= 10
        return result

    return stepped


def test_a_step_that_wraps_ours_is_called_by_rollouts() -> None:
    class Penalised(GymEnv):
        step = penalised(GymEnv.step)

    env = Penalised("CartPole-v1")
    assert env.rand_step(env.reset())["next", "reward"].item() == -9
    assert env.rollout(1)["next", "reward"].item() == -9
    patched = GymEnv("CartPole-v1")
    patched.step = penalised(patched.step)  # type: ignore[method-assign]
    assert patched.rollout(1)["next", "reward"].item() == -9
    assert GymEnv("CartPole-v1").rollout(1)["next", "reward"].item() == 1


def test_random_actions_that_wrap_ours_are_those_of_rollouts() -> None:
    class Still(GymEnv):
        @functools.wraps(GymEnv.rand_action)
        def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase:
            return super().rand_action(tensordict).set("action", torch.tensor([1, 0]))

    assert (Still("CartPole-v1").rollout(9)["action"] == torch.tensor([1, 0])).all()


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_step_of_some_envs(wrapped: bool) -> None:
    env: Any = SerialEnv(3, CountingEnv)
    env = TransformedEnv(env, StepCounter()) if wrapped else env
    td = env.step_mdp(env.rand_step(env.reset()))
    td["action"], td["_step"] = torch.ones(3, 1), torch.tensor([True, False, True])
    following = env.step(td)["next"]
    assert following["observation"].flatten().tolist() == [2, 1, 2]
    assert following["reward"].flatten().tolist() == [1, 0, 1]
    assert following["start"].equal(td["start"])
    assert not wrapped or following["step_count"].flatten().tolist() == [2, 1, 2]
    both, after = env.step_and_maybe_reset(env.step_mdp(td).set("_step", torch.tensor([False, True, True])))
    assert both["next", "observation"].flatten().tolist() == [2, 2, 3] == after["observation"].flatten().tolist()
    del after["_step"]
    assert env.rand_step(after)["next", "observation"].flatten().tolist() == [3, 3, 4]


def test_who_makes_no_step_shows_what_the_tensordict_shows() -> None:
    env = SerialEnv(2, CountingEnv)
    td = env.step_mdp(env.rand_step(env.reset()))
    earlier = td.clone().set("observation", torch.full((2, 1), 7.0))
    earlier["action"], earlier["_step"] = torch.ones(2, 1), torch.tensor([True, False])
    assert env.step(earlier)["next", "observation"].flatten().tolist() == [2, 7]
    bare = earlier.select("action", "_step")
    assert env.step(bare)["next", "observation"].flatten().tolist() == [3, 7], "what it showed last"
    with pytest.raises(SpecError, match=r"^step: no 'observation' in the TensorDict, for the envs that '_step' leaves"):
        SerialEnv(2, CountingEnv).step(bare.select("action", "_step"))


@pytest.mark.parametrize("around", [lambda env: env, lambda env: TransformedEnv(env, StepCounter())])
def test_who_had_to_wait_in_a_step_that_was_refused_goes_on(around: Callable[[Env], Env]) -> None:
    env = around(SerialEnv(2, lambda: CountingEnv(9)))
    start = env.reset()
    wrong = start.clone().set("action", torch.full((2, 1), 5.0)).set("_step", torch.tensor([True, False]))
    with pytest.raises(ActionError):
        env.step(wrong)
    data = env.rollout(3, auto_reset=False, tensordict=start)
    assert data["next", "observation"].squeeze(-1).tolist() == [[1, 2, 3], [1, 2, 3]]


def test_a_batch_of_one_step_for_all_leaves_nobody_out() -> None:
    for env in (CountingEnv(9, [2]), TorchEnv(Pendulum(), batch_size=[2])):
        td = env.rand_action(env.reset())
        with pytest.raises(SpecError, match=r"'_step' leaves out some envs, but .* steps all of its batch together"):
            env.step(td.clone().set("_step", torch.tensor([True, False])))
        env.step(td.set("_step", torch.tensor([True, True])))


def test_who_makes_no_step_is_not_at_a_beginning_afterwards() -> None:
    env = SerialEnv(2, lambda: TransformedEnv(CountingEnv(9), InitTracker()))
    td = env.rand_action(env.reset()).set("_step", torch.tensor([True, False]))
    td = env.step_mdp(env.step(td).exclude("_step"))
    assert not env.step(env.rand_action(td))["next", "is_init"].any()


@pytest.mark.parametrize("step", ["step", "step_and_maybe_reset"])
def test_what_a_policy_puts_under_next_stays_there(step: str) -> None:
    for env in (CountingEnv(9), SerialEnv(2, CountingEnv), TorchEnv(Pendulum(), batch_size=[2])):
        td = env.rand_action(env.reset()).set(("next", "memory"), torch.ones(*env.batch_size, 1))
        td = env.step(td) if step == "step" else env.step_and_maybe_reset(td)[0]
        assert (td["next", "memory"] == 1).all()
        assert td["next", "reward"].shape == (*env.batch_size, 1)
