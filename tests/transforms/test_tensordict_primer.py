"""TensorDictPrimer: entries that begin with a value at every reset."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModule

from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.specs import Bounded, Categorical, Composite, Unbounded
from envcli.testing import EnvContract, check_env_specs
from envcli.testing.toys import CountingEnv, NestedEnv, StatelessEnv
from envcli.transforms.cat_frames import CatFrames
from envcli.transforms.compose import Compose
from envcli.transforms.double_to_float import DoubleToFloat
from envcli.transforms.noop_reset_env import NoopResetEnv
from envcli.transforms.rename import RenameTransform
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.tensordict_primer import TensorDictPrimer
from envcli.transforms.unsqueeze import UnsqueezeTransform


class TestPrimed(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 3], [2]), TensorDictPrimer(hidden=Unbounded(3), default_value=2.0))


class TestPrimedInAGroup(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(StatelessEnv(), TensorDictPrimer({"memory": {"h": Unbounded(3), "n": Categorical(4)}}))


class TestDrawn(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 3], [2]), TensorDictPrimer(hidden=Unbounded(3), random=True))


class TestTheLastActionShown(EnvContract):
    def make_env(self) -> Env:
        env = CountingEnv([2, 3], [2])
        return TransformedEnv(env, Compose(TensorDictPrimer(env.full_action_spec), StepCounter()))


class TestTheLastActionOfAGroupShown(EnvContract):
    def make_env(self) -> Env:
        env = NestedEnv(3)
        return TransformedEnv(env, TensorDictPrimer(env.full_action_spec))


def recurrent(td: TensorDictBase) -> TensorDictBase:
    td.set("action", torch.zeros(*td.batch_size, 1))
    return td.set(("next", "hidden"), td["hidden"] + 1)


def primed(batch: list[int], **options: Any) -> TransformedEnv:
    limit: Any = [2, 3] if batch else 2
    return TransformedEnv(CountingEnv(limit, batch), TensorDictPrimer(hidden=Unbounded(1), **options))


def test_a_policy_leads_it_on_and_a_reset_begins_again() -> None:
    data = primed([2], default_value=10.0).rollout(5, recurrent, break_when_any_done=False)
    assert data["hidden"].squeeze(-1).tolist() == [[10, 11, 10, 11, 10], [10, 11, 12, 10, 11]]
    assert data["next", "hidden"].squeeze(-1).tolist() == [[11, 12, 11, 12, 11], [11, 12, 13, 11, 12]]


def test_what_a_policy_changes_at_the_root_is_led_on() -> None:
    """In a rollout as by hand, and as with TorchRL."""
    env = TransformedEnv(CountingEnv(9), TensorDictPrimer({"hidden": Unbounded((1,))}, default_value=0.0))

    def policy(td: TensorDictBase) -> TensorDictBase:
        return td.set("hidden", td["hidden"] + 1).set("action", torch.zeros(1))

    made = env.rollout(4, policy)
    assert made["hidden"].flatten().tolist() == made["next", "hidden"].flatten().tolist() == [1, 2, 3, 4]


def test_a_module_that_names_its_keys_too() -> None:
    def act(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.zeros_like(hidden), hidden + 1

    policy = TensorDictModule(act, in_keys=["hidden"], out_keys=["action", ("next", "hidden")])
    assert primed([]).rollout(4, policy, break_when_any_done=False)["hidden"].squeeze(-1).tolist() == [0, 1, 0, 1]


def test_step_by_step() -> None:
    env = primed([])
    td = env.reset()
    for expected in (1, 2, 3):
        td = env.step(recurrent(td))
        assert td["next", "hidden"] == expected
        td = env.step_mdp(td)


def test_without_a_policy_it_stays() -> None:
    env = primed([2], default_value=3.0)
    assert (env.rollout(5, break_when_any_done=False)["next", "hidden"] == 3).all()
    td = env.reset()
    td["hidden"] = torch.tensor([[7.0], [8.0]])
    assert env.rand_step(td)["next", "hidden"].squeeze(-1).tolist() == [7, 8]


def test_random_steps_of_a_batch_follow_each_other() -> None:
    with SerialEnv(2, lambda: primed([], random=True)) as env:
        check_env_specs(env)
        data = env.rollout(5, break_when_any_done=False)
    assert data["observation"].squeeze(-1).tolist() == [[0, 1, 0, 1, 0]] * 2
    assert data["next", "observation"].squeeze(-1).tolist() == [[1, 2, 1, 2, 1]] * 2


def test_under_another_name() -> None:
    chain = Compose(TensorDictPrimer(h=Unbounded(1)), RenameTransform(["h"], ["hidden"], ["h"], ["hidden"]))
    data = TransformedEnv(CountingEnv(2), chain).rollout(4, recurrent, break_when_any_done=False)
    assert data["next", "hidden"].squeeze(-1).tolist() == [1, 2, 1, 2]


# -- an action --------------------------------------------------------------------------------------------------------


def stacked(env: Env) -> Env:
    """Shows the last three actions."""
    primer = TensorDictPrimer(env.full_action_spec)
    copies = UnsqueezeTransform(-2, in_keys=["action"], out_keys=["actions"])
    return TransformedEnv(env, Compose(primer, copies, CatFrames(3, -2, in_keys=["actions"], padding="constant")))


def by_count(td: TensorDictBase) -> TensorDictBase:
    return td.set("action", (td["observation"] + 1) / 10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: stacked(CountingEnv(3, [2])),
        lambda: stacked(SerialEnv(2, lambda: CountingEnv(3))),
        lambda: ParallelEnv(2, lambda: stacked(CountingEnv(3))),
    ],
    ids=["batch", "outside", "inside"],
)
def test_an_action_that_is_primed_is_shown_until_the_next_one(make: Any) -> None:
    """As the decision transformers of TorchRL's sota-implementations have it."""
    with make() as env:
        env.set_seed(0)
        shown = env.rollout(5, by_count, break_when_any_done=False)
        actions = torch.tensor([0.1, 0.2, 0.3, 0.1, 0.2])
        for key in ("action", ("next", "action"), ("next", "reward")):
            assert torch.equal(shown[key], actions[:, None].expand(2, 5, 1))
        assert torch.equal(shown["next", "actions"][1, 2].flatten(), actions[:3])
        assert torch.equal(shown["actions"][1, 3], torch.zeros(3, 1))
        drawn = env.rollout(7, break_when_any_done=False)
        assert torch.equal(drawn["action"], drawn["next", "reward"])
        assert torch.equal(drawn["action"], drawn["next", "action"])
        assert len(drawn["action"].unique()) == 14
        td = env.reset()
        assert not td["action"].any()
        td = env.step_mdp(env.step(by_count(td)))
        assert torch.equal(td["action"], torch.full((2, 1), 0.1))


