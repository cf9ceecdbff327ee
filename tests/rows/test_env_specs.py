"""The specs of an env: the five, the views on them, and the keys they name."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import SpecError
from envcli.rows.env_specs import EnvSpecs
from envcli.specs import Bounded, Categorical, Composite, OneHot, TensorSpec, Unbounded
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.unsqueeze import UnsqueezeTransform


def test_what_is_not_assigned() -> None:
    specs = EnvSpecs(batch_size=[2])
    assert specs.reward_spec == Unbounded([2, 1])
    assert list(specs.done_spec.keys()) == ["done", "terminated"]
    assert specs.full_done_spec["done"] == Categorical(2, shape=[2, 1], dtype=torch.bool)
    for spec in (specs.observation_spec, specs.full_action_spec, specs.state_spec):
        assert spec.is_empty()
        assert spec.shape == (2,)


@pytest.mark.parametrize("batch", [3, [3], torch.Size([3]), (3,)])
def test_the_shape_by_all_its_names(batch: object) -> None:
    specs = EnvSpecs(batch_size=batch)
    assert specs.batch_size == specs.shape == torch.Size([3])
    assert specs.ndim == specs.batch_dims == specs.ndimension() == 1
    assert specs.numel() == 3
    assert EnvSpecs().batch_size == EnvSpecs(batch_size=None).batch_size == ()


def test_a_leaf_gets_the_standard_key() -> None:
    specs = EnvSpecs()
    specs.action_spec = OneHot(3)
    specs.reward_spec = Unbounded([1])
    specs.done_spec = Categorical(2, shape=[1], dtype=torch.bool)
    assert specs.action_keys == ["action"]
    assert (specs.action_key, specs.reward_key) == ("action", "reward")
    assert specs.done_keys == ["done", "terminated"]
    assert specs.action_spec == OneHot(3)
    assert list(specs.full_action_spec.keys()) == ["action"]


def test_what_is_assigned_is_moved_to_the_device_of_the_env() -> None:
    """As in TorchRL. "meta" is a device that every machine has."""
    specs, plain = EnvSpecs("meta"), EnvSpecs()
    given = Composite(a=Unbounded(3), group=Composite(b=Unbounded(2)))
    for env in (specs, plain):
        env.observation_spec = given
        env.full_action_spec = Composite(action=Unbounded(2))
        env.full_done_spec = Composite(done=Categorical(2, shape=(1,), dtype=torch.bool))
    for family in ("observation", "full_action", "full_done"):
        leaves = getattr(specs, f"{family}_spec").leaves().values()
        assert {str(leaf.device) for leaf in leaves} == {"meta"}
    assert given["a"].device == torch.device("cpu")
    assert plain.observation_spec is given


def test_a_flag_has_a_dimension_of_its_own() -> None:
    specs = EnvSpecs(batch_size=[2])
    with pytest.raises(SpecError, match=r"the flag 'done' has shape \[2\], expected a dimension more .*: \[2, 1\]"):
        specs.done_spec = Categorical(2, shape=[2], dtype=torch.bool)


def test_flags_that_stand_together_have_one_shape() -> None:
    with pytest.raises(SpecError, match=r"the flag 'terminated' has shape \[1\], expected \[1, 1\], that of the flags"):
        TransformedEnv(CountingEnv(), UnsqueezeTransform(-1, in_keys=["done"])).reset()


def test_views_gather_and_are_copies() -> None:
    env = CountingEnv()
    assert list(env.output_spec.keys()) == ["full_observation_spec", "full_reward_spec", "full_done_spec"]
    assert list(env.input_spec.keys()) == ["full_state_spec", "full_action_spec"]
    assert list(env.specs.keys()) == ["input_spec", "output_spec"]
    assert env.output_spec["full_reward_spec", "reward"] == env.reward_spec


@pytest.mark.parametrize("view", ["input_spec", "output_spec", "specs"])
def test_a_view_cannot_be_written_into(view: str) -> None:
    env = CountingEnv()
    found = getattr(env, view)
    assert found.is_locked
    for key in found.keys(include_nested=True):
        with pytest.raises(SpecError, match=r"cannot be changed: .*a copy.*TorchRL.*Assign.* env\.action_spec = "):
            found[key] = Unbounded([1])
    assert not env.full_action_spec.is_locked
    inner = getattr(TransformedEnv(env, StepCounter()), view)
    assert inner.is_locked


def test_nested_keys() -> None:
    env = NestedEnv()
    assert env.observation_keys == [("agent", "observation"), ("agent", "start")]
    assert env.action_key == ("agent", "action")
    assert env.reward_key == ("agent", "reward")
    assert env.reset_keys == ["_reset"]
    assert env.state_keys == []


def test_the_only_key_must_be_the_only_one() -> None:
    with pytest.raises(
        KeyError, match=r"CountingEnv has 3 done keys: \['done', 'terminated', 'truncated'\]. Use done_keys"
    ):
        _ = CountingEnv().done_key
    with pytest.raises(KeyError, match="has 0 action keys"):
        _ = EnvSpecs().action_key


def test_a_mask_for_each_done() -> None:
    specs = EnvSpecs()
    flag = Categorical(2, shape=[1], dtype=torch.bool)
    specs.full_done_spec = Composite(done=flag, agent=Composite(done=flag, terminated=flag))
    assert specs.reset_keys == ["_reset", ("agent", "_reset")]
    assert specs.done_keys_groups == [["done", "terminated"], [("agent", "done"), ("agent", "terminated")]]


FLAG = Categorical(2, shape=[1], dtype=torch.bool)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Composite(done=FLAG), ["done", "terminated"]),
        (Composite(terminated=FLAG), ["terminated", "done"]),
        (Composite(done=FLAG, truncated=FLAG), ["done", "truncated", "terminated"]),
        (Composite(truncated=FLAG), ["truncated"]),
        (Composite(), ["done", "terminated"]),
        (FLAG, ["done", "terminated"]),
        (Composite(agent=Composite(done=FLAG)), [("agent", "done"), ("agent", "terminated")]),
        (
            Composite(a=Composite(b=Composite(terminated=FLAG)), done=FLAG),
            [("a", "b", "terminated"), ("a", "b", "done"), "done", "terminated"],
        ),
    ],
)
@pytest.mark.parametrize("name", ["done_spec", "full_done_spec"])
def test_each_group_of_flags_is_completed_as_torchrl_does_it(name: str, given: TensorSpec, expected: list[Any]) -> None:
    before, specs = given.clone(), EnvSpecs()
    setattr(specs, name, given)
    assert specs.done_keys == expected
    assert all(leaf == FLAG for leaf in specs.full_done_spec.leaves().values())
    assert given == before


def test_flags_are_completed_in_a_batch() -> None:
    specs = EnvSpecs(batch_size=[2])
    flag = Categorical(2, shape=[2, 5], dtype=torch.bool)
    specs.full_done_spec = Composite(done=flag, shape=[2])
    assert specs.full_done_spec["terminated"] == flag


@pytest.mark.parametrize(
    ("family", "spec", "said"),
    [
        ("observation_spec", {"observation": Unbounded([2])}, "observation_spec must be a spec, found a dict"),
        ("observation_spec", Unbounded([1]), r"observation_spec has shape \[1\], which does not begin with"),
        ("observation_spec", Composite(shape=[]), r"has shape \[\], but the env's batch_size is \[2\]"),
        (
            "action_spec",
            OneHot(3),
            r"has shape \[3\], which does not begin with .*batch_size \[2\].*expand\(\[2, 3\]\)",
        ),
        ("reward_spec", Unbounded([1]), r"reward_spec has shape \[1\]"),
        ("state_spec", Composite(shape=[3]), r"state_spec has shape \[3\]"),
    ],
)
def test_a_spec_must_fit_the_batch(family: str, spec: object, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        setattr(EnvSpecs(batch_size=[2]), family, spec)


def test_a_leaf_is_the_only_one_of_its_family() -> None:
    specs = EnvSpecs(batch_size=[2])
    specs.observation_spec = leaf = Unbounded([2, 3])
    assert specs.observation_spec == Composite(observation=leaf, shape=[2])


@pytest.mark.parametrize("key", [("agents", "move"), "move"])
def test_what_has_another_key_is_found_by_it(key: str | tuple[str, ...]) -> None:
    specs = EnvSpecs(batch_size=[2])
    leaf = Categorical(4, shape=[2, 3])
    specs.action_spec = Composite({key: leaf}, shape=[2])
    specs.reward_spec = Composite({key: leaf}, shape=[2])
    assert specs.action_spec[specs.action_key] == leaf == specs.reward_spec[specs.reward_key]
    assert specs.action_spec_unbatched[key] == Categorical(4, shape=[3])
    specs.action_spec = leaf
    assert specs.action_spec == leaf


def test_no_state_can_be_said() -> None:
    specs = EnvSpecs()
    specs.state_spec = Composite(x=Unbounded([1]))
    assert specs.state_keys == ["x"]
    specs.state_spec = None  # type: ignore[assignment]  # TorchRL takes it
    assert specs.state_keys == []


def test_the_rows_hold_root_and_next() -> None:
    env = CountingEnv(batch_size=[2])
    layout = env._row_layout()
    shown = {"observation", "start", "done", "terminated", "truncated"}
    assert {path for path in layout if path[0] != "next"} == {(name,) for name in (*shown, "action")}
    assert {path[1] for path in layout if path[0] == "next"} == {*shown, "reward"}
    assert layout["next", "observation"] == ((2, 1), torch.float32)


@pytest.mark.parametrize(
    ("family", "name", "said"),
    [
        ("full_action_spec", "observation", "'observation' is the name of the observation.*of the action too"),
        ("full_reward_spec", "done", "'done' is the name of the done"),
        ("full_action_spec", "next", "'next' is the name of what a step leads to"),
    ],
)
def test_two_families_may_not_share_a_name(family: str, name: str, said: str) -> None:
    env = CountingEnv()
    setattr(env, family, Composite({name: Bounded(0, 1, shape=[1])}))
    with pytest.raises(SpecError, match=said):
        env.rollout(1)


def test_memory_follows_a_spec_that_changes() -> None:
    env = CountingEnv()
    env.rand_step(env.reset())
    env.full_reward_spec = Composite(reward=Unbounded([1], dtype=torch.float64))
    assert env.rollout(2)["next", "reward"].dtype == torch.float64
