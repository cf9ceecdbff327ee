"""TransformedEnv: one env seen differently."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule

from envcli.backends.gym import GymEnv, GymWrapper
from envcli.backends.torch import TorchEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.dynamics.pendulum import Pendulum
from envcli.envs.env import Env
from envcli.errors import ClosedError, SpecError, TransformError
from envcli.gym.info_reader import InfoReader
from envcli.memory.buffer import RolloutBuffer
from envcli.specs import Composite
from envcli.testing import EnvContract
from envcli.testing.gym_toys import CountingGym
from envcli.testing.toys import CountingEnv, DoubleEnv, StatelessEnv
from envcli.transforms.action_scaling import ActionScaling
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.clip import ClipTransform
from envcli.transforms.compose import Compose
from envcli.transforms.double_to_float import DoubleToFloat
from envcli.transforms.dtype_cast import DTypeCastTransform
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.module_transform import ModuleTransform
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.rename import RenameTransform
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.time_max_pool import TimeMaxPool
from envcli.transforms.transform import Transform
from envcli.transforms.vec_norm_v2 import VecNormV2
from tests.test_overhead import fulfilled


class Shift(Transform):
    """Adds one to each of its entries."""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs + 1


class TestWithoutTransforms(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv())


class TestOverGymnasium(EnvContract):
    def make_env(self) -> Env:
        chain = Compose(StepCounter(10), DTypeCastTransform("float32", "float64"), Shift(["observation"]))
        return TransformedEnv(GymEnv("Pendulum-v1"), chain)


class TestOverAStatelessBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(2.5, [3]), StepCounter(max_steps=4))


class TestTwoStagesOfTheSameEntry(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(DoubleEnv([3, 4], [2]), Compose(Shift(["observation"]), DoubleToFloat()))


class TestAStatelessEnvWhosePositionIsRewritten(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(), Compose(Shift(["start"], ["start_plus"]), Shift(["observation"])))


def test_what_no_transform_touches_is_the_same_memory() -> None:
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), Shift(["observation"])))
    env.rand_step(env.reset())
    outer, inner = env._bound, env.base_env._bound
    assert outer is not None
    assert inner is not None
    for path in (("start",), ("next", "reward"), ("action",), ("next", "done")):
        assert outer[path].data_ptr() == inner[path].data_ptr()
    assert outer["observation",].data_ptr() != inner["observation",].data_ptr()
    assert ("step_count",) not in inner


def test_the_base_env_can_be_used_beside_it() -> None:
    base = CountingEnv()
    env = TransformedEnv(base, Shift(["observation"]))
    td = env.reset()
    base.rollout(2)
    assert base.reset()["observation"] == 0
    assert env.rand_step(td)["next", "observation"] == 2
    assert env.rollout(2)["observation"].squeeze(-1).tolist() == [1, 2]


def test_append_and_insert() -> None:
    env = TransformedEnv(CountingEnv())
    assert env.append_transform(Shift(["observation"])) is env
    assert env.reset()["observation"] == 1
    env.insert_transform(0, StepCounter())
    assert [type(t).__name__ for t in env.transform] == ["StepCounter", "Shift"]
    assert set(env.rollout(2).keys()) >= {"step_count", "observation"}


def test_append_to_a_single_transform_makes_a_chain() -> None:
    env = TransformedEnv(CountingEnv(), Shift(["observation"]))
    env.append_transform(Shift(["observation"]))
    assert isinstance(env.transform, Compose)
    assert env.reset()["observation"] == 2


def test_what_does_not_fit_is_refused_and_nothing_changes() -> None:
    env = TransformedEnv(CountingEnv(), Shift(["observation"]))
    with pytest.raises(
        TransformError, match=r"Shift: in_keys \['pixels'\] do not exist. The env has: done, observation, "
    ):
        env.append_transform(Shift(["pixels"]))
    assert env.reset()["observation"] == 1
    with pytest.raises(TransformError, match="in_keys_inv"):
        TransformedEnv(CountingEnv(), Transform(in_keys_inv=["torque"]))
    with pytest.raises(TransformError, match="expected a transform, found a str"):
        env.append_transform("StepCounter")  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(TransformError, match="expected an env, found a str"):
        TransformedEnv("CartPole-v1")  # type: ignore[arg-type]  # the point of the test


def test_a_value_that_does_not_fit_says_what_the_env_shows() -> None:
    class Square(Transform):
        def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
            return obs @ obs.new_zeros(7, 7)

    with pytest.raises(
        TransformError, match=r"Square\(keys=\['observation'\]\) does not fit an env that shows .*'observation'"
    ):
        TransformedEnv(CountingEnv(), Square(["observation"]))


def test_a_transformed_env_is_taken_apart() -> None:
    base = CountingEnv()
    inner = TransformedEnv(base, Shift(["observation"]))
    outer = TransformedEnv(inner, StepCounter())
    assert outer.base_env is base
    assert [type(t).__name__ for t in outer.transform] == ["Shift", "StepCounter"]
    assert outer.reset()["observation"] == 1
    assert inner.reset()["observation"] == 1


def test_a_chain_on_a_transformed_env_is_appended_to_its_chain() -> None:
    chain = Compose(Shift(["observation"]), StepCounter())
    outer = TransformedEnv(TransformedEnv(CountingEnv(), Shift(["observation"])), chain)
    assert isinstance(outer.transform, Compose)
    assert list(outer.transform)[1:] == list(chain)
    assert outer.reset()["observation"] == 2
    outer.transform.append(Shift(["observation"]))
    assert outer.reset()["observation"] == 3


def test_specs_are_those_of_the_outside() -> None:
    env = TransformedEnv(CountingEnv(batch_size=[2]), StepCounter(3))
    assert env.batch_size == (2,)
    assert "step_count" in env.observation_spec
    assert "step_count" not in env.base_env.observation_spec
    assert env.action_spec == env.base_env.action_spec


def test_attributes_seeds_and_options_go_through() -> None:
    toy = CountingGym(limit=4)
    env = TransformedEnv(GymWrapper(toy), StepCounter())
    assert (env.limit, env.frame_skip) == (4, None)
    env.set_seed(8)
    env.reset(options={"level": 1})
    env.reset()
    assert toy.resets == [(8, {"level": 1}), (None, None)]
    with pytest.raises(AttributeError, match="nothing"):
        _ = env.nothing
    env.close()
    assert toy.closed == 1


def test_closing_it_closes_the_base() -> None:
    env = TransformedEnv(CountingEnv(), StepCounter())
    env.close()
    assert env.base_env.is_closed


def test_to_a_device() -> None:
    env = TransformedEnv(CountingEnv(), Compose(Shift(["observation"]), StepCounter()))
    assert env.to("cpu") is env
    assert env.device == env.base_env.device == torch.device("cpu")
    assert env.rollout(2).device == torch.device("cpu")
    assert TransformedEnv(CountingEnv(), device="cpu").reset().device == torch.device("cpu")


def test_the_same_seed_is_the_same_run_with_and_without() -> None:
    runs = []
    for env in (CountingEnv([2, 3], [2]), TransformedEnv(CountingEnv([2, 3], [2]), StepCounter())):
        torch.manual_seed(1)
        env.set_seed(1)
        runs.append(env.rollout(6, break_when_any_done=False))
    assert (runs[0] == runs[1].exclude("step_count", ("next", "step_count"))).all()


def test_repr_shows_both() -> None:
    env = TransformedEnv(GymEnv("CartPole-v1"), Compose(StepCounter()))
    assert repr(env) == (
        "TransformedEnv(\n    env=GymEnv(env=CartPole-v1, batch_size=torch.Size([]), device=None),\n"
        "    transform=Compose(\n            StepCounter(max_steps=None, key='step_count')))"
    )


# -- the chain --------------------------------------------------------------------------------------------------------


class Half(Transform):
    """The simulator gets half of what the user gives, and a little less."""

    def __init__(self) -> None:
        super().__init__(in_keys_inv=["action"])

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state / 2 - 0.25


def test_the_last_transform_is_the_first_on_the_way_in() -> None:
    scaled = ActionScaling(loc=0.5, scale=0.5)  # the user's -1 .. 1 is 0 .. 1 for what is inside
    for chain, reward in ((Compose(Half(), scaled), 0.25), (Compose(scaled.clone(), Half()), 0.625)):
        env = TransformedEnv(CountingEnv(), chain)
        assert env.step(env.reset().set("action", torch.ones(1)))["next", "reward"] == reward
        assert chain.inv(TensorDict({"action": torch.ones(1)}))["action"] == reward, "and alone"


def test_parents_within_chains_within_chains() -> None:
    chain = Compose(Shift(["observation"]), Compose(Shift(["observation"]), StepCounter()), Shift(["observation"]))
    env = TransformedEnv(CountingEnv(), chain)
    assert env.transform[0].parent.reset()["observation"] == 0  # type: ignore[index]  # a Compose
    inner = env.transform[1]  # type: ignore[index]  # a Compose
    assert inner.parent.reset()["observation"] == 1
    assert inner[0].parent.reset()["observation"] == 1
    assert inner[1].parent.reset()["observation"] == 2
    assert env.transform[2].parent.observation_keys == ["observation", "start", "step_count"]  # type: ignore[index]
    assert env.transform.parent.base_env is env.base_env
    env.rollout(3)
    assert "step_count" not in inner[1].parent.rollout(2), "also of a chain that has run"


def test_inserting_by_a_negative_index() -> None:
    env = TransformedEnv(CountingEnv(), Compose(Shift(["observation"]), Shift(["observation"])))
    env.insert_transform(-1, RenameTransform(["start"], ["begin"]))
    assert [type(t).__name__ for t in env.transform] == ["Shift", "RenameTransform", "Shift"]
    assert env.observation_keys == ["observation", "begin"]
    env.insert_transform(-3, StepCounter())
    assert [type(t).__name__ for t in env.transform][:2] == ["StepCounter", "Shift"]


def test_env_time_is_replay_time() -> None:
    """What a chain shows in an env is what it makes of a finished rollout of the bare env, root and next alike."""
    chain = Compose(
        Shift(["observation"]),
        DTypeCastTransform("float32", "float64", ["observation"]),
        RenameTransform(["start"], ["s"]),
    )
    for batch in ([], [2]):
        env = TransformedEnv(CountingEnv(batch_size=batch), chain.clone())
        seen, bare = [], []
        for which, into in ((env, seen), (env.base_env, bare)):
            torch.manual_seed(3)
            which.set_seed(3)
            into.append(which.rollout(7, break_when_any_done=False))
        replayed = env.transform(bare[0])
        for key in ("observation", "s", ("next", "observation"), ("next", "s"), "action"):
            assert torch.equal(replayed[key], seen[0][key]), key
            assert replayed[key].dtype == seen[0][key].dtype


def test_a_transformed_env_that_has_run_is_taken_apart() -> None:
    inner = TransformedEnv(CountingEnv(3), Compose(StepCounter(), Shift(["observation"])))
    inner.rollout(3)
    outer = TransformedEnv(inner, Shift(["observation"]))
    assert [type(t).__name__ for t in outer.transform] == ["StepCounter", "Shift", "Shift"]
    assert outer.rollout(2)["observation"].squeeze(-1).tolist() == [2, 3]
    assert outer.transform[0] is not inner.transform[0]  # type: ignore[index]  # Composes


def test_a_copy_of_a_chain_that_has_run_stands_alone() -> None:
    env = TransformedEnv(CountingEnv(3), Compose(StepCounter(2), ActionScaling()))
    env.rollout(2)
    copied = env.transform.clone()
    assert copied.container is None
    assert TransformedEnv(CountingEnv(9), copied).rollout(9).shape == (2,)
    assert env.rollout(9).shape == (2,)


def test_state_of_the_chain() -> None:
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), ActionScaling()))
    assert set(env.transform.state_dict()) == {"transforms.1.loc", "transforms.1.scale"}


def test_the_state_of_another_chain_is_taken_where_it_fits() -> None:
    norm = ObservationNorm(in_keys=["observation"], loc=1.0, scale=2.0)
    env = TransformedEnv(CountingEnv(), Compose(norm, StepCounter()))
    state = {"transforms.0.loc": torch.tensor(5.0), "transforms.7.loc": torch.tensor(6.0)}
    with pytest.raises(RuntimeError, match=r"transforms\.7\.loc"):
        env.load_state_dict(state)
    env.load_state_dict(state, strict=False)
    assert (norm.loc, norm.scale) == (5, 2)


def test_what_is_shown_and_read_must_be_one_value() -> None:
    with pytest.raises(
        TransformError, match=r"shows 'position' as torch.float64 .* but the next step reads it as torch.float32"
    ):
        TransformedEnv(StatelessEnv(), DTypeCastTransform("float32", "float64", ["position"]))


def test_a_rewritten_counter_goes_on_counting() -> None:
    """A state that a later transform rewrites is kept inside, for every env of the batch and across its resets."""
    env = TransformedEnv(
        CountingEnv([2, 9], [2]), Compose(StepCounter(4), ExcludeTransform("step_count", "observation"))
    )
    done = env.rollout(9, break_when_any_done=False)["next", "done"].squeeze(-1).int()
    assert done.tolist() == [[0, 1, 0, 1, 0, 1, 0, 1, 0], [0, 0, 0, 1, 0, 0, 0, 1, 0]]


class Fails(GymEnv):
    """Falls over in the fourth step since it was built."""

    steps = 0

    def _step_row(self, t: int) -> None:
        self.steps += 1
        if self.steps == 4:
            raise ZeroDivisionError("fell over")
        super()._step_row(t)

    def _step_rows(self, start: int, stop: int) -> int:
        return Env._step_rows(self, start, stop)


def test_an_empty_chain_hands_rows_straight_on() -> None:
    env = TransformedEnv(Fails("Pendulum-v1"), Compose())
    buffer = RolloutBuffer.allocate(env._row_layout(), 9, env.batch_size)
    with pytest.raises(ZeroDivisionError):
        env.rollout(9, out=buffer)
    assert env._bound_chain.is_idle
    assert buffer.filled == 3, "what was done before is whole"


def test_an_empty_chain_costs_less_than_a_microsecond_a_step() -> None:
    steps = 4000

    def rollout(env: Env) -> None:
        torch.manual_seed(0)
        env.set_seed(0)
        env.rollout(steps, break_when_any_done=False)

    works = (partial(rollout, env) for env in (GymEnv("CartPole-v1"), TransformedEnv(GymEnv("CartPole-v1"), Compose())))
    cheap, (bare, wrapped) = fulfilled(lambda bare, wrapped: (wrapped - bare) / steps < 1e-6, *works)
    assert cheap, f"{(wrapped - bare) / steps * 1e6:.2f} us a step"


def test_a_base_that_was_closed_by_itself_is_noticed() -> None:
    env = TransformedEnv(CountingEnv(), StepCounter())
    env.base_env.close()
    with pytest.raises(ClosedError, match="CountingEnv was closed"):
        env.reset()


# -- the base env changes ---------------------------------------------------------------------------------------------


def test_a_base_whose_specs_change_is_noticed() -> None:
    env = TransformedEnv(GymWrapper(CountingGym(limit=3)), Compose(StepCounter()))
    env.rollout(2)
    env.set_info_dict_reader(InfoReader(["steps"]))
    assert "steps" in env.observation_spec
    assert env.rollout(3)["next", "steps"].tolist() == [1, 2, 3]
    for use in (env.reset, env.rollout, env.rand_action, env.fake_tensordict):
        env.base_env.observation_spec = env.base_env.observation_spec.clone()
        assert env._base_version != env.base_env._specs_version
        use(*([2] if use == env.rollout else []))
        assert env._base_version == env.base_env._specs_version
    env.base_env.to("cpu")
    assert env.reset().device == torch.device("cpu")


def test_a_change_that_a_transform_cannot_take_is_said_at_the_next_call() -> None:
    base = CountingEnv()
    env = TransformedEnv(base, Shift(["start"]))
    base.observation_spec = Composite(observation=base.observation_spec["observation"])
    for _ in range(2):
        with pytest.raises(TransformError, match=r"Shift: in_keys \['start'\] do not exist"):
            env.reset()


# -- where it stands --------------------------------------------------------------------------------------------------


def test_a_random_step_needs_no_tensordict() -> None:
    env = TransformedEnv(CountingEnv(), Shift(["observation"]))
    env.reset()
    for count in (2, 3, 4):
        assert env.rand_step()["next", "observation"] == count


class Follows(CountingEnv):
    """Shows one more than it was shown."""

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return super()._step(tensordict).set("observation", tensordict["observation"] + 1)


def test_what_a_tensordict_lacks_is_what_was_shown_last() -> None:
    env = TransformedEnv(Follows(99), StepCounter())
    td = env.reset()
    td = env.step_mdp(env.rand_step(td.set("observation", torch.tensor([40.0]))))
    assert env.rand_step(td.exclude("observation"))["next", "observation"] == 42
    env.rollout(3)
    assert env.rand_step(td.exclude("observation"))["next", "observation"] == 4, "after a rollout as well"


def mask(*where: bool) -> torch.Tensor:
    return torch.tensor(where).unsqueeze(-1)


def test_a_partial_reset_shows_the_others_as_they_were_last() -> None:
    env = TransformedEnv(CountingEnv(9, [2]), Shift(["observation"]))
    env.rand_step(env.reset())
    only = TensorDict({"_reset": mask(True, False)}, [2])
    assert env.reset(only.clone())["observation"].tolist() == [[1], [2]]
    env.rollout(3)
    shown = env.reset(only.clone())
    assert shown["observation"].tolist() == [[1], [4]]
    assert set(shown.keys()) == {"observation", "start", "done", "terminated", "truncated"}
    held = only.clone().set("observation", torch.full((2, 1), 7.0))
    assert env.reset(held)["observation"].tolist() == [[1], [7]], "what the TensorDict holds comes first"


def test_a_partial_reset_of_an_env_that_has_shown_nothing() -> None:
    env = TransformedEnv(CountingEnv(9, [2]), Shift(["observation"]))
    with pytest.raises(SpecError, match=r"no 'observation' in the TensorDict, for the envs that '_reset' leaves out"):
        env.reset(TensorDict({"_reset": mask(True, False)}, [2]))


def stepped(env: Env, td: TensorDictBase) -> TensorDictBase:
    return env.step(td.clone().set("action", torch.ones(env.action_spec.shape)))


def test_a_state_that_is_kept_inside_cannot_be_set() -> None:
    env = TransformedEnv(StatelessEnv(99), Shift(["position"]))
    first = env.reset()
    second = env.step_mdp(stepped(env, first))
    assert second["position"] == 2
    with pytest.raises(
        SpecError, match=r"'position' is not the env's latest value\. A transform overwrites the env's state"
    ):
        stepped(env, first)
    assert stepped(env, second)["next", "position"] == 3, "it goes on"
    with pytest.raises(SpecError, match="'position' is not the env's latest value"):
        env.rollout(2, auto_reset=False, tensordict=second)
    data = env.rollout(3, lambda td: td.set("action", torch.ones(1)))
    onwards = env.rollout(2, auto_reset=False, tensordict=env.step_mdp(data[-1]))
    assert onwards["position"][0] == 4
    assert env.rollout(2, tensordict=second)["position"][0] == 1, "a reset may come from anywhere"


def test_under_another_name_one_can_go_back() -> None:
    env = TransformedEnv(StatelessEnv(99), Shift(["position"], ["shifted"]))
    first = env.reset()
    stepped(env, env.step_mdp(stepped(env, first)))
    assert stepped(env, first)["next", "shifted"] == 2


def test_of_a_batch_only_those_that_are_reset_may_have_been_elsewhere() -> None:
    env = TransformedEnv(StatelessEnv(99, [2]), Shift(["position"]))
    first = env.reset()
    second = env.step_mdp(stepped(env, first))
    with pytest.raises(SpecError, match="'position' is not the env's latest value"):
        env.reset(first.clone().set("_reset", mask(True, False)))
    mixed = second.clone().set("_reset", mask(True, False))
    mixed["position"][0] = 77
    assert env.reset(mixed)["position"].tolist() == [[1], [2]]


# -- copies -----------------------------------------------------------------------------------------------------------


def test_a_copy_of_an_env_that_has_run_goes_on_alike() -> None:
    chain = Compose(StepCounter(), RewardSum(reward_spec=True), Shift(["position"]))
    env = TransformedEnv(StatelessEnv(99, [2]), chain)
    td = env.step_mdp(stepped(env, env.step_mdp(stepped(env, env.reset()))))
    for one in (copy.deepcopy(env), pickle.loads(pickle.dumps(env)), env):
        following = stepped(one, td)["next"]
        assert following["position"].flatten().tolist() == [4, 4]
        assert following["episode_reward"].flatten().tolist() == [3, 3]
        assert following["step_count"].flatten().tolist() == [3, 3]
        assert one.transform.container is one
        assert one.rollout(3)["step_count"].flatten().tolist() == [0, 1, 2] * 2


def test_modules_of_the_chain_are_those_of_the_env() -> None:
    module = TensorDictModule(torch.nn.Linear(1, 1), ["observation"], ["seen"])
    env = TransformedEnv(CountingEnv(), Compose(StepCounter(), ModuleTransform(module=module)))
    assert {id(p) for p in env.parameters()} == {id(p) for p in module.parameters()}
    assert env.eval() is env
    assert not any(part.training for part in (env, env.base_env, env.transform, module))
    assert env.train() is env
    assert all(part.training for part in (env, env.base_env, env.transform, module))


# -- another transform --------------------------------------------------------------------------------------------


def test_another_chain_takes_the_place_of_the_old_one() -> None:
    env = TransformedEnv(CountingEnv(), Compose(Shift(["observation"])))
    old = env.transform
    env.rollout(2)
    env.transform = StepCounter()
    assert old.container is None
    assert env.transform.container is env
    data = env.rollout(2)
    assert data["observation"].flatten().tolist() == [0, 1]
    assert data["step_count"].flatten().tolist() == [0, 1]
    TransformedEnv(CountingEnv(), old)
    env.transform = env.transform
    assert env.transform.container is env


def test_a_chain_that_does_not_fit_leaves_the_env_as_it_was() -> None:
    env = TransformedEnv(CountingEnv(), Shift(["observation"]))
    old, lost = env.transform, Shift(["nowhere"])
    with pytest.raises(TransformError, match=r"in_keys \['nowhere'\] do not exist"):
        env.transform = lost
    assert env.transform is old
    assert old.container is env
    assert lost.container is None
    with pytest.raises(TransformError, match="expected a transform, found a NoneType"):
        env.transform = None  # type: ignore[assignment]  # the point of the test
    with pytest.raises(TransformError, match="already part of another chain"):
        env.transform = Compose(TransformedEnv(CountingEnv(), Shift(["observation"])).transform)
    assert env.rollout(2)["observation"].flatten().tolist() == [1, 2]


def test_the_names_that_torchrl_gives_its_arguments() -> None:
    env = TransformedEnv(base_env=CountingEnv(), transform=Shift(["observation"]), cache_specs=False, auto_unwrap=True)
    assert env.rollout(2)["observation"].flatten().tolist() == [1, 2]
    assert TransformedEnv(CountingEnv(), Shift(["observation"]), True).rollout(1)["observation"] == 1
    with pytest.raises(TransformError, match="are aliases"):
        TransformedEnv(CountingEnv(), base_env=CountingEnv())
    with pytest.raises(TransformError, match="expected an env, found a NoneType"):
        TransformedEnv()


def test_specs_can_be_worked_out_anew() -> None:
    clip = ClipTransform(in_keys=["observation"], low=0, high=5)
    env = TransformedEnv(CountingEnv(), clip)
    assert env.observation_spec["observation"].space.high == 5
    clip.high = 3
    env.empty_cache()
    assert env.observation_spec["observation"].space.high == 3


def test_the_base_env_is_not_unrolled_past_the_transforms() -> None:
    base = TorchEnv(Pendulum(), batch_size=[2])
    assert TransformedEnv(base).unroll(3).shape == (2, 3)
    with pytest.raises(AttributeError, match=r"would skip the transforms\. Use env\.base_env\.unroll"):
        TransformedEnv(base, StepCounter()).unroll(3)


def test_a_property_that_fails_is_not_asked_of_the_base_env() -> None:
    class Own(TransformedEnv):
        @property
        def reward_key(self) -> str:
            return self.transform.no_such_thing  # type: ignore[no-any-return]

    env = Own(CountingEnv(), StepCounter())
    assert env.base_env.reward_key == "reward"
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = env.reward_key


@pytest.mark.parametrize(
    "transform",
    [
        partial(CatFrames, 3, -1, ["observation"]),
        partial(TimeMaxPool, ["observation"], T=2),
        lambda: Compose(RewardSum(), RenameTransform(["observation"], ["seen"])),
    ],
)
def test_what_is_around_a_batch_sees_nothing_of_envs_that_wait(transform: Callable[[], Transform]) -> None:
    """As if each env had its own. Who waits is drawn for each step; a rollout goes before it."""
    around = TransformedEnv(SerialEnv(3, lambda: CountingEnv(9)), transform())
    within = SerialEnv(3, lambda: TransformedEnv(CountingEnv(9), transform()))
    made = []
    for env in (around, within):
        torch.manual_seed(0)
        td = env.step_mdp(env.rollout(4, lambda td: td.set("action", torch.ones(3, 1)))[:, -1])
        moments = []
        for _ in range(12):
            td["action"], td["_step"] = torch.ones(3, 1), torch.rand(3) < 0.5
            td = env.step(td)
            moments.append(td["next"].clone())
            td = env.maybe_reset(env.step_mdp(td.exclude("_step")))
        made.append(torch.stack(moments))
    assert (made[0] == made[1]).all()


def test_envs_that_wait_for_others_are_not_counted() -> None:
    env = TransformedEnv(
        SerialEnv(2, [lambda: CountingEnv(1), lambda: CountingEnv(5)]),
        VecNormV2(["observation"], ["normed"], decay=1.0, reduce_batch_dims=False),
    )
    env.rollout(9, break_when_all_done=True)
    counts = env.state_dict()["_extra_state"]["count.-|-.observation"]
    assert counts.flatten().tolist() == [2, 6], "a reset, and the steps of each"


@pytest.mark.parametrize("count", [1, 2, 4])
def test_what_a_batch_has_learnt_is_loaded_where_it_is_evaluated(count: int) -> None:
    def build(num_envs: int) -> TransformedEnv:
        base = GymEnv("Pendulum-v1") if num_envs == 1 else SerialEnv(num_envs, lambda: GymEnv("Pendulum-v1"))
        reduced = {"reduce_batch_dims": True} if num_envs > 1 else {}
        return TransformedEnv(base, Compose(VecNormV2(in_keys=["observation"], **reduced), RewardSum()))

    training, evaluation = build(3), build(count)
    training.rollout(20)
    state = training.state_dict()
    assert "base_env" not in state, "Pendulum learns nothing"
    evaluation.load_state_dict(state)
    assert repr(evaluation.state_dict()) == repr(state)
    evaluation.load_state_dict({**state, "base_env": {f"worker{i}": {} for i in range(4)}})
