"""The contract: right envs keep it, and each fault is found."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.backends.gym import GymWrapper
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError, ContractError
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded
from envcli.testing import EnvContract, Finding, check_env, check_env_specs
from envcli.testing.promises import PROMISES
from envcli.testing.toys import FAULTS, BrokenEnv, CountingEnv, DoubleEnv, NestedEnv, StatelessEnv
from envcli.transforms.action_mask import ActionMask
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.vec_norm import VecNorm

FOUND_BY = {
    "accepts_any_action": "wrong actions are refused",
    "changes_root": "step keeps to the specs",
    "done_disagrees": "done is either",
    "forgets_reward": "step keeps to the specs",
    "ignores_seed": "seeds repeat",
    "keeps_counting": "reset resets only whom it names",
    "leaves_the_space": "reset keeps to the specs",
    "shares_memory": "every step is fresh memory",
    "stays_done": "reset keeps to the specs",
    "steps_first": "wrong actions are refused",
    "steps_raise": "step keeps to the specs",
    "undeclared": "reset keeps to the specs",
    "wrong_dtype": "reset keeps to the specs",
    "wrong_seed": "seeds are a chain",
}


def broken(env: Env) -> dict[str, str]:
    return {finding.name: finding.message for finding in check_env(env) if not finding.passed}


class TestCountingEnv(EnvContract):
    def make_env(self) -> Env:
        return CountingEnv()


class TestBatchOfCountingEnvs(EnvContract):
    def make_env(self) -> Env:
        return CountingEnv([3, 4, 5], [3], time_limit=4)


class TestTwoBatchDimensions(EnvContract):
    def make_env(self) -> Env:
        return CountingEnv(4, [2, 3])


class TestNestedEnv(EnvContract):
    def make_env(self) -> Env:
        return NestedEnv([3, 5], [2])


class TestDoubleEnv(EnvContract):
    def make_env(self) -> Env:
        return DoubleEnv()


class TestStatelessEnv(EnvContract):
    def make_env(self) -> Env:
        return StatelessEnv(3.0, [2])


class TestEnvOnADevice(EnvContract):
    def make_env(self) -> Env:
        return CountingEnv(device="cpu")


class Team(EnvBase):
    """Three agents, whose entries have a batch size of their own; each walks by its action."""

    def __init__(self, batch_size: Sequence[int] = ()) -> None:
        super().__init__(batch_size=batch_size)
        lead = self.batch_size
        inner = torch.Size([*lead, 3])

        def agents(**leaves: TensorSpec) -> Composite:
            return Composite(agents=Composite(leaves, shape=inner), shape=lead)

        self.observation_spec = agents(place=Bounded(-100, 100, shape=[*inner, 2]))
        self.full_action_spec = agents(action=Bounded(-1, 1, shape=[*inner, 2]))
        self.full_reward_spec = agents(reward=Unbounded([*inner, 1]))
        self.places = torch.zeros([*inner, 2])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        where = torch.ones(self.batch_size, dtype=torch.bool)
        if tensordict is not None and "_reset" in tensordict:
            where = tensordict["_reset"].squeeze(-1)
        self.places = torch.where(where[..., None, None], 0, self.places)
        return self.observation_spec.zero().set(("agents", "place"), self.places)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        self.places = self.places + tensordict["agents", "action"]
        made = self.observation_spec.zero().set(("agents", "place"), self.places)
        return made.set(("agents", "reward"), self.places.sum(-1, keepdim=True))

    def _set_seed(self, seed: int | None) -> None: ...


class TestTeam(EnvContract):
    def make_env(self) -> Env:
        return Team()


class TestBatchOfTeams(EnvContract):
    def make_env(self) -> Env:
        return Team([2])


class TestTold(EnvContract):
    def make_env(self) -> Env:
        return Told()


class Told(EnvBase):
    """Reads its speed from the TensorDict of a reset, as the env of TorchRL's pendulum tutorial does."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(place=Unbounded([1]), speed=Unbounded([1]))
        self.state_spec = self.observation_spec.clone()
        self.action_spec = Bounded(-1, 1, shape=[1])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        speed = torch.ones(1) if tensordict is None or tensordict.is_empty() else tensordict["speed"]
        return TensorDict({"place": torch.zeros(1), "speed": speed})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        place = tensordict["place"] + tensordict["speed"] * tensordict["action"]
        return TensorDict({"place": place, "speed": tensordict["speed"], "reward": -place.abs()})

    def _set_seed(self, seed: int | None) -> None: ...


