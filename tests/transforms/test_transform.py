"""The contract of a transform: what one method gives, and what the others may change."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import TransformError
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.testing import check_env_specs
from envcli.testing.requirements import require_equal
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.action_scaling import ActionScaling
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.cat_tensors import CatTensors
from envcli.transforms.clip import ClipTransform
from envcli.transforms.compose import Compose
from envcli.transforms.init_tracker import InitTracker
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.rename import RenameTransform
from envcli.transforms.resize import Resize
from envcli.transforms.reward_clipping import RewardClipping
from envcli.transforms.reward_scaling import RewardScaling
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.to_tensor_image import ToTensorImage
from envcli.transforms.transform import Transform
from tests.transforms.image_toy import FramesEnv


class Pair(Transform):
    """The least one can write: ``[x, -x]`` for ``[x]``."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return torch.cat([obs, -obs], -1)


class Tenfold(Transform):
    """The user's action is ten times the simulator's."""

    def __init__(self, key: Any = "action") -> None:
        super().__init__(in_keys_inv=[key])

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state / 10

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        key = self.in_keys_inv[0]
        action_spec[key] = Bounded(-10, 10, shape=action_spec[key].shape, dtype=torch.float32)
        return action_spec


def test_one_method_is_a_transform() -> None:
    env = TransformedEnv(CountingEnv([2, 3], [2]), Pair(["observation"]))
    assert env.observation_spec["observation"] == Unbounded([2, 2])
    check_env_specs(env)
    data = env.rollout(4, break_when_any_done=False)
    assert data["observation"][0].tolist() == [[0, 0], [1, -1], [0, 0], [1, -1]]
    assert data["next", "observation"][1].tolist() == [[1, -1], [2, -2], [3, -3], [1, -1]]


def test_out_keys_stand_beside() -> None:
    env = TransformedEnv(CountingEnv(3), Pair(["observation"], ["pair"]))
    check_env_specs(env)
    data = env.rollout(3)
    assert data["observation"].squeeze(-1).tolist() == [0, 1, 2]
    assert data["pair"].tolist() == [[0, 0], [1, -1], [2, -2]]
    assert env.observation_keys == ["observation", "start", "pair"]


def test_rewards_and_nested_keys_are_entries_too() -> None:
    env = TransformedEnv(NestedEnv(3, [2]), Pair([("agent", "observation"), ("agent", "reward")]))
    check_env_specs(env)
    data = env.rollout(3)
    assert torch.equal(
        data["next", "agent", "reward"], torch.cat([data["agent", "action"], -data["agent", "action"]], -1)
    )
    assert data["agent", "observation"][:, :, 0].tolist() == [[0, 1, 2]] * 2


def test_actions_on_their_way_to_the_simulator() -> None:
    env = TransformedEnv(CountingEnv(), Tenfold())
    check_env_specs(env)
    data = env.rollout(3, lambda td: td.set("action", torch.tensor([5.0])))
    assert data["action"].squeeze(-1).tolist() == [5, 5, 5], "the user sees what the user gave"
    assert data["next", "reward"].squeeze(-1).tolist() == [0.5, 0.5, 0.5]
    td = env.step(env.reset().set("action", torch.tensor([10.0])))
    assert td["next", "reward"] == 1
    assert td["action"] == 10


def test_a_spec_may_know_better_than_zeros_say() -> None:
    class Known(Pair):
        def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
            return Bounded(-99, 99, shape=[*leaf.shape[:-1], 2], dtype=leaf.dtype)

    env = TransformedEnv(CountingEnv(), Known(["observation"]))
    assert env.observation_spec["observation"] == Bounded(-99, 99, shape=[2], dtype=torch.float32)
    check_env_specs(env)


