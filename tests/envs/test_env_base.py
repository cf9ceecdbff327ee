"""EnvBase: a user's own env, written on TensorDicts."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env_base import EnvBase
from envcli.errors import ActionError, EnvError, SpecError
from envcli.specs import Binary, Bounded, Categorical, Composite, Unbounded
from envcli.testing import check_env_specs
from envcli.testing.toys import BrokenEnv, CountingEnv
from envcli.transforms.step_counter import StepCounter


class Own(EnvBase):
    """What a newcomer writes: as little as possible."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.observation_spec = Composite(observation=Bounded(0, 10, shape=[1], dtype=torch.float32))
        self.action_spec = Categorical(2)
        self.given: list[Any] = []
        self.result: Any = None

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self.given.append((tensordict, options))
        return TensorDict({"observation": torch.zeros(1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if self.result is not None:
            return self.result(tensordict)
        moved = tensordict["observation"] + tensordict["action"]
        return TensorDict({"observation": moved, "reward": torch.ones(1), "done": moved >= 3})

    def _set_seed(self, seed: int | None) -> None: ...


def test_the_least_one_can_write_is_an_env() -> None:
    env = Own()
    assert env.reward_spec == Unbounded([1])
    assert env.done_keys == ["done", "terminated"]
    assert env.state_spec.is_empty()
    data = env.rollout(20, lambda td: td.set("action", torch.tensor(1)))
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3]
    check_env_specs(CountingEnv())


def test_spec_locked_is_taken_for_torchrls_sake() -> None:
    assert Own().is_spec_locked
    env = Own(spec_locked=False)
    assert not env.is_spec_locked
    env.action_spec = Categorical(3)
    assert env.rollout(2).shape == (2,)


def test_reset_hands_over_what_it_was_given() -> None:
    env = Own()
    td = TensorDict({"note": torch.ones(1)})
    env.reset(td, speed=3)
    assert env.given[-1] == (td, {"speed": 3})
    env.reset()
    assert env.given[-1] == (None, {})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"done": True}, {"done": True, "terminated": True, "truncated": False}),
        ({"terminated": True}, {"done": True, "terminated": True, "truncated": False}),
        ({"truncated": True}, {"done": True, "terminated": False, "truncated": True}),
        ({"terminated": False, "truncated": False}, {"done": False, "terminated": False, "truncated": False}),
        ({"done": True, "truncated": True}, {"done": True, "terminated": False, "truncated": True}),
        ({"done": True, "truncated": False}, {"done": True, "terminated": True, "truncated": False}),
        ({"done": True, "terminated": False}, {"done": True, "terminated": False, "truncated": True}),
        ({"done": True, "terminated": True}, {"done": True, "terminated": True, "truncated": False}),
        ({}, {"done": False, "terminated": False, "truncated": False}),
    ],
)
def test_flags_that_are_left_out_follow_from_the_others(given: dict[str, bool], expected: dict[str, bool]) -> None:
    env = Own()
    flag = Categorical(2, shape=[1], dtype=torch.bool)
    env.full_done_spec = Composite(done=flag, terminated=flag, truncated=flag)
    flags = {name: torch.tensor([value]) for name, value in given.items()}
    env.result = lambda td: TensorDict({"observation": torch.ones(1), "reward": torch.ones(1), **flags})
    following = env.rand_step(env.reset())["next"]
    assert {name: bool(following[name]) for name in expected} == expected
    data = env.rollout(1)["next"]
    assert {name: bool(data[name]) for name in expected} == expected


@pytest.mark.parametrize("others", [[], ["truncated"]])
@pytest.mark.parametrize("group", [(), ("agent",)])
def test_flags_that_no_spec_names_are_filled_too(others: list[str], group: tuple[str, ...]) -> None:
    """What every loss reads is there."""
    env = Own()
    flags: Any = Composite(dict.fromkeys(["done", *others], Categorical(2, shape=[1], dtype=torch.bool)))
    env.full_done_spec = Composite(dict.fromkeys(group, flags)) if group else flags
    made = TensorDict({(*group, "done"): torch.ones(1, dtype=torch.bool)})
    env.result = lambda td: TensorDict({"observation": torch.ones(1), "reward": torch.ones(1)}).update(made)
    assert set(env.done_keys) == {(*group, name) if group else name for name in ("done", "terminated", *others)}
    for following in (env.rand_step(env.reset())["next"], env.rollout(1)[0]["next"]):
        assert following[(*group, "terminated")].tolist() == [True]
        assert not any(following[(*group, name)].any() for name in others)


