"""Transforms that are written on TensorDicts, as for TorchRL: `_call`, `_step`, `_reset`, `_inv_call`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule

from envcli.backends.gym import GymEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import SpecError
from envcli.specs import Bounded, Categorical, Composite, Unbounded
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.toys import CountingEnv
from envcli.transforms.compose import Compose
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.hooks import hook_plan
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform


class Summed(Transform):
    """The sum of the rewards of the episode so far, and the observation ten times as large."""

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        next_tensordict.set("total", tensordict["total"] + next_tensordict["reward"])
        return next_tensordict.set("observation", next_tensordict["observation"] * 10)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        tensordict_reset.set("observation", tensordict_reset["observation"] * 10)
        return tensordict_reset.set("total", torch.zeros(*tensordict_reset.batch_size, 1))

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.set("action", tensordict["action"] / 10)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        observation_spec["total"] = Unbounded([*observation_spec.shape, 1])
        return observation_spec

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        state_spec["total"] = Unbounded([*state_spec.shape, 1])
        return state_spec

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        action_spec["action"] = Bounded(-10, 10, shape=action_spec["action"].shape, dtype=torch.float32)
        return action_spec

    def _rewrites(self) -> set[tuple[str, ...]]:
        return {("observation",), ("next", "observation"), ("total",), ("next", "total"), ("action",)}


class TestSummed(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(4), Summed())


class TestSummedBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), Summed())


class Counted(Transform):
    """How often a step was made since the reset, by what it showed last; no state_spec says that it reads it."""

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return tensordict_reset.set("count", torch.zeros(1))

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        return next_tensordict.set("count", tensordict["count"] + 1)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        observation_spec["count"] = Unbounded([1])
        return observation_spec


@pytest.mark.parametrize("later", [Compose(), Compose(ExcludeTransform("count"))], ids=["shown", "hidden"])
def test_what_a_step_reads_at_the_root_is_what_the_last_one_showed(later: Compose) -> None:
    counted = Counted()
    env = TransformedEnv(CountingEnv(9), Compose(counted, later.clone()))
    seen: list[float] = []
    step = counted._step

    def spied(tensordict: TensorDictBase, following: TensorDictBase) -> TensorDictBase:
        seen.append(tensordict["count"].item())
        return step(tensordict, following)

    counted.__dict__["_step"] = spied
    env.rollout(4)
    policy = TensorDictModule(lambda x: torch.zeros_like(x), in_keys=["observation"], out_keys=["action"])
    env.rollout(3, policy)
    td = env.reset()
    for _ in range(3):
        td = env.step_mdp(env.rand_step(td))
    assert seen == [0, 1, 2, 3, 0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("in_place", [False, True])
def test_an_action_is_kept_as_the_user_gave_it(in_place: bool) -> None:
    class Clamped(Transform):
        def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
            return tensordict.set("action", tensordict["action"].clamp(max=0.25))

    class ClampedInPlace(Transform):
        def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
            tensordict["action"].clamp_(max=0.25)
            return tensordict

    given = CountingEnv(9)
    env = TransformedEnv(given, Compose(ClampedInPlace() if in_place else Clamped(), StepCounter()))
    data = env.rollout(3, lambda td: td.set("action", torch.ones(1)))
    assert data["action"].tolist() == [[1.0]] * 3
    assert (
        data["next", "reward"].tolist()
        == given.rollout(3, lambda td: td.set("action", torch.full((1,), 0.25)))["next", "reward"].tolist()
    )


def test_a_flag_that_a_transform_raises_ends_the_episode() -> None:
    class Impatient(Transform):
        def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
            over = next_tensordict["observation"] >= 2
            return next_tensordict.set("truncated", next_tensordict["truncated"] | over)

    env = TransformedEnv(CountingEnv(9), Impatient())
    assert len(env.rollout(6)) == 2
    assert env.rollout(5, break_when_any_done=False)["observation"].flatten().tolist() == [0, 1, 0, 1, 0]


def test_it_steps_and_resets_by_episode() -> None:
    env = TransformedEnv(CountingEnv([2, 3], [2]), Summed())
    data = env.rollout(4, lambda td: td.set("action", torch.full((2, 1), 5.0)), break_when_any_done=False)
    assert data["total"].squeeze(-1).tolist() == [[0, 0.5, 0, 0.5], [0, 0.5, 1, 0]]
    assert data["next", "total"].squeeze(-1).tolist() == [[0.5, 1, 0.5, 1], [0.5, 1, 1.5, 0.5]]
    assert data["observation"].squeeze(-1).tolist() == [[0, 10, 0, 10], [0, 10, 20, 0]]
    assert (data["action"] == 5).all()
    assert (data["next", "reward"] == 0.5).all()


def test_by_steps_too() -> None:
    env = TransformedEnv(CountingEnv(), Summed())
    td = env.step(env.reset().set("action", torch.tensor([10.0])))
    assert (td["next", "total"], td["next", "observation"], td["next", "reward"]) == (1, 10, 1)
    td = env.step(env.step_mdp(td))
    assert td["next", "total"] == 2


def test_what_it_writes_must_be_announced() -> None:
    class Silent(Transform):
        def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
            return next_tensordict.set("surprise", torch.ones(1))

    with pytest.raises(
        SpecError, match=r"Silent wrote 'surprise', which its specs do not declare. Name it in out_keys"
    ):
        TransformedEnv(CountingEnv(), Silent()).rollout(2)


def test_what_is_changed_in_place_of_the_old_is_stored() -> None:
    class Negative(Transform):
        def __init__(self) -> None:
            super().__init__(["reward"])

        def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
            return next_tensordict.set("reward", -next_tensordict["reward"])

    data = TransformedEnv(CountingEnv(), Negative()).rollout(3)
    assert torch.equal(data["next", "reward"], -data["action"])


def test_who_speaks_tensordict() -> None:
    class Value(Transform):
        def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
            return obs

    assert hook_plan(Summed).on_tensordicts == {"inverse", "step", "reset"}
    assert not hook_plan(Value).on_tensordicts


class Differences(Transform):
    """The observation less the one before, which it keeps as it was shown."""

    last: torch.Tensor

    def __init__(self) -> None:
        super().__init__(in_keys=["observation"])

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        before, self.last = self.last, next_tensordict["observation"]
        return next_tensordict.set("observation", self.last - before)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        self.last = tensordict_reset["observation"]
        return tensordict_reset


def test_a_transform_may_keep_what_it_was_shown() -> None:
    env = TransformedEnv(CountingEnv(4), Differences())
    assert env.rollout(4)["next", "observation"].squeeze(-1).tolist() == [1, 1, 1, 1]
    td = env.reset()
    for _ in range(4):
        td = env.rand_step(td)
        assert td["next", "observation"].tolist() == [1]
        td = env.step_mdp(td)


def test_a_reset_leaves_the_action_alone() -> None:
    class Halved(Transform):
        def __init__(self) -> None:
            super().__init__(in_keys_inv=["action"])

        def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
            return tensordict.set("action", tensordict["action"] / 2)

        def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
            return tensordict_reset

    data = TransformedEnv(CountingEnv(2), Halved()).rollout(6, break_when_any_done=False)
    assert torch.equal(data["next", "reward"], data["action"] / 2)
    assert len(data["action"].unique()) == 6, "each was drawn for its step"


class Announced(Transform):
    """Entries of another dtype and shape, which only their specs tell of; and ten times the action."""

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        shown = next_tensordict["observation"]
        next_tensordict["observation"] = torch.cat([shown, -shown], -1).mul(10).round().long()
        if "reward" in next_tensordict:
            next_tensordict["reward"] = next_tensordict["reward"] < -1
        return next_tensordict

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return self._call(tensordict_reset)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.set("action", tensordict["action"][..., :1].float() / 10)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        shape = observation_spec["observation"].shape
        observation_spec["observation"] = Unbounded((*shape[:-1], 2 * shape[-1]), dtype=torch.int64)
        return observation_spec

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        reward_spec["reward"] = Categorical(2, shape=reward_spec["reward"].shape, dtype=torch.bool)
        return reward_spec

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        action_spec["action"] = Bounded(-10, 10, shape=(*action_spec.shape, 2), dtype=torch.int64)
        return action_spec


def _acting(tensordict: TensorDictBase) -> TensorDictBase:
    return tensordict.set("action", torch.tensor([7, 0]).expand(*tensordict.batch_size, 2))


def _pendulum() -> Env:
    return GymEnv("Pendulum-v1")


@pytest.mark.parametrize(
    "make",
    [
        _pendulum,
        CountingEnv,
        lambda: SerialEnv(2, _pendulum),
        lambda: TransformedEnv(_pendulum(), Compose(ObservationNorm(0.0, 1.0), RewardScaling(0.0, 1.0))),
    ],
    ids=["of rows", "of TensorDicts", "batch", "behind others"],
)
def test_what_the_specs_say_of_an_entry_is_enough(make: Callable[[], Env]) -> None:
    with make() as plain, make() as base:
        env = TransformedEnv(base, Compose(Announced(), StepCounter()))
        for each in (plain, env):
            each.set_seed(3)
        raw = plain.rollout(3, lambda td: td.set("action", torch.full((*td.batch_size, 1), 0.7)))
        data = env.rollout(3, _acting)
        assert torch.equal(data["next", "reward"], raw["next", "reward"] < -1)
        env.set_seed(3)
        stepped = env.step(_acting(env.reset()))
        for shown, first in ((data, raw), (data["next"], raw["next"])):
            both = torch.cat([first["observation"], -first["observation"]], -1)
            assert torch.equal(shown["observation"], both.mul(10).round().long())
        assert torch.equal(stepped["next", "observation"], data["next", "observation"].select(env.ndim, 0))
        check_env_specs(env)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda shown: shown[..., :0], r"torch.float32 \[0\], expected torch.float32 \[1\]"),
        (lambda shown: shown.expand(2), r"torch.float32 \[2\], expected torch.float32 \[1\]"),
        (lambda shown: shown.to(torch.complex64), r"torch.complex64 \[1\], expected torch.float32 \[1\]"),
    ],
)
def test_what_a_row_does_not_hold_is_refused(change: Callable[[torch.Tensor], torch.Tensor], found: str) -> None:
    class Changed(Transform):
        def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
            return next_tensordict.set("observation", change(next_tensordict["observation"]))

        _resets_by_call = True

    env = TransformedEnv(CountingEnv(), Changed())
    with pytest.raises(SpecError, match=rf"gives 'observation' as {found}.*transform_observation_spec"):
        env.reset()


def test_a_dimension_of_one_more_or_less_is_no_other_value() -> None:
    env = TransformedEnv(CountingEnv(), lambda td: td.set("observation", td["observation"].squeeze() + 1))
    assert env.reset()["observation"].tolist() == [1]


class Noted(Transform):
    """Writes ``change`` of the observation as ``name``; the change may be in place."""

    def __init__(self, name: str, change: Callable[[torch.Tensor], torch.Tensor], source: str = "observation") -> None:
        super().__init__()
        self.name, self.change, self.source = name, change, source

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return next_tensordict.set(self.name, self.change(next_tensordict[self.source]))

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return self._call(tensordict_reset)

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        observation_spec[self.name] = Unbounded(observation_spec[self.source].shape)
        return observation_spec


class Outlaw(Noted):
    """Takes what it reads out of the TensorDict, which its specs still declare."""

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return super()._call(next_tensordict).exclude(self.source)


class Locked(Noted):
    """Returns a TensorDict that cannot be changed."""

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return super()._call(next_tensordict).copy().lock_()


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("batch", [[], [2]])
@pytest.mark.parametrize("device", [None, "cpu"])
def test_neighbours_see_what_each_other_has_changed(device: str | None, batch: list[int], inference: bool) -> None:
    chain = Compose(
        Noted("doubled", lambda seen: seen * 2),
        Noted("same", lambda seen: seen.add_(100), "doubled"),  # in place, of what the one before wrote
        Noted("later", lambda seen: seen.clone(), "doubled"),
        Outlaw("copied", lambda seen: seen + 1, "later"),
        Locked("again", lambda seen: seen.clone(), "later"),
        Noted("last", lambda seen: seen.clone(), "later"),
        StepCounter(),
        Noted("counted", lambda seen: seen.float(), "step_count"),
    )
    env = TransformedEnv(CountingEnv(9, batch, device=device), chain)
    with torch.inference_mode(inference):
        data = env.rollout(3)
        td = env.reset()
        for t in range(3):
            td = env.rand_step(td)
            for shown in (td["next"], data["next"][..., t]):
                assert (shown["observation"] == t + 1).all()
                for name in ("doubled", "same", "later", "last"):
                    assert (shown[name] == 2 * (t + 1) + 100).all(), name
                assert (shown["copied"] == 2 * (t + 1) + 101).all()
                assert (shown["counted"] == t + 1).all()
            td = env.step_mdp(td)
            assert (td["last"] == 2 * (t + 1) + 100).all()
        assert (env.reset()["last"] == 100).all()


def test_what_a_neighbour_keeps_does_not_change_with_the_next_step() -> None:
    kept: list[torch.Tensor] = []

    def keep(seen: torch.Tensor) -> torch.Tensor:
        kept.append(seen)
        return seen.clone()

    env = TransformedEnv(CountingEnv(9), Compose(Noted("a", torch.clone), Noted("b", keep), Noted("c", keep, "a")))
    kept.clear()
    td = env.reset()
    for _ in range(3):
        td = env.step_mdp(env.rand_step(td))
    assert [seen.item() for seen in kept] == [0, 0, 1, 1, 2, 2, 3, 3]