class Differences(Transform):
    """Rows: how much the observation grew in this step."""

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        observation_spec["grown"] = Unbounded([*observation_spec.shape, 1])
        return observation_spec

    def _bind(self, inner: Any, outer: Any) -> None:
        self._before, self._after = outer.array(("observation",)), outer.array(("next", "observation"))
        self._root, self._next = outer.array(("grown",)), outer.array(("next", "grown"))

    def _step_row(self, t: int) -> None:
        self._next[t] = self._after[t] - self._before[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._root[t][... if where is None else where] = 0


def test_rows_may_be_written_straight() -> None:
    class Knows(CountingEnv): ...

    env = TransformedEnv(Knows(3), Differences())
    data = env.rollout(5, break_when_any_done=False)
    assert data["next", "grown"].squeeze(-1).tolist() == [1] * 5
    assert data["grown"].squeeze(-1).tolist() == [0, 1, 1, 0, 1]


# -- alone ------------------------------------------------------------------------------------------------------------


def test_alone_it_works_on_any_tensordict() -> None:
    td = TensorDict({"observation": torch.ones(4, 5, 1), "other": torch.ones(4, 5)}, batch_size=[4, 5])
    out = Pair(["observation", "missing"])(td)
    assert out is td
    assert td["observation"].shape == (4, 5, 2)
    assert set(td.keys()) == {"observation", "other"}


def test_alone_on_a_rollout_it_changes_what_follows_too() -> None:
    def rollout() -> TensorDict:
        return TensorDict({"a": torch.ones(4, 1), "next": {"a": torch.zeros(4, 1), "b": torch.ones(4, 1)}}, [4])

    out = Pair(["a", "b"])(rollout())
    assert out["a"].shape == out["next", "a"].shape == out["next", "b"].shape == (4, 2)
    named = Pair(["a", ("next", "a")])(rollout())
    assert named["next", "a"].shape == (4, 2), "once, where it is named, as in TorchRL"
    assert named["next", "b"].shape == (4, 1)


def test_alone_the_way_back_changes_a_copy() -> None:
    td = TensorDict({"action": torch.ones(1)})
    assert Tenfold().inv(td)["action"] == pytest.approx(0.1)
    assert td["action"] == 1


def test_one_without_a_value_cannot_be_applied() -> None:
    with pytest.raises(TransformError, match="Differences works on the steps of an env only"):
        Differences(["observation"])(TensorDict({"observation": torch.ones(1)}))


def test_as_many_ways_in_as_out() -> None:
    with pytest.raises(
        TransformError, match=r"in_keys_inv \['a'\] and out_keys_inv \['b', 'c'\] must have the same length"
    ):
        Transform(in_keys_inv=["a"], out_keys_inv=["b", "c"])


def test_keys_default_to_each_other() -> None:
    transform = Pair(["a"], in_keys_inv=["b"])
    assert (transform.out_keys, transform.out_keys_inv) == (["a"], ["b"])
    assert repr(transform) == "Pair(keys=['a'])"


def test_its_container_is_the_env_however_deep_it_stands() -> None:
    chain = Compose(Compose(StepCounter()))
    inner = chain[0][0]  # type: ignore[index]
    assert inner.container is chain
    env = TransformedEnv(CountingEnv(), chain)
    assert inner.container is chain.container is env


def test_it_stands_in_one_place_only() -> None:
    transform = Pair(["observation"])
    assert (transform.container, transform.parent) == (None, None)
    env = TransformedEnv(CountingEnv(), transform)
    assert transform.container is env
    with pytest.raises(TransformError, match=r"already part of another chain. Use a copy: transform\.clone\(\)"):
        Compose(transform)
    copied = transform.clone()
    assert copied.container is None
    assert transform.container is env
    TransformedEnv(CountingEnv(), copied)


def test_a_copy_of_one_in_use_goes_without_its_rows() -> None:
    env = TransformedEnv(CountingEnv(3), Compose(Pair(["start"]), StepCounter(), Differences()))
    data = env.rollout(3)
    copies = [transform.clone() for transform in env.transform]  # type: ignore[union-attr]  # a Compose is iterable
    assert not any("_root" in vars(copied) or "_root_moves" in vars(copied) for copied in copies)
    copies = [pickle.loads(pickle.dumps(copied)) for copied in copies[:2]]
    other = TransformedEnv(CountingEnv(3), Compose(*copies))
    assert torch.equal(other.rollout(3)["step_count"], data["step_count"])
    assert torch.equal(env.rollout(3)["observation"], data["observation"]), "the first one still has its rows"


def test_state_of_a_copy_is_its_own() -> None:
    class Counts(Pair):
        def __init__(self) -> None:
            super().__init__(["observation"])
            self.register_buffer("calls", torch.zeros(()))

    one = Counts()
    other = one.clone()
    other.calls += 1
    assert one.calls == 0
    assert "calls" in one.state_dict()


def test_the_chain_that_holds_it_is_no_part_of_it() -> None:
    transform = Pair(["observation"])
    env = TransformedEnv(CountingEnv(), Compose(transform))
    assert list(transform.children()) == []
    assert transform.state_dict() == {}
    assert env.to("cpu").reset().device == torch.device("cpu")


def test_tensordict_hooks_are_called_for_a_reset_only_where_they_say_so() -> None:
    class Marks(Transform):
        def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
            return next_tensordict.set("mark", torch.ones(1))

    td = TensorDict({"observation": torch.zeros(1)})
    assert "mark" not in Marks()._reset(None, td)
    assert "mark" in Marks()._step(td, td)


class Keeps(Transform):
    """Remembers what it was given, both ways."""

    def __init__(self) -> None:
        super().__init__(["observation"], in_keys_inv=["action"])
        self.seen: list[torch.Tensor] = []
        self.taken: list[torch.Tensor] = []

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        self.seen.append(obs)
        return obs + 1

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        self.taken.append(state)
        return state / 2


def test_a_value_may_be_kept() -> None:
    transform = Keeps()
    env = TransformedEnv(CountingEnv(9), transform)
    transform.seen.clear()
    env.rollout(3)
    assert torch.stack(transform.seen).flatten().tolist() == [0, 1, 2, 3]
    td = env.reset()
    transform.taken.clear()
    for action in (0.0, 0.5, 1.0):
        td = env.step_mdp(env.step(td.set("action", torch.tensor([action]))))
    assert torch.stack(transform.taken).flatten().tolist() == [0, 0.5, 1]


SETTINGS = [
    (lambda: RewardScaling(0.0, 1.0), "scale", torch.tensor(3.0)),
    (lambda: RewardScaling(0.0, 1.0), "loc", torch.tensor(3.0)),
    (lambda: ObservationNorm(0.0, 1.0), "loc", torch.tensor([3.0])),
    (lambda: ObservationNorm(0.0, 1.0), "standard_normal", True),
    (lambda: ClipTransform(["observation"], low=0, high=1.5), "high", torch.tensor(0.5)),
    (lambda: ClipTransform(["observation"], low=0, high=1.5), "low", 1.25),
    (lambda: RewardClipping(-1, 1), "clamp_max", 0.25),
    (lambda: RewardClipping(-1, 1), "clamp_min", 0.75),
    (lambda: StepCounter(9), "max_steps", 2),
    (lambda: StepCounter(2), "update_done", False),
    (lambda: ActionScaling(loc=0.0, scale=1.0), "scale", torch.tensor(0.5)),
]


@pytest.mark.parametrize(("make", "name", "value"), SETTINGS, ids=[name for _, name, _ in SETTINGS])
@pytest.mark.parametrize("place", ["single", "over a batch", "within a batch"])
def test_what_is_set_between_two_steps_counts_in_the_next(make: Any, name: str, value: Any, place: str) -> None:
    def stepped(before: bool) -> TensorDictBase:
        made: list[Transform] = []

        def transform() -> Transform:
            made.append(make())
            if before:
                setattr(made[-1], name, value)
            return made[-1]

        def single() -> Env:
            return TransformedEnv(CountingEnv(9), Compose(transform()))

        over = place == "over a batch"
        env = TransformedEnv(SerialEnv(1, lambda: CountingEnv(9)), transform()) if over else single()
        with SerialEnv(1, single) if place == "within a batch" else env as env:
            env.set_seed(0)
            act = torch.full((*env.batch_size, 1), 0.5)
            _, td = env.step_and_maybe_reset(env.reset().set("action", act))
            setattr(made[-1], name, value)
            return env.step_and_maybe_reset(td.set("action", act))[0]["next"].clone()

    require_equal(stepped(before=False), stepped(before=True), name)


def frames() -> Env:
    return TransformedEnv(FramesEnv(9), ToTensorImage(from_int=False))


RESPECIFIED = [
    (lambda: CountingEnv(9), lambda: ObservationNorm(0.0, 2.0, ["observation"]), "in_keys", ["start"]),
    (lambda: CountingEnv(9), lambda: RewardScaling(0.0, 10.0), "out_keys", ["more"]),
    (lambda: CountingEnv(9), lambda: ObservationNorm(0.0, 2.0, ["observation"]), "out_keys", ["normed"]),
    (lambda: CountingEnv(9), lambda: CatTensors(out_key="all", del_keys=False), "in_keys", ["observation"]),
    (lambda: CountingEnv(9), lambda: ClipTransform(["observation"], low=0, high=1.5), "high", 5.0),
    (lambda: CountingEnv(9), lambda: StepCounter(), "step_count_key", "t"),
    (lambda: CountingEnv(9), lambda: StepCounter(4), "truncated_key", "late"),
    (lambda: CountingEnv(9), lambda: RewardSum(), "out_keys", ["total"]),
    (lambda: StatelessEnv(9.0), lambda: StepCounter(), "max_steps", 2),
    (frames, lambda: Resize(8, 8), "w", 4),
    (frames, lambda: CatFrames(4, dim=-3), "N", 2),
]


@pytest.mark.parametrize(("env", "make", "name", "value"), RESPECIFIED)
def test_specs_and_rows_follow_what_is_set(env: Any, make: Any, name: str, value: Any) -> None:
    set_late = TransformedEnv(env()).append_transform(make())
    set_late.rollout(2)
    set_late.step(set_late.rand_action(set_late.reset()))
    setattr(set_late.transform[-1], name, value)
    transform = make()
    setattr(transform, name, value)
    set_early = TransformedEnv(env()).append_transform(transform)
    assert set_late.specs == set_early.specs
    check_env_specs(set_late)
    for each in (set_early, set_late):
        each.set_seed(0)
        torch.manual_seed(0)
    made = set_early.rollout(5)
    torch.manual_seed(0)
    require_equal(set_late.rollout(5), made, name)


def test_a_list_of_keys_may_be_changed_in_place() -> None:
    env = TransformedEnv(CountingEnv(9), ObservationNorm(0.0, 0.5, ["observation"], standard_normal=True))
    env.rollout(2)
    env.transform.out_keys[0] = "normed"
    assert env.rollout(3)["normed"].flatten().tolist() == [0, 2, 4]
    assert env.rollout(3)["observation"].flatten().tolist() == [0, 1, 2]


def test_keys_that_are_not_there_are_refused_when_they_are_set_late() -> None:
    env = TransformedEnv(CountingEnv(9), RewardScaling(0.0, 10.0))
    env.rollout(2)
    env.transform.in_keys = ["foo"]
    with pytest.raises(TransformError, match=r"RewardScaling: in_keys \['foo'\] do not exist"):
        env.rollout(2)
    env.transform.in_keys = ["reward"]
    assert (env.rollout(2)["next", "reward"].abs() <= 10).all()


@pytest.mark.parametrize("name", ["_moves", "_next_moves", "_container"])
def test_a_name_that_transforms_have_taken_is_refused(name: str) -> None:
    class Named(Transform):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, name, 3)

    with pytest.raises(TypeError, match=f"Named: '{name}' is the name of an internal .* of every transform here"):
        Named()