def test_torchrls_arguments_are_taken() -> None:
    env = Told()
    start = env.reset(TensorDict({"speed": torch.full((1,), 3.0)}))
    before = start.clone()
    check_env_specs(env, True, True, 0, start, break_when_any_done="both")
    assert (start == before).all()
    with pytest.raises(ContractError, match=r"breaks 1 of .*: rollouts begin there: .*'speed'"):
        check_env_specs(env, tensordict=start.exclude("speed"))


def test_a_seed_repeats_the_check() -> None:
    seen: list[list[str]] = []  # as words: wrong actions are NaN

    class Seen(CountingEnv):
        def step(self, tensordict: TensorDictBase) -> TensorDictBase:
            seen[-1].append(str(tensordict["action"].tolist()))
            return super().step(tensordict)

    state = torch.get_rng_state()
    for _ in range(2):
        seen.append([])
        check_env_specs(Seen(), seed=5)
    assert seen[0] == seen[1]
    assert torch.equal(torch.get_rng_state(), state)


def test_every_fault_is_looked_for() -> None:
    assert set(FOUND_BY) == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found(fault: str) -> None:
    found = broken(BrokenEnv(fault, 3, [2] if fault == "keeps_counting" else []))
    assert FOUND_BY[fault] in found
    assert found[FOUND_BY[fault]], "a finding says what was seen"


def test_what_a_simulator_raises_is_a_finding() -> None:
    found = broken(BrokenEnv("steps_raise"))
    assert found["step keeps to the specs"] == "ZeroDivisionError: the simulator fell over"
    assert "reset keeps to the specs" not in found


def test_an_unknown_fault() -> None:
    with pytest.raises(ConfigError, match="fault: expected one of"):
        BrokenEnv("nonsense")


class UnevenChain(CountingEnv):
    """Rows of a rollout that do not follow from each other: its root is changed behind the rollout's back."""

    def _step_row(self, t: int) -> None:
        super()._step_row(t)
        self._root_rows[("observation",)][t] += 1


def test_a_rollout_that_is_no_chain_is_found() -> None:
    assert {"rollouts are chains", "rollouts are steps"} <= set(broken(UnevenChain()))


class Endless(CountingEnv):
    """Never stops a rollout."""

    def rollout(self, max_steps, policy=None, **options):  # type: ignore[no-untyped-def]  # a fault, not an API
        return super().rollout(max_steps, policy, **{**options, "break_when_any_done": False})


def test_a_rollout_that_does_not_stop_is_found() -> None:
    assert "rollouts stop at done" in broken(Endless(3))


class WrongWords(CountingEnv):
    """Says that two things are called the same, and that ``done`` is a number."""

    def _make_specs(self) -> None:
        super()._make_specs()
        self.full_reward_spec = self._composite(observation=self.reward_spec)


def test_a_key_in_two_families_is_found() -> None:
    assert "used in two families: observation" in broken(WrongWords())["specs agree"]


def test_findings_are_values_with_plain_words() -> None:
    findings = check_env(CountingEnv())
    assert [f.name for f in findings] == list(PROMISES)
    assert all(f.passed and f.message and "_" not in f.name for f in findings)
    assert Finding("a", True, "b") == Finding("a", True, "b")
    with pytest.raises(dataclasses.FrozenInstanceError):
        findings[0].passed = False  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(("limit", "partly"), [(5, False), (20, True), (30, True)])