def test_a_policy_sees_the_last_action() -> None:
    env = CountingEnv(3)
    env = TransformedEnv(env, TensorDictPrimer(env.full_action_spec, default_value=0.5))
    seen: list[float] = []

    def policy(td: TensorDictBase) -> TensorDictBase:
        seen.append(td["action"].item())
        return by_count(td)

    env.rollout(5, policy, break_when_any_done=False)
    assert seen == pytest.approx([0.5, 0.1, 0.2, 0.5, 0.1])


class TestFirstValues:
    def test_drawn(self) -> None:
        env = TransformedEnv(CountingEnv(9, [500]), TensorDictPrimer(u=Bounded(2, 3, [1]), z=Unbounded(1), random=True))
        td = env.reset()
        assert 2 <= td["u"].min() < 2.1
        assert 2.9 < td["u"].max() <= 3
        assert abs(td["z"].mean()) < 0.3
        assert 0.8 < td["z"].std() < 1.2
        assert not torch.equal(env.reset()["z"], td["z"])

    def test_what_is_drawn_follows_from_the_seed_of_the_env(self) -> None:
        env = TransformedEnv(CountingEnv(9), TensorDictPrimer(h=Unbounded(2), random=True))
        runs = []
        for _ in range(2):
            env.set_seed(5)
            torch.rand(())
            state = torch.get_rng_state()
            runs.append([env.reset()["h"], env.reset()["h"]])
            assert torch.equal(torch.get_rng_state(), state)
        assert torch.equal(torch.stack(runs[0]), torch.stack(runs[1]))
        assert not torch.equal(runs[0][0], runs[0][1])

    def test_one_for_each(self) -> None:
        primer = TensorDictPrimer(
            {"a": Unbounded(2), ("g", "b"): Unbounded(1)},
            default_value={"a": 1.0, "g": {"b": lambda: torch.tensor([5.0])}},
        )
        td = TransformedEnv(CountingEnv(3, [2]), primer).reset()
        assert td["a"].tolist() == [[1, 1], [1, 1]]
        assert td["g", "b"].tolist() == [[5], [5]]

    def test_from_one_function_for_whom_it_is(self) -> None:
        asked = []

        def begin(reset: torch.Tensor | None = None) -> TensorDict:
            asked.append(reset)
            rows = 2 if reset is None else int(reset.sum())
            return TensorDict({"hidden": torch.full((rows, 1), float(len(asked)))}, batch_size=[rows])

        env = primed([2], default_value=begin, single_default_value=True)
        data = env.rollout(4, break_when_any_done=False)
        assert data["hidden"].squeeze(-1).tolist() == [[1, 1, 2, 2], [1, 1, 1, 3]]
        assert asked[0] is None
        assert [mask.tolist() for mask in asked[1:]] == [[True, False], [False, True]]

    def test_what_the_spec_does_not_hold_becomes_its_nearest(self) -> None:
        assert TransformedEnv(CountingEnv(), TensorDictPrimer(h=Bounded(1, 2, [1]))).reset()["h"] == 1


