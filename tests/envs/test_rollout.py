"""Rollouts: where they begin, where they end, and what stands in their rows."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tensordict import TensorDict, TensorDictBase

from envcli.backends.gym import GymWrapper
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env_base import EnvBase
from envcli.errors import ActionError, EnvError, SpecError
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Bounded, Categorical, Composite, Unbounded
from envcli.testing import check_env_specs
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import BrokenEnv, CountingEnv, DoubleEnv, NestedEnv, StatelessEnv
from envcli.transforms.frame_skip import FrameSkipTransform
from envcli.transforms.step_counter import StepCounter
from tests.envs.by_hand import by_hand


def counts(data: TensorDictBase) -> list[Any]:
    """``observation`` of the root, and of the last step's next."""
    observed = torch.cat([data["observation"], data["next", "observation"][..., -1:, :]], -2)
    return observed.squeeze(-1).int().tolist()


class Team(EnvBase):
    """Two agents: one is done after 2 steps, the other after 4; all is over when both are."""

    def __init__(self, governed: bool = True) -> None:
        super().__init__()
        flag = Categorical(2, shape=torch.Size([2, 1]), dtype=torch.bool)
        flags = {"agents": Composite(done=flag, terminated=flag, shape=[2])}
        whole = {"done": flag[0], "terminated": flag[0]} if governed else {}
        self.full_done_spec = Composite({**flags, **whole})
        self.observation_spec = Composite(time=Unbounded([1]))
        self.action_spec = Bounded(-1, 1, shape=[1])
        self.governed, self.time = governed, 0

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self.time = 0
        return TensorDict({"time": torch.zeros(1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.time += 1
        done = torch.tensor([[self.time >= 2], [self.time >= 4]])
        agents = TensorDict({"done": done, "terminated": done.clone()}, [2])
        whole = {"done": done.all(0), "terminated": done.all(0)} if self.governed else {}
        return TensorDict(
            {"agents": agents, "time": torch.full([1], float(self.time)), "reward": torch.ones(1), **whole}
        )

    def _set_seed(self, seed: int | None) -> None:
        """It draws nothing."""


def test_flags_of_the_whole_speak_for_those_of_a_part() -> None:
    team = Team()
    assert team.rollout(8)["next", "time"].flatten().tolist() == [1, 2, 3, 4]
    data = team.rollout(6, break_when_any_done=False)
    assert data["time"].flatten().tolist() == [0, 1, 2, 3, 0, 1]
    assert not team.any_done(data["next"][2])
    assert team.any_done(data["next"][3])
    assert team.rollout(8, break_when_all_done=True).shape == (4,)
    assert TransformedEnv(Team(), FrameSkipTransform(3)).rollout(8)["next", "time"].flatten().tolist() == [3, 4]
    with SerialEnv(2, Team) as batch:
        assert batch.rollout(6, break_when_any_done=False)["time"][0].flatten().tolist() == [0, 1, 2, 3, 0, 1]
    assert len(Team(governed=False).rollout(8)) == 2, "there is nobody else to ask"


def test_flags_of_a_part_are_led_on_as_by_steps() -> None:
    for make in (Team, lambda: SerialEnv(2, Team), lambda: TransformedEnv(Team(), StepCounter())):
        env = make()
        data = env.rollout(7, break_when_any_done=False)
        moment, rows = env.reset(), []
        for _ in range(7):
            made, moment = env.step_and_maybe_reset(env.rand_action(moment))
            rows.append(made["agents", "done"])
        by_steps = torch.stack(rows, env.ndim)
        assert torch.equal(data["agents", "done"], by_steps)
        assert data["agents", "done"].reshape(-1, 7, 2)[0].tolist() == [
            [False, False], [False, False], [True, False], [True, False], [False, False], [False, False], [True, False]
        ]  # fmt: skip
        check_env_specs(make())


def test_any_flag_of_an_env_of_one_s_own_ends_its_episode() -> None:
    class Honest(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            result = super()._step(tensordict)
            return result.set("done", torch.zeros_like(result["terminated"]))

    assert len(Honest(3).rollout(8)) == 3, "it is terminated"
    assert Honest(3).rollout(5, break_when_any_done=False)["observation"].flatten().tolist() == [0, 1, 2, 0, 1]


# -- where it ends ----------------------------------------------------------------------------------------------------


def test_it_ends_with_the_episode() -> None:
    data = CountingEnv(3).rollout(10)
    assert data.batch_size == (3,)
    assert data.names == ["time"]
    assert counts(data) == [0, 1, 2, 3]
    assert data["next", "done"].squeeze(-1).tolist() == [False, False, True]


def test_it_ends_after_max_steps() -> None:
    data = CountingEnv(30).rollout(4)
    assert counts(data) == [0, 1, 2, 3, 4]
    assert not data["next", "done"].any()


def test_it_goes_on_where_it_is_told_to() -> None:
    env = CountingEnv(3)
    data = env.rollout(8, break_when_any_done=False)
    assert data["observation"].squeeze(-1).tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert data["next", "done"].squeeze(-1).nonzero().squeeze(-1).tolist() == [2, 5]
    assert not data["done"].any(), "a step never begins with an env that is done"
    starts = data["start"].squeeze(-1)
    assert len({*starts[:3].tolist()}) == 1
    assert len({*starts.tolist()}) == 3, "each episode is one of its own"


def test_of_a_batch_only_who_is_done_begins_anew() -> None:
    data = CountingEnv([2, 5], [2]).rollout(6, break_when_any_done=False)
    assert data["observation"].squeeze(-1).tolist() == [[0, 1, 0, 1, 0, 1], [0, 1, 2, 3, 4, 0]]
    assert data["next", "observation"].squeeze(-1).tolist() == [[1, 2, 1, 2, 1, 2], [1, 2, 3, 4, 5, 1]]


def test_a_batch_ends_with_the_first_of_it() -> None:
    data = CountingEnv([2, 5], [2]).rollout(6)
    assert data.batch_size == (2, 2)
    assert data["next", "done"][:, -1].squeeze(-1).tolist() == [True, False]


def test_a_batch_may_wait_for_the_last_of_it() -> None:
    data = CountingEnv([2, 4], [2]).rollout(9, break_when_all_done=True)
    assert counts(data) == [[0, 1, 2, 2, 2], [0, 1, 2, 3, 4]]
    assert data["next", "done"].squeeze(-1).tolist() == [[False, True, True, True], [False, False, False, True]]
    assert (data["next", "reward"][0, 2:] == 0).all(), "who waits earns nothing"
    assert (data["next", "reward"][1] != 0).all()


def test_waiting_ends_with_max_steps_too() -> None:
    assert counts(CountingEnv([2, 40], [2]).rollout(3, break_when_all_done=True)) == [[0, 1, 2, 2], [0, 1, 2, 3]]


def test_one_cannot_break_in_both_ways() -> None:
    with pytest.raises(SpecError, match="cannot be combined"):
        CountingEnv().rollout(3, break_when_any_done=True, break_when_all_done=True)


@pytest.mark.parametrize("steps", [0, -1])
def test_no_steps_are_no_rollout(steps: int) -> None:
    with pytest.raises(ValueError, match=f"max_steps must be at least 1, found {steps}"):
        CountingEnv().rollout(steps)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(1, 15))
def test_episodes_follow_each_other_whatever_their_lengths(limits: list[int], steps: int) -> None:
    data = CountingEnv(limits, [len(limits)]).rollout(steps, break_when_any_done=False)
    for i, limit in enumerate(limits):
        assert data["observation"][i, :, 0].tolist() == [t % limit for t in range(steps)]
        assert data["next", "observation"][i, :, 0].tolist() == [t % limit + 1 for t in range(steps)]
        assert data["next", "done"][i, :, 0].tolist() == [(t + 1) % limit == 0 for t in range(steps)]


# -- where it begins --------------------------------------------------------------------------------------------------


def test_it_can_take_up_what_was_begun() -> None:
    env = CountingEnv(10)
    state = env.step_mdp(env.rand_step(env.reset()))
    data = env.rollout(3, auto_reset=False, tensordict=state)
    assert counts(data) == [1, 2, 3, 4]
    assert data["start"][0] == state["start"]


def test_what_is_done_there_begins_anew() -> None:
    env = CountingEnv([1, 10], [2])
    state = env.step_mdp(env.rand_step(env.reset()))
    assert state["done"].squeeze(-1).tolist() == [True, False]
    data = env.rollout(2, auto_reset=False, tensordict=state, break_when_any_done=False)
    assert data["observation"].squeeze(-1).tolist() == [[0, 0], [1, 2]]
    assert not data["done"].any()


def test_a_native_env_that_is_done_there_begins_anew() -> None:
    env = GymWrapper(CountingGym(limit=1))
    state = env.step_mdp(env.rand_step(env.reset()))
    assert state["done"].all()
    data = env.rollout(3, auto_reset=False, tensordict=state, break_when_any_done=False)
    assert data["observation"].squeeze(-1).tolist() == [0, 0, 0]
    assert not data["done"].any()


def test_without_a_reset_it_must_be_told_where_to_begin() -> None:
    with pytest.raises(RuntimeError, match="tensordict must be provided when auto_reset is False"):
        CountingEnv().rollout(3, auto_reset=False)
    with pytest.raises(EnvError, match=r"Pass tensordict=env\.reset\(\)"):
        CountingEnv().rollout(3, auto_reset=False)


def test_a_mask_says_who_is_reset_first() -> None:
    env = CountingEnv(10, [2])
    state = env.step_mdp(env.rand_step(env.reset()))
    state["_reset"] = torch.tensor([[True], [False]])
    assert counts(env.rollout(2, tensordict=state)) == [[0, 1, 2], [1, 2, 3]]


def test_a_stateless_env_starts_from_the_state_it_is_given() -> None:
    env = StatelessEnv(goal=9.0)
    state = env.reset().set("position", torch.tensor([5.0]))
    data = env.rollout(3, lambda td: td.set("action", torch.ones(1)), auto_reset=False, tensordict=state)
    assert data["position"].squeeze(-1).tolist() == [5, 6, 7]
    assert data["goal"].squeeze(-1).tolist() == [9, 9, 9]


# -- how it is marked and called back ---------------------------------------------------------------------------------


def test_the_end_can_be_marked_as_truncated() -> None:
    data = CountingEnv(30).rollout(3, set_truncated=True)
    assert data["next", "truncated"].squeeze(-1).tolist() == [False, False, True]
    assert data["next", "done"].squeeze(-1).tolist() == [False, False, True]
    assert not data["next", "terminated"].any()
    assert not data["truncated"].any()


def test_marking_needs_a_flag() -> None:
    with pytest.raises(
        EnvError, match=r"set_truncated=True needs a 'truncated' flag, but StatelessEnv has \['done', 'term"
    ):
        StatelessEnv().rollout(3, set_truncated=True)


def test_the_callback_sees_the_moment_that_each_step_but_the_last_leads_to() -> None:
    env, seen = CountingEnv(30), []

    def note(env: Any, td: TensorDictBase) -> None:
        seen.append((env, int(td["observation"]), td["action"].item(), td.batch_size, "next" in td))
        td["action"].fill_(-1.0)

    data = env.rollout(4, callback=note)
    actions = data["action"].flatten().tolist()
    assert seen == [(env, n, actions[n - 1], torch.Size([]), False) for n in (1, 2, 3)], "as with TorchRL"
    assert -1 not in actions


@pytest.mark.parametrize("make", [CountingEnv, lambda: SerialEnv(1, CountingEnv), lambda: OwnStep()])
@pytest.mark.parametrize("stop", [True, False])
def test_what_the_callback_sets_the_policy_sees(make: Callable[[], Any], stop: bool) -> None:
    def keeping(td: TensorDictBase) -> TensorDictBase:
        zeros = torch.zeros(*td.batch_size, 1)
        return td.set("action", zeros).set("kept", td.get("kept", zeros))

    def changing(env: Any, td: TensorDictBase) -> None:
        td.set("kept", td["kept"] + 1)
        td["start"].fill_(7.0)

    options: dict[str, Any] = {} if stop else {"break_when_any_done": False}
    data = make().rollout(4, keeping, changing, **options)
    assert data["kept"].flatten().tolist() == [0, 1, 2, 3], "as with TorchRL"
    assert data["start"].flatten().tolist()[1:] == [7, 7, 7]


def test_the_callback_may_set_what_was_not_there() -> None:
    def asking(td: TensorDictBase) -> TensorDictBase:
        asked.append(td.get("new", None))
        return td.set("action", torch.zeros(1))

    asked: list[Any] = []
    data = CountingEnv().rollout(4, asking, lambda e, td: td.set("new", td["observation"] * 10))
    assert data["new"].flatten().tolist() == [0, 10, 20, 30]
    assert asked[0] is None
    assert [float(new) for new in asked[1:]] == [10, 20, 30]


def test_a_callback_keeps_to_shapes() -> None:
    with pytest.raises(SpecError, match=r"the callback wrote observation of shape \[3\] in row 1, after \[1\]"):
        CountingEnv().rollout(4, callback=lambda e, td: td.set("observation", torch.zeros(3)))


class OwnStep(CountingEnv):
    """It has its step called."""

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return super().step(tensordict)


def test_the_callback_is_not_told_of_the_end_of_the_rollout() -> None:
    seen: list[int] = []

    def note(env: Any, td: TensorDictBase) -> None:
        seen.append(int(td["observation"].max()))

    CountingEnv(3).rollout(10, callback=note)
    assert seen == [1, 2]
    seen.clear()
    CountingEnv([2, 3], [2]).rollout(10, callback=note, break_when_any_done=False, break_when_all_done=True)
    assert seen == [1, 2]
    seen.clear()
    CountingEnv(3).rollout(5, callback=note, break_when_any_done=False)
    assert seen == [1, 2, 0, 1], "where an episode has ended, the next one"


def test_the_callback_sees_what_the_policy_added() -> None:
    env, seen = CountingEnv(30), []

    def noting(td: TensorDictBase) -> TensorDictBase:
        return env.rand_action(td).set("note", td["observation"] * 2)

    env.rollout(4, noting, callback=lambda e, td: seen.append(int(td["note"])))
    assert seen == [0, 2, 4], "of the step before"


def test_policy_and_callback_may_use_the_env() -> None:
    def looking(td: TensorDictBase) -> TensorDictBase:
        env.rand_step(env.reset())
        return env.rand_action(td)

    for options in ({"policy": looking}, {"callback": lambda e, td: e.rollout(2)}):
        env = GymWrapper(CountingGym(limit=30))
        data = env.rollout(4, break_when_any_done=False, **options)
        assert data.batch_size == (4,)
        assert counts(data)[-1] > 0


def test_progress_is_told_now_and_then() -> None:
    told: list[int] = []
    CountingEnv(10_000).rollout(600, progress=told.append)
    assert told == sorted(told)
    assert told[-1] == 600
    assert len(told) > 1


def test_progress_of_a_slow_env_is_told_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow(CountingEnv):
        now = 0.0

        def _step_row(self, t: int) -> None:
            Slow.now += 0.1
            super()._step_row(t)

    monkeypatch.setattr("envcli.envs.rollout.time", SimpleNamespace(perf_counter=lambda: Slow.now))
    told: list[int] = []
    Slow(10_000).rollout(30, progress=told.append)
    assert told == [16, 18, 20, 22, 24, 26, 28, 30]


# -- memory -----------------------------------------------------------------------------------------------------------


def test_a_rollout_is_not_changed_by_what_comes_later() -> None:
    env = CountingEnv(4)
    first = env.rollout(4)
    copied = first.clone()
    env.rollout(4)
    env.rand_step(env.reset())
    assert (first == copied).all()


def test_changing_a_rollout_changes_one_entry() -> None:
    data = CountingEnv(10).rollout(5)
    data["next", "observation"][2] = 99
    assert counts(data)[:5] == [0, 1, 2, 3, 4]


def test_a_short_rollout_keeps_no_long_memory() -> None:
    data = CountingEnv(2).rollout(10_000)
    assert data["observation"].untyped_storage().nbytes() < 100


@pytest.mark.parametrize("steps", [3, 12], ids=["whole", "cut short"])
def test_a_batch_comes_contiguous(steps: int) -> None:
    data = CountingEnv(9, [2]).rollout(steps)
    assert data["observation"].is_contiguous()
    assert data["next", "observation"].view(-1, 1).shape[0] == data.numel()


def test_a_batch_in_rows_that_follow_time_comes_contiguous_if_asked() -> None:
    env = CountingEnv(9, [2])
    rows = RolloutBuffer.allocate(env._row_layout(), 3, env.batch_size, time_first=True)
    assert not env.rollout(3, out=rows)["observation"].is_contiguous()
    assert env.rollout(3, out=rows, return_contiguous=True)["observation"].is_contiguous()


def test_it_can_be_copied_into_a_tensordict() -> None:
    env = CountingEnv(9, [2])
    out = TensorDict({"observation": torch.full([2, 3, 1], 7)}, [2, 3])
    kept = out["observation"]
    assert env.rollout(3, out=out) is out
    assert counts(TensorDict({"observation": kept, "next": out["next"]}, [2, 3])[0]) == [0, 1, 2, 3]
    assert set(out.keys(True)) == set(env.rollout(3).keys(True))
    with pytest.raises(SpecError, match=r"out has \[2, 3\], the rollout \[2, 4\]"):
        env.rollout(4, out=out)


def test_it_can_be_written_into_memory_of_ones_own() -> None:
    env = CountingEnv(30)
    buffer = RolloutBuffer.allocate(env._row_layout(), 4, env.batch_size)
    data = env.rollout(100, out=buffer)
    assert counts(data) == [0, 1, 2, 3, 4]
    buffer["observation",][2] = 50
    assert data["observation"][2] == 50
    assert counts(env.rollout(2)) == [0, 1, 2], "the env has let go of it"
    assert data["observation"][2] == 50


def test_memory_that_is_used_again_shows_nothing_of_the_first_time() -> None:
    toy = CountingGym(limit=3)
    env = GymWrapper(toy)
    buffer = RolloutBuffer.allocate(env._row_layout(), 8, env.batch_size)
    env.rollout(8, break_when_any_done=False, out=buffer)
    toy.limit = 4
    data = env.rollout(8, break_when_any_done=False, out=buffer)
    for key in ("done", "terminated"):
        assert data["next", key].squeeze(-1).tolist() == [False, False, False, True] * 2
    assert not data["done"].any()


class FailsAt(CountingEnv):
    """Raises in the step that would be number ``limit``."""

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if int(self._count) + 1 == int(self.limit):
            raise KeyboardInterrupt
        return super()._step(tensordict)


@pytest.mark.parametrize("policy", [None, lambda td: td.set("action", torch.zeros(1))])
def test_what_was_done_before_an_exception_is_whole(policy: Any) -> None:
    env = FailsAt(5)
    buffer = RolloutBuffer.allocate(env._row_layout(), 10, env.batch_size)
    with pytest.raises(KeyboardInterrupt):
        env.rollout(10, policy, out=buffer)
    assert buffer.filled == 4
    data = buffer.tensordict()
    assert counts(data) == [0, 1, 2, 3, 4]
    assert torch.equal(data["action"], data["next", "reward"])
    env.reset()  # and the env goes on


def test_what_a_simulator_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError, match="the simulator fell over"):
        BrokenEnv("steps_raise").rollout(3)


# -- the same twice ---------------------------------------------------------------------------------------------------


def run(env: EnvBase, seed: int, **options: Any) -> TensorDictBase:
    torch.manual_seed(seed)
    env.set_seed(seed)
    return env.rollout(12, break_when_any_done=False, **options)


def test_seeds_decide_everything() -> None:
    one, same, other = run(CountingEnv(5), 1), run(CountingEnv(5), 1), run(CountingEnv(5), 2)
    assert (one == same).all()
    assert (one["start"] != other["start"]).all()
    assert (one["action"] != other["action"]).all()


def test_random_actions_come_from_torchs_generator_and_cover_the_space() -> None:
    actions = run(CountingEnv(5000), 0)["action"]
    torch.manual_seed(0)
    assert torch.equal(actions, CountingEnv().action_spec.rand(torch.Size([12])))
    assert actions.min() < -0.5
    assert actions.max() > 0.5


@pytest.mark.parametrize("env", [CountingEnv([3, 5], [2]), NestedEnv(4), StatelessEnv(2.0, [3])], ids=repr)
def test_a_rollout_equals_steps_by_hand_with_the_same_actions(env: EnvBase) -> None:
    data = run(env, 3)
    actions = iter(data.select(*env.action_keys).unbind(-1))
    env.set_seed(3)
    together = by_hand(env, lambda td: td.update(next(actions)), data.shape[-1])
    assert set(together.keys(True, True)) == set(data.keys(True, True))
    assert (together == data).all()


def test_zero_steps_after_a_refused_action() -> None:
    env = CountingEnv()
    with pytest.raises(ActionError, match=r"found \[2\.0\]"):
        env.rollout(3, lambda td: td.set("action", torch.tensor([2.0])))
    assert env.steps_made == 0


# -- flags of any shape -----------------------------------------------------------------------------------------------


class Teams(EnvBase):
    """Two players with a flag each: the env is done where ``done`` of the root says so."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Bounded(0, 99, shape=[2], dtype=torch.float32))
        self.action_spec = Bounded(-1, 1, shape=[1], dtype=torch.float32)
        player = Composite(done=Categorical(2, shape=[2], dtype=torch.bool), shape=[])
        self.full_done_spec = Composite(done=Categorical(2, shape=[1], dtype=torch.bool), player=player)
        self.time = 0

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self.time = 0
        return TensorDict({"observation": torch.zeros(2)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.time += 1
        result = TensorDict({"observation": torch.full((2,), float(self.time)), "reward": torch.ones(1)})
        result["player"] = TensorDict({"done": torch.tensor([self.time >= 3, False])})
        return result.set("done", torch.tensor([self.time >= 3]))

    def _set_seed(self, seed: int | None) -> None: ...


def test_nested_flags() -> None:
    data = Teams().rollout(7, break_when_any_done=False)
    assert data["observation"][:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert data["next", "player", "done"][:, 0].tolist() == [False, False, True, False, False, True, False]
    assert not data["player", "done"].any()


def test_a_longer_buffer_is_filled_from_its_first_row_and_no_further() -> None:
    env = CountingEnv()
    buffer = RolloutBuffer.allocate(env._row_layout(), 10, env.batch_size)
    data = env.rollout(4, break_when_any_done=False, out=buffer)
    assert data.batch_size == torch.Size([4])
    assert buffer.filled == 4
    assert not buffer[("next", "observation")][4:].any()


def test_a_buffer_that_does_not_fit_is_refused() -> None:
    env = CountingEnv()
    other = RolloutBuffer.allocate(DoubleEnv()._row_layout(), 4, env.batch_size)
    with pytest.raises(SpecError, match=r"the buffer: \S+: expected .* found"):
        env.rollout(4, out=other)


# -- one rollout after another ----------------------------------------------------------------------------------------


def counting(td: TensorDictBase) -> TensorDictBase:
    """A policy with a hidden state: how often it was called."""
    td["next", "calls"] = td.get("calls", torch.zeros(1)) + 1
    return td.set("action", torch.ones(1))


def test_a_hidden_state_goes_on_in_the_next_rollout() -> None:
    env = CountingEnv(30)
    first = env.rollout(3, counting)
    last = env.step_mdp(first[..., -1])
    data = env.rollout(3, counting, auto_reset=False, tensordict=last)
    assert data["calls"].squeeze(-1).tolist() == [3, 4, 5]
    assert env.rollout(2, auto_reset=False, tensordict=last)["calls"].squeeze(-1).tolist() == [3, 3]


def test_a_buffer_used_again_has_forgotten_what_a_policy_added() -> None:
    env = CountingEnv(30)
    out = RolloutBuffer.allocate(env._row_layout(), 3, env.batch_size)

    def summing(td: TensorDictBase) -> TensorDictBase:
        return td.set("calls", td.get("calls", torch.zeros(1)) + 1).set("action", torch.ones(1))

    for _ in range(2):
        assert env.rollout(3, summing, out=out)["calls"].squeeze(-1).tolist() == [1, 2, 3]
    assert "calls" not in set(env.rollout(3, out=out).keys())


def test_a_buffer_may_go_on_from_its_own_last_row() -> None:
    env = CountingEnv(3)
    out = RolloutBuffer.allocate(env._row_layout(), 3, env.batch_size)
    last = env.step_mdp(env.rollout(3, out=out)[..., -1])
    assert last["done"].all()
    data = env.rollout(3, out=out, auto_reset=False, tensordict=last)
    assert counts(data) == [0, 1, 2, 3], "who was done begins anew"


def test_it_does_not_begin_from_nothing() -> None:
    env = StatelessEnv()
    with pytest.raises(SpecError, match=r"no 'goal' in the tensordict to begin from"):
        env.rollout(3, auto_reset=False, tensordict=TensorDict({"position": torch.zeros(1)}))
    with pytest.raises(SpecError, match=r"tensordict has batch_size \[\], the env \[2\]"):
        CountingEnv(3, [2]).rollout(3, auto_reset=False, tensordict=CountingEnv().reset())


def test_who_is_not_reset_begins_where_it_stands() -> None:
    env = CountingEnv(9, [2])
    last = env.step_mdp(env.rollout(3)[..., -1])
    mask = torch.tensor([[True], [False]])
    assert counts(env.rollout(1, tensordict=last.set("_reset", mask))) == [[0, 1], [3, 4]]
    with pytest.raises(SpecError, match=r"no 'observation', 'start' in the tensordict to begin from"):
        env.rollout(1, tensordict=TensorDict({"_reset": mask}, batch_size=[2]))


def test_a_callback_may_change_what_ends_an_episode() -> None:
    def loosen(env: TransformedEnv, moment: TensorDictBase) -> None:
        env.transform.update_done = False  # type: ignore[assignment]

    env = TransformedEnv(CountingEnv(99), StepCounter(3))
    data = env.rollout(9, callback=loosen, break_when_any_done=False)
    assert data["step_count"].flatten().tolist() == [0, 1, 2] * 3