def test_what_no_episode_showed_is_told(limit: int, partly: bool) -> None:
    told = {finding.name: finding.unseen for finding in check_env(CountingEnv(limit)) if finding.unseen}
    ends = {"done is either", "rollouts are chains", "rollouts stop at done"} if partly else set()
    assert set(told) == ends - ({"done is either"} if limit == 20 else set())
    assert set(told.values()) <= {"no episode ended before step 20"}


def test_an_env_that_learns_is_not_said_to_leave_the_others_alone() -> None:
    with SerialEnv(2, learning) as env:
        told = {finding.name: finding.unseen for finding in check_env(env)}
    assert "the env learns" in str(told["reset resets only whom it names"])


@pytest.mark.parametrize("batch", [[], [2]])
def test_an_env_that_seeds_do_not_repeat_is_not_blamed_for_more(batch: list[int]) -> None:
    findings = {finding.name: finding for finding in check_env(BrokenEnv("ignores_seed", 30, batch))}
    assert [name for name, finding in findings.items() if not finding.passed] == ["seeds repeat"]
    told = {name for name, finding in findings.items() if "seeds do not repeat" in str(finding.unseen)}
    others = {"reset resets only whom it names"} if batch else set()
    assert told == {"wrong actions are refused", "rollouts are steps"} | others


def test_an_action_that_is_taken_is_found_without_seeds_too() -> None:
    class Careless(BrokenEnv):
        def _set_seed(self, seed: int | None) -> None:
            self._generator.seed()

    assert "was taken" in broken(Careless("accepts_any_action"))["wrong actions are refused"]


def test_seeds_that_repeat_rollouts_alone_are_found() -> None:
    class ByHand(CountingEnv):
        def step(self, tensordict: TensorDictBase) -> TensorDictBase:
            made = super().step(tensordict)
            made["next", "reward"] += self.steps_made
            return made

        def rollout(self, *args: Any, **options: Any) -> TensorDictBase:
            self.steps_made = 0
            return super().rollout(*args, **options)

    assert "reset and step" in broken(ByHand(30))["seeds repeat"]


def test_nothing_is_closed_and_no_generator_is_left_moved() -> None:
    env = CountingEnv()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    check_env(env)
    assert torch.equal(torch.get_rng_state(), state)
    assert not env.is_closed
    env.rand_step(env.reset())


def test_check_env_specs_names_all_that_is_wrong() -> None:
    check_env_specs(CountingEnv())
    with pytest.raises(
        ContractError, match=r"BrokenEnv breaks \d+ of \d+ promises:\n- reset keeps to the specs: .*float64"
    ):
        check_env_specs(BrokenEnv("wrong_dtype"))
    with pytest.raises(AssertionError):
        check_env_specs(BrokenEnv("shares_memory"))


@pytest.mark.parametrize("moves", [False, True])
def test_a_step_may_return_a_state_as_it_was(moves: bool) -> None:
    """As for TorchRL. A rollout has no room for another one."""

    class Returning(StatelessEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            return super()._step(tensordict).set("goal", tensordict["goal"] + (0.5 if moves else 0))

    if not moves:
        check_env_specs(Returning())
        return
    with pytest.raises(ContractError, match=r"step changed the state 'goal'. Add it to observation_spec"):
        check_env_specs(Returning())


def test_the_contract_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="must say which env it tests"):
        EnvContract().make_env()


@pytest.mark.parametrize("test", [name for name in dir(EnvContract) if name.startswith("test_")])
def test_the_inherited_tests_can_fail(test: str) -> None:
    class Careless(CountingEnv):
        is_closed = property(lambda self: False, lambda self, value: None)  # type: ignore[assignment]  # a fault

        def set_seed(self, seed: int | None = None, static_seed: bool = False) -> int | None:
            return seed  # and never seeds

        def __repr__(self) -> str:
            return "?"

    class Contract(EnvContract):
        def make_env(self) -> Env:
            return Careless()

    with pytest.raises(AssertionError):
        getattr(Contract(), test)()