class TestShapes:
    @pytest.mark.parametrize("shape", [[3], [2, 3]])
    def test_the_batch_is_put_in_front(self, shape: list[int]) -> None:
        env = TransformedEnv(CountingEnv(3, [2]), TensorDictPrimer(h=Unbounded(shape)))
        assert env.observation_spec["h"].shape == env.state_spec["h"].shape == (2, *shape)

    @pytest.mark.parametrize(("expand", "shape"), [(None, (2, 3)), (False, (2, 3)), (True, (2, 2, 3))])
    def test_unless_it_is_there(self, expand: bool | None, shape: tuple[int, ...]) -> None:
        primers = Composite(h=Unbounded([2, 3]), shape=[2])
        env = TransformedEnv(CountingEnv(3, [2]), TensorDictPrimer(primers, expand_specs=expand))
        assert env.observation_spec["h"].shape == shape

    def test_or_it_must_be_there(self) -> None:
        with pytest.raises(
            TransformError, match=r"'h' \[3\] does not begin with the env's batch \[2\]. Give it that shape, or"
        ):
            TransformedEnv(CountingEnv(3, [2]), TensorDictPrimer(h=Unbounded([3]), expand_specs=False))


def test_from_plain_values() -> None:
    primer = TensorDictPrimer(
        {
            "h": {"shape": [4]},
            "g": {"b": {"shape": [1], "dtype": "float64", "low": -1, "high": 1}, "n": {"shape": [], "n": 3}},
        }
    )
    assert primer.primers == Composite(
        h=Unbounded(4), g=Composite(b=Bounded(-1, 1, [1], dtype=torch.float64), n=Categorical(3))
    )


def test_alone_it_sets_what_is_missing() -> None:
    td = TensorDict({"h": torch.full((4, 3), 7.0)}, batch_size=[4])
    TensorDictPrimer(h=Unbounded(3), g=Unbounded(2), default_value=1.0)(td)
    assert torch.equal(td["h"], torch.full((4, 3), 7.0))
    assert torch.equal(td["g"], torch.ones(4, 2))


def test_what_does_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"random=True draws the first value"):
        TensorDictPrimer(h=Unbounded(1), random=True, default_value=1.0)
    with pytest.raises(ConfigError, match=r"expected a value for each of \['g', 'h'\], found \['h'\]"):
        TensorDictPrimer(h=Unbounded(1), g=Unbounded(1), default_value={"h": 1.0})
    with pytest.raises(ConfigError, match=r"primers.h: expected a spec, or {shape: .* found 3"):
        TensorDictPrimer({"h": 3})
    with pytest.raises(ConfigError, match=r"primers.h.dtype: expected a dtype of torch .* found 'real'"):
        TensorDictPrimer({"h": {"shape": [1], "dtype": "real"}})
    for dtype in ("float64", "torch.float64", torch.float64):
        assert TensorDictPrimer({"h": {"shape": [1], "dtype": dtype}}).primers["h"].dtype == torch.float64
    with pytest.raises(ConfigError, match=r"single_default_value needs a function, found 1.0"):
        TensorDictPrimer(h=Unbounded(1), default_value=1.0, single_default_value=True)
    with pytest.raises(ConfigError, match=r"call_before_env_reset: expected false"):
        TensorDictPrimer(h=Unbounded(1), call_before_env_reset=True)
    with pytest.raises(TransformError, match=r"'action' is torch.float32 \[3\], the action of that name .* \[1\]"):
        TransformedEnv(CountingEnv(), TensorDictPrimer(action=Unbounded(3)))
    with pytest.raises(TransformError, match=r"'reward' already exists"):
        TransformedEnv(CountingEnv(), TensorDictPrimer(reward=Unbounded(1)))
    with pytest.raises(TransformError, match=r"no reset_key 'mine'. The env has \['_reset'\]"):
        TransformedEnv(CountingEnv(), TensorDictPrimer(h=Unbounded(1), reset_key="mine"))


def test_a_value_that_a_policy_could_not_lead_on_is_refused() -> None:
    primer = TensorDictPrimer(hidden=Unbounded((2,), dtype=torch.float64))
    with pytest.raises(TransformError, match="a later transform rewrites 'hidden'"):
        TransformedEnv(CountingEnv(), Compose(primer, DoubleToFloat()))


def test_steps_within_a_reset_leave_the_first_value() -> None:
    primer = TensorDictPrimer(hidden=Unbounded([2]), default_value=7.0)
    env = TransformedEnv(CountingEnv(9), Compose(primer, NoopResetEnv(3, random=False)))
    assert env.reset()["hidden"].tolist() == [7, 7]
    env.rand_step(env.reset().set(("next", "hidden"), torch.ones(2)))
    assert env.rollout(3)["hidden"].tolist() == [[7, 7]] * 3