class Flat(EnvBase):
    """Its rewards and flags lack their last dimension: the easiest mistake."""

    def __init__(self, batch_size: list[int], flags: dict[str, Any]) -> None:
        super().__init__(batch_size=batch_size)
        self.observation_spec = Composite(observation=Unbounded([*batch_size, 1]), shape=batch_size)
        self.action_spec = Categorical(2, shape=batch_size)
        self.flags = flags

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        shown = self.observation_spec.zero()
        return shown.set("done", torch.zeros(self.batch_size, dtype=torch.bool))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        shown = self.observation_spec.zero().set("reward", torch.ones(self.batch_size))
        return shown.update(self.flags)

    def _set_seed(self, seed: int | None) -> None: ...


@pytest.mark.parametrize("batch", [[], [3], [2, 3]])
@pytest.mark.parametrize("flat", [["done"], ["terminated"], ["done", "terminated"]])
@pytest.mark.parametrize("whole", [[], ["done"], ["terminated"]])
def test_a_reward_or_flag_may_lack_its_last_dimension_of_one(
    batch: list[int], flat: list[str], whole: list[str]
) -> None:
    flags = {name: torch.ones(batch, dtype=torch.bool) for name in flat}
    flags |= {name: torch.ones([*batch, 1], dtype=torch.bool) for name in whole}
    env = Flat(batch, flags)
    begun = env.reset()
    assert begun["done"].shape == begun["terminated"].shape == (*batch, 1)
    for following in (env.rand_step(begun)["next"], env.rollout(1)[..., 0]["next"]):
        for name in ("reward", "done", "terminated"):
            assert following[name].shape == (*batch, 1)
            assert following[name].all()


def test_an_observation_has_the_shape_that_its_spec_says() -> None:
    env = Own()
    env.result = lambda td: TensorDict({"observation": torch.tensor(1.0), "reward": 1.0})
    with pytest.raises(SpecError, match=r"'observation' has shape \[\], observation_spec says \[1\]"):
        env.rand_step(env.reset())


@pytest.mark.parametrize(
    ("result", "kind", "said"),
    [
        (lambda td: 3, EnvError, "Own._step must return a TensorDict, returned int"),
        (lambda td: TensorDict({"reward": torch.ones(1)}), SpecError, "'observation' is missing; observation_spec"),
        (lambda td: TensorDict({"observation": torch.ones(1)}), SpecError, "'reward' is missing; reward_spec"),
        (
            lambda td: TensorDict({"observation": torch.ones(2), "reward": torch.ones(1)}),
            SpecError,
            r"'observation' has shape \[2\], observation_spec says \[1\]",
        ),
    ],
)
def test_what_a_step_must_return(result: Any, kind: type[Exception], said: str) -> None:
    env = Own()
    env.result = result
    with pytest.raises(kind, match=said):
        env.rand_step(env.reset())
    with pytest.raises(kind, match=said):
        env.rollout(2)


def test_a_step_must_not_return_its_input() -> None:
    env = Own()
    env.result = lambda td: td.update({"reward": torch.ones(1)})
    with pytest.raises(EnvError, match=r"returned its input\. Return a new TensorDict"):
        env.rand_step(env.reset())


def test_a_rollout_has_no_memory_for_what_no_spec_declares() -> None:
    with pytest.raises(SpecError, match=r"returned \['surprise'\], which no spec declares"):
        BrokenEnv("undeclared").rollout(2)