def test_an_env_of_any_batch_size_refuses_actions_in_its_own_way() -> None:
    class Free(StatelessEnv):
        batch_locked = False

        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            action = tensordict["action"]
            if action.shape != tensordict["position"].shape or not ((action >= 0) & (action <= 1)).all():
                raise RuntimeError("no such action")
            return super()._step(tensordict)

    assert "wrong actions are refused" not in broken(Free())


def test_an_env_of_any_batch_size_may_take_any_action() -> None:
    class Free(StatelessEnv):
        batch_locked = False

    assert "wrong actions are refused" not in broken(Free())


class Drawing(EnvBase):
    """Draws from torch's global generator, which set_seed does not reach, as many envs written for TorchRL do."""

    def __init__(self) -> None:
        super().__init__()
        self.observation_spec = Composite(observation=Bounded(0, 1, [1]))
        self.action_spec = Bounded(-1, 1, [1])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict({"observation": torch.rand(1)})

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        drawn = torch.rand(1)
        return TensorDict({"observation": drawn, "reward": torch.rand(1), "terminated": drawn > 0.7})

    def _set_seed(self, seed: int | None) -> None: ...


def test_an_env_may_draw_from_torchs_global_generator() -> None:
    assert not broken(Drawing())
    assert not broken(SerialEnv(2, Drawing))


def test_a_single_flag_of_the_done_family_will_do() -> None:
    env = TransformedEnv(Drawing(), ExcludeTransform("done"))
    assert env.done_keys == ["terminated"]
    assert not broken(env)


def test_on_the_host_a_tensordict_may_have_no_device() -> None:
    class Plain(CountingEnv):
        def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
            return super()._reset(tensordict, **options).clear_device_()

    assert not broken(Plain(device="cpu"))


def learning() -> Env:
    return TransformedEnv(CountingEnv(9, time_limit=6), VecNorm(["observation"]))


@pytest.mark.parametrize("outside", [False, True])
def test_an_env_that_learns_keeps_the_contract_and_what_it_knows(outside: bool) -> None:
    with SerialEnv(2, CountingEnv if outside else learning) as batch:
        env: Env = TransformedEnv(batch, VecNorm(["observation"])) if outside else batch
        env.rollout(5)
        known = pickle.dumps(env.state_dict())
        check_env_specs(env)
        assert pickle.dumps(env.state_dict()) == known


def test_an_env_with_masks_keeps_the_contract() -> None:
    class Turns(gymnasium.Env[Any, Any]):
        observation_space = gymnasium.spaces.Dict(action_mask=gymnasium.spaces.MultiBinary(3))
        action_space = gymnasium.spaces.Discrete(3)

        def reset(self, **options: Any) -> Any:
            self.count = 0
            return {"action_mask": np.eye(3, dtype=np.int8)[0]}, {}

        def step(self, action: Any) -> Any:
            self.count += 1
            return {"action_mask": np.eye(3, dtype=np.int8)[self.count % 3]}, 1.0, False, self.count == 7, {}

    for env in (masked(Turns()), SerialEnv(2, lambda: masked(Turns()))):
        with env:
            check_env_specs(env)


def masked(env: gymnasium.Env[Any, Any]) -> Env:
    return TransformedEnv(GymWrapper(env), ActionMask())


def test_a_reward_that_is_nan_in_a_later_step_is_found() -> None:
    class Loses(CountingEnv):
        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            following = super()._step(tensordict)
            return following.set("reward", following["reward"].where(following["observation"] != 3, torch.nan))

    found = broken(Loses(limit=8))
    assert found["rollouts have the layout"].endswith("rollout: next 'reward' is NaN in step 2")