def test_keys_that_follow_from_something_else_cannot_be_set() -> None:
    env = TransformedEnv(CountingEnv(9), InitTracker())
    env.transform.out_keys = ["begun"]
    with pytest.raises(TransformError, match="InitTracker: its keys follow from its other arguments"):
        env.rollout(2)
    assert "is_init" in env.rollout(2)


class Restless(RewardScaling):
    """Sets attributes as it runs: one of its own, and one that its constructor is given."""

    def __init__(self) -> None:
        super().__init__(0.0, 1.0)
        self.steps = self.bound = 0

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self.bound += 1
        super()._bind(inner, outer)

    def _step_row(self, t: int) -> None:
        super()._step_row(t)
        self.steps += 1
        if self.steps == 2:
            self.loc = torch.ones(())


def test_what_a_transform_sets_as_it_runs_disturbs_no_rollout() -> None:
    transform = Restless()
    env = TransformedEnv(CountingEnv(9), Compose(StepCounter(), transform, StepCounter(step_count_key="again")))
    env.reset()
    before = transform.bound
    data = env.rollout(4, lambda td: td.set("action", torch.full((1,), 0.5)))
    assert data["next", "reward"].flatten().tolist() == [0.5, 0.5, 1.5, 1.5]
    assert data["next", "again"].flatten().tolist() == [1, 2, 3, 4]
    assert transform.steps == 4
    assert transform.bound - before <= 3, "to the rollout's rows, for loc, and to those of single steps"