class Masked(EnvBase):
    """Each step forbids a choice; the mask is state, and where ``shown`` an observation too."""

    def __init__(self, shown: bool = False, forbids: bool = True) -> None:
        super().__init__()
        mask = Composite(mask=Binary(4, dtype=torch.bool))
        self.state_spec = mask
        self.observation_spec = mask.clone() if shown else Composite()
        self.action_spec = Categorical(4)
        self.forbids = forbids

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict({"mask": torch.ones(4, dtype=torch.bool)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        mask = tensordict["mask"].clone()
        mask[mask.int().argmax()] = not self.forbids
        return TensorDict({"mask": mask, "reward": torch.ones(1)})

    def _set_seed(self, seed: int | None) -> None:
        """It draws nothing."""


def test_a_state_that_a_step_changes_is_an_observation_too() -> None:
    for make in (Masked, lambda: SerialEnv(2, Masked), lambda: TransformedEnv(Masked(), StepCounter())):
        with pytest.raises(SpecError, match=r"Masked\._step changed 'mask', .* Add it to observation_spec too"):
            make().rollout(3)
    assert Masked(forbids=False).rollout(3)["mask"].all(), "as it was"
    env = Masked(shown=True)
    rows = env.rollout(3)["mask"].int().tolist()
    assert rows == [[1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]]
    moment, by_hand = env.reset(), []
    for _ in range(3):
        by_hand.append(moment["mask"].int().tolist())
        moment = env.step_mdp(env.rand_step(moment))
    assert by_hand == rows


def test_a_flag_that_no_spec_declares_belongs_to_the_others() -> None:
    env = Own()
    flag = torch.zeros(1, dtype=torch.bool)
    env.result = lambda td: TensorDict({"observation": torch.zeros(1), "reward": torch.ones(1), "truncated": flag})
    with pytest.raises(SpecError, match=r"\['truncated'\], which no spec .* Add it to done_spec, or leave it out"):
        env.rollout(2)


def test_type_checks_look_at_values_too() -> None:
    env = Own(run_type_checks=True)
    env.result = lambda td: TensorDict({"observation": torch.full((1,), 11.0), "reward": torch.ones(1)})
    with pytest.raises(SpecError, match=r"does not hold 11 at \[0\]: expected from 0 to 10\."):
        env.rand_step(env.reset())
    env.run_type_checks = False
    env.rand_step(env.reset())


def test_done_after_reset_must_be_allowed() -> None:
    class Finished(Own):
        def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
            return TensorDict({"observation": torch.zeros(1), "done": torch.ones(1, dtype=torch.bool)})

    with pytest.raises(EnvError, match="done right after its reset"):
        Finished().reset()
    assert Finished(allow_done_after_reset=True).reset()["done"].all()


def test_actions_are_checked_unless_the_batch_is_free() -> None:
    env = Own()
    td = env.reset()
    for wrong in (torch.tensor(2), torch.tensor([1]), torch.tensor(1.0), torch.tensor([0, 1])):
        with pytest.raises(ActionError):
            env.step(td.clone(False).set("action", wrong))
    env.batch_locked = False
    env.step(td.set("action", torch.tensor([1])))
    assert td["next", "observation"] == 1


def test_partial_reset_merges() -> None:
    env = CountingEnv(10, [3])
    td = env.step_mdp(env.rand_step(env.reset()))
    td["_reset"] = torch.tensor([[False], [True], [False]])
    before = td["start"].clone()
    assert env.reset(td) is td
    assert td["observation"].squeeze(-1).tolist() == [1, 0, 1]
    assert (td["start"] == before).squeeze(-1).tolist() == [True, False, True]


def test_it_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        EnvBase()  # type: ignore[abstract]  # the point of the test


def test_what_a_step_returns_has_the_batch_size_of_the_env() -> None:
    class Stretched(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            return super()._step(tensordict)[0]

    env = Stretched(3, [2])
    with pytest.raises(SpecError, match=r"'observation' has shape \[1\], which does not begin with"):
        env.rollout(2)


def test_a_value_that_its_spec_would_cut_off_is_refused() -> None:
    env = Own()
    env.reward_spec = Unbounded([1], dtype=torch.int64)
    with pytest.raises(SpecError, match=r"'reward' has dtype torch.float32, reward_spec says torch.int64"):
        env.rollout(2)


class Differing(Own):
    """Pays how much the action differs from the one before, which it keeps as it was given."""

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self.last: torch.Tensor | None = None
        return super()._reset(tensordict, **options)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict["action"]
        reward = torch.zeros(1) if self.last is None else (action - self.last).float().reshape(1)
        self.last = action
        return TensorDict({"observation": torch.zeros(1), "reward": reward})


def test_an_env_may_keep_the_action_it_was_given() -> None:
    env = TransformedEnv(Differing(), StepCounter())
    td, paid = env.reset(), []
    for action in (0, 1, 1, 0):
        td = env.step(td.set("action", torch.tensor(action)))
        paid.append(int(td["next", "reward"]))
        td = env.step_mdp(td)
    assert paid == [0, 1, 0, -1]


def test_a_reset_from_farther_out_hands_over_what_it_was_given() -> None:
    td = TensorDict({"note": torch.ones(1)})
    bare, inner = Own(), Own()
    wrapped = TransformedEnv(inner, StepCounter())
    wrapped.reset(td, speed=3)
    assert inner.given[-1] == (td, {"speed": 3})
    for own, env in ((bare, bare), (inner, wrapped)):
        own.given.clear()
        env.rollout(5, lambda row: row.set("action", torch.tensor(1)), tensordict=td, break_when_any_done=False)
        first, second = (given for given, _ in own.given)
        assert first["note"].tolist() == [1]
        assert second is None, "the second episode begins by itself"


def test_who_is_not_reset_may_be_done() -> None:
    class Keeping(CountingEnv):
        def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
            result = super()._reset(tensordict, **options)
            if tensordict is not None:
                for key in ("done", "terminated"):
                    result[key] = tensordict[key] & ~tensordict["_reset"]
            return result

    env = Keeping(2, [2])
    td = env.step_mdp(env.rollout(2)[..., -1])
    td = env.reset(td.set("_reset", torch.tensor([[True], [False]])))
    assert td["done"].tolist() == [[False], [True]]


@pytest.mark.parametrize(
    ("value", "fits"),
    [(torch.tensor([0.5], dtype=torch.float64), True), (torch.tensor([1]), True), (torch.tensor([2]), False)],
)
def test_a_step_takes_the_actions_that_a_rollout_takes(value: torch.Tensor, fits: bool) -> None:
    env = CountingEnv()
    td = env.reset().set("action", value)
    if not fits:
        with pytest.raises(ActionError):
            env.step(td)
        with pytest.raises(ActionError):
            env.rollout(1, lambda td: td.set("action", value))
        return
    reward = env.step(td)["next", "reward"]
    assert reward.dtype == torch.float32
    assert torch.equal(reward, env.rollout(1, lambda td: td.set("action", value))["next", "reward"][0])
    assert td["action"] is value, "the user's own is left alone"


def test_a_copy_of_one_that_has_run_goes_on_alike() -> None:
    env = CountingEnv(9, [2])
    env.rollout(3)
    for one in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        assert one.rand_step()["next", "observation"].flatten().tolist() == [4, 4]
        assert len(one.rollout(20)[0]) == 9


def test_a_name_that_envs_have_taken_is_refused() -> None:
    class Filed(Own):
        def __init__(self) -> None:
            super().__init__()
            self._buffer = [1, 2]  # type: ignore[method-assign, assignment]

    with pytest.raises(
        TypeError, match=r"Filed: '_buffer' is the name of an internal method of every env .* such as 'my_buffer'"
    ):
        Filed()
    with pytest.raises(TypeError, match="Playing: '_roles' is the name of"):

        class Playing(Own):
            def _roles(self, side: int) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match="Fronted: '_front' is the name of"):

        class Fronted(Own):
            _front = 3  # type: ignore[assignment]


@pytest.mark.parametrize("name", ["_bound", "_kept", "_specs", "_closed", "_parted", "_under_way", "_root_rows"])
def test_an_attribute_that_envs_have_taken_is_refused(name: str) -> None:
    class Named(Own):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, name, 3.0)

    with pytest.raises(TypeError, match=f"Named: '{name}' is the name of an internal attribute .* such as 'my{name}'"):
        Named()
    with pytest.raises(TypeError, match=f"Stated: '{name}' is the name of"):
        type("Stated", (Own,), {name: 3.0, "__module__": __name__})


def test_what_torchrl_has_too_is_set_as_there() -> None:
    class Unlocked(Own):
        def __init__(self) -> None:
            super().__init__()
            self._batch_locked, self._allow_done_after_reset = False, True

    assert not Unlocked().batch_locked


def test_other_private_names_and_hooks_are_the_authors() -> None:
    class Free(Own):
        _queue = 3

        def __init__(self) -> None:
            super().__init__()
            self._rows_seen, self._state = 0, {"a": 1}

        def _step_row(self, t: int) -> None:
            self._rows_seen += 1
            super()._step_row(t)

    env = Free()
    assert env.rollout(3).shape == (3,)
    assert (env._rows_seen, env._queue, env._state) == (3, 3, {"a": 1})


def test_specs_that_were_unlocked_count_when_they_are_locked_again() -> None:
    env = Own()
    env.rollout(2)
    assert env.set_spec_lock_(False) is env
    assert not env.is_spec_locked
    env.observation_spec["more"] = Unbounded([1])
    env.set_spec_lock_()
    with pytest.raises(SpecError, match="more"):
        env.rollout(2)
    env.set_spec_lock_(False).observation_spec.pop("more")
    assert env.set_spec_lock_().rollout(2).shape == (2,)


# -- specs before super().__init__() ----------------------------------------------------------------------------------


class Early(Own):
    """TorchRL's envs may assign their specs first."""

    def __init__(self, **options: Any) -> None:
        self.observation_spec = Composite(observation=Bounded(0, 10, shape=[1], dtype=torch.float32))
        self.action_spec = Categorical(2)
        self.reward_spec = Unbounded([1])
        self.given, self.result = [], None
        EnvBase.__init__(self, **options)


def test_specs_may_be_assigned_before_the_constructor_of_the_base() -> None:
    data = Early().rollout(20, lambda td: td.set("action", torch.tensor(1)))
    assert data["next", "observation"].squeeze(-1).tolist() == [1, 2, 3]
    assert Early(device="meta").observation_spec["observation"].device.type == "meta"
    assert not EnvBase._specs
    with pytest.raises(SpecError, match=r"observation_spec has shape \[\], but the env's batch_size is \[2\]"):
        Early(batch_size=[2])


@pytest.mark.parametrize("name", ["batch_locked", "_batch_locked"])
def test_an_env_takes_any_batch_size_by_either_name(name: str) -> None:
    env = Own()
    assert env.batch_locked
    assert env._batch_locked
    setattr(env, name, False)
    assert not env.batch_locked
    assert not TransformedEnv(env, StepCounter()).batch_locked
    assert not type("Free", (Own,), {name: False})().batch_locked


# -- what a user's methods may leave out ------------------------------------------------------------------------------


class Pair(EnvBase):
    """Two envs, whose TensorDicts do not say so."""

    def __init__(self) -> None:
        super().__init__(batch_size=[2])
        self.observation_spec = Composite(observation=Unbounded([2, 1]), shape=[2])
        self.action_spec = Unbounded([2, 1])
        self.full_reward_spec = Composite(shape=[2])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict({"observation": torch.zeros(2, 1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return TensorDict({"observation": tensordict["action"].clone()})

    def _set_seed(self, seed: int | None) -> None: ...


def test_tensordicts_of_a_batch_need_not_say_so() -> None:
    env = Pair()
    assert env.reset().batch_size == (2,)
    data = env.rollout(3)
    assert torch.equal(data["next", "observation"], data["action"])
    check_env_specs(env)
    env.full_reward_spec = Composite(reward=Unbounded([2, 1]), shape=[2])
    env._step = lambda td: TensorDict({"observation": td["action"], "reward": torch.zeros(1)})  # type: ignore[method-assign]
    with pytest.raises(SpecError, match=r"Pair\._step: 'reward' has shape \[1\], which does not begin with .* \[2\]"):
        env.rollout(3)


def test_an_env_may_pay_no_rewards() -> None:
    env = Pair()
    assert env.reward_keys == []
    assert ("next", "reward") not in env.rollout(3).keys(True)
    env.full_reward_spec = Composite(reward=Unbounded([2, 1]), shape=[2])
    with pytest.raises(SpecError, match=r"'reward' is missing.*write full_reward_spec = Composite\("):
        env.rollout(3)