@pytest.mark.parametrize(
    ("transform", "in_keys", "out_keys"),
    [
        (Pair("observation"), ["observation"], ["observation"]),
        (Pair(("agent", "observation"), "shown"), [("agent", "observation")], ["shown"]),
        (RewardScaling(0.0, 1.0, "reward", ("paid", "reward")), ["reward"], [("paid", "reward")]),
        (RewardSum(out_keys="total"), ["reward"], ["total"]),
        (CatTensors("observation"), ["observation"], ["observation_vector"]),
        (RenameTransform("reward", ("nested", "reward")), ["reward"], [("nested", "reward")]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Transform) else "",
)
def test_one_key_needs_no_list(transform: Transform, in_keys: list[Any], out_keys: list[Any]) -> None:
    base = NestedEnv() if in_keys == [("agent", "observation")] else CountingEnv()
    env = TransformedEnv(base, transform)
    assert (transform.in_keys, transform.out_keys) == (in_keys, out_keys)
    assert env.rollout(2)["next"].get(out_keys[0]) is not None


def test_one_key_inwards() -> None:
    transform = Transform(in_keys_inv="action", out_keys_inv=("agent", "action"))
    assert (transform.in_keys_inv, transform.out_keys_inv) == (["action"], [("agent", "action")])


# -- its place ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("many", [False, True])
def test_one_that_leaves_its_env_is_replaced_by_a_copy(many: bool) -> None:
    norm = ObservationNorm(in_keys=["observation"], loc=10.0, scale=1.0)
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), norm) if many else norm)
    env.rollout(2)
    norm.reset_parent()
    assert norm.container is norm.parent is None
    assert env.rollout(2)["observation"].tolist() == [[10], [11]]
    other = TransformedEnv(CountingEnv(), norm)
    norm.loc = torch.tensor(0.0)
    assert other.rollout(2)["observation"].tolist() == [[0], [1]]
    assert env.rollout(2)["observation"].tolist() == [[10], [11]]
    Transform().reset_parent()


def test_what_an_env_lacks_may_be_left_out() -> None:
    def norm() -> ObservationNorm:
        return ObservationNorm(in_keys=["observation", "pixels"], loc=10.0, scale=1.0)

    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), norm())
    tolerant = norm()
    assert not tolerant.missing_tolerance
    tolerant.set_missing_tolerance(True)
    env = TransformedEnv(CountingEnv(), tolerant)
    assert env.rollout(2)["observation"].tolist() == [[10], [11]]
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        tolerant.set_missing_tolerance()


def test_an_env_works_its_specs_out_anew() -> None:
    class Grown(Transform):
        size = 1

        def transform_observation_spec(self, observation_spec: Composite) -> Composite:
            observation_spec["grown"] = Unbounded(self.size)
            return observation_spec

        def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
            return next_tensordict.set("grown", torch.zeros(self.size))

        _reset = _step

    env = TransformedEnv(CountingEnv(), grown := Grown())
    assert env.rollout(2)["grown"].shape == (2, 1)
    Grown.size = 3
    grown.empty_cache()
    assert env.rollout(2)["grown"].shape == (2, 3)
    grown.close()
    assert env.rollout(2)["grown"].shape == (2, 3)
