"""Compose: a sequence of transforms that is one."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import TransformError
from envcli.specs import Bounded, Categorical, Composite, Unbounded
from envcli.testing.toys import CountingEnv
from envcli.transforms.action_scaling import ActionScaling
from envcli.transforms.compose import Compose
from envcli.transforms.gray_scale import GrayScale
from envcli.transforms.reward_clipping import RewardClipping
from envcli.transforms.reward_sum import RewardSum
from envcli.transforms.step_counter import StepCounter
from envcli.transforms.transform import Transform
from envcli.transforms.unsqueeze import UnsqueezeTransform


class Times(Transform):
    """Multiplies the observation, and divides the action."""

    def __init__(self, factor: float) -> None:
        super().__init__(["observation"], in_keys_inv=["action"])
        self.factor = factor

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs * self.factor

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state / self.factor


class Plus(Transform):
    """Adds to the observation, and takes from the action."""

    def __init__(self, term: float) -> None:
        super().__init__(["observation"], in_keys_inv=["action"])
        self.term = term

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs + self.term

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state - self.term


def names(chain: Compose) -> list[str]:
    return [type(transform).__name__ for transform in chain]


def test_the_first_is_nearest_to_the_env() -> None:
    chain = Compose(Times(10), Plus(1))
    td = TensorDict({"observation": torch.ones(1), "action": torch.tensor([1.0])})
    assert chain(td.clone())["observation"] == 11
    assert chain.inv(td)["action"] == 0, "and the last is the first on the way back"
    env = TransformedEnv(CountingEnv(), Compose(Times(10), Plus(1)))
    data = env.rollout(3, lambda td: td.set("action", torch.tensor([1.0])))
    assert data["observation"].squeeze(-1).tolist() == [1, 11, 21]
    assert data["next", "reward"].squeeze(-1).tolist() == [0, 0, 0]


def test_chains_within_chains() -> None:
    inner = Compose(Times(10), Plus(1))
    env = TransformedEnv(CountingEnv(), Compose(inner, Compose(Times(2))))
    assert [type(t).__name__ for t in env.transform.flat()] == ["Times", "Plus", "Times"]  # type: ignore[operator]
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [22, 42]


def test_append_takes_the_transforms_of_a_chain_one_by_one() -> None:
    env, added = TransformedEnv(CountingEnv(), Times(10)), Compose(Plus(1), Compose(StepCounter()))
    env.append_transform(added)
    assert isinstance(env.transform, Compose)
    assert names(env.transform) == ["Times", "Plus", "StepCounter"] == names(env.transform[:3])
    assert names(added) == ["Plus", "Compose"]
    assert added[0].container is env
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [11, 21]
    for change in (lambda: added.append(Times(2)), lambda: TransformedEnv(CountingEnv(), added)):
        with pytest.raises(TransformError, match="its transforms were appended to another chain"):
            change()
    with pytest.raises(TransformError, match=r"Compose is already part of another chain\. Use a copy"):
        Compose().append(env.transform)
    assert TransformedEnv(CountingEnv(), added.clone()).rollout(2).shape == (2,)


def test_a_chain_that_does_not_fit_keeps_its_transforms() -> None:
    env, chain = TransformedEnv(CountingEnv(), Times(10)), Compose(Plus(1), GrayScale(["frame"]))
    env.append_transform(StepCounter())
    with pytest.raises(TransformError):
        env.append_transform(chain)
    with pytest.raises(TransformError):
        TransformedEnv(env, chain)
    assert isinstance(env.transform, Compose)
    assert names(env.transform) == ["Times", "StepCounter"]
    del chain[1]
    env.append_transform(chain)
    assert names(env.transform) == ["Times", "StepCounter", "Plus"]


def test_a_list_of_transforms() -> None:
    assert names(Compose([Times(1), Plus(2)])) == ["Times", "Plus"]
    assert len(Compose([])) == 0


def test_it_reads_like_a_list() -> None:
    chain = Compose(Times(1), Plus(2), StepCounter())
    assert len(chain) == 3
    assert names(chain) == ["Times", "Plus", "StepCounter"]
    assert isinstance(chain[1], Plus)
    assert isinstance(chain[-1], StepCounter)
    assert names(chain[:2]) == ["Times", "Plus"]
    assert chain[:2][0] is not chain[0], "a slice stands alone"
    with pytest.raises(IndexError, match="no transform 3 among 3"):
        chain[3]


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (0, ["StepCounter", "Times", "Plus"]),
        (1, ["Times", "StepCounter", "Plus"]),
        (-1, ["Times", "StepCounter", "Plus"]),
    ],
)
def test_insert_goes_before(index: int, expected: list[str]) -> None:
    chain = Compose(Times(1), Plus(1))
    chain.insert(index, StepCounter())
    assert names(chain) == expected


def test_what_cannot_be_inserted() -> None:
    chain = Compose(Times(1))
    with pytest.raises(TransformError, match="expected a transform, found a int"):
        chain.append(3)  # type: ignore[arg-type]  # the point of the test
    with pytest.raises(TransformError, match="no position 5 in a chain of 1"):
        chain.insert(5, Plus(1))
    with pytest.raises(TransformError, match="part of another chain"):
        Compose(chain[0])


def test_what_does_not_fit_leaves_the_chain_as_it_was() -> None:
    env = TransformedEnv(CountingEnv(), Compose(Times(10)))

    class Lost(Plus):
        def __init__(self) -> None:
            super().__init__(1)
            self.in_keys = ["nowhere"]

    lost = Lost()
    with pytest.raises(TransformError, match=r"Lost: in_keys \['nowhere'\] do not exist. The env has: "):
        env.transform.append(lost)  # type: ignore[operator]  # a Compose
    assert lost.container is None
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [10, 20]


def test_parent_is_the_env_before() -> None:
    env = TransformedEnv(CountingEnv(), Compose(Times(10), Plus(1), StepCounter()))
    first, second, third = env.transform  # type: ignore[misc]  # a Compose is iterable
    assert len(first.parent.transform) == 0
    assert second.parent.rollout(2)["next", "observation"].squeeze(-1).tolist() == [10, 20]
    assert third.parent.rollout(2)["next", "observation"].squeeze(-1).tolist() == [11, 21]
    assert third.parent.base_env is env.base_env


def test_a_copy_has_copies() -> None:
    chain = Compose(Times(10))
    copied = chain.clone()
    copied[0].factor = 3  # type: ignore[assignment]  # Module's attribute types
    assert chain[0].factor == 10
    assert copied.container is None


def test_repr() -> None:
    assert repr(Compose()) == "Compose()"
    assert repr(Compose(Times(1))) == "Compose(\n        Times(keys=['observation']))"


# -- editing ------------------------------------------------------------------------------------------------------


def test_what_is_taken_out_stands_alone() -> None:
    chain = Compose(Times(10), Plus(1), StepCounter())
    env = TransformedEnv(CountingEnv(), chain)
    plus = chain.pop(1)
    assert isinstance(plus, Plus)
    assert plus.container is None
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [10, 20]
    assert isinstance(chain.pop(), StepCounter)
    assert "step_count" not in env.observation_spec
    del chain[0]
    assert len(chain) == 0
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [1, 2]
    chain.append(plus)
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [2, 3]


def test_one_in_the_place_of_another() -> None:
    chain = Compose(Times(10), Plus(1))
    env = TransformedEnv(CountingEnv(), chain)
    times = chain[0]
    chain[0] = Times(3)
    assert times.container is None
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [4, 7]
    chain[1:] = [Plus(2), lambda td: td.set("observation", -td["observation"])]
    assert env.rollout(2)["next", "observation"].squeeze(-1).tolist() == [-5, -8]
    del chain[1:]
    assert names(chain) == ["Times"]


def test_an_edit_that_does_not_fit_changes_nothing() -> None:
    class Counted(Plus):
        def __init__(self) -> None:
            super().__init__(1)
            self.in_keys = self.out_keys = ["step_count"]

    chain = Compose(StepCounter(), Counted())
    env = TransformedEnv(CountingEnv(), chain)
    counter, other = chain[0], Plus(1)
    for edit in (lambda: chain.pop(0), lambda: chain.__setitem__(0, other), lambda: chain.__delitem__(slice(0, 1))):
        with pytest.raises(TransformError, match="do not exist"):
            edit()
        assert chain[0] is counter
        assert counter.container is env
        assert other.container is None
        assert env.rollout(2)["next", "step_count"].squeeze(-1).tolist() == [2, 3]
    with pytest.raises(TransformError, match="cannot be used in two places"):
        chain[0] = chain[1]
    with pytest.raises(IndexError, match="no transform 5 among 2"):
        del chain[5]
    assert names(chain) == ["StepCounter", "Counted"]


def test_its_hooks_are_those_of_its_transforms() -> None:
    chain = Compose(Times(10), Plus(1))
    td = TensorDict({"observation": torch.ones(1), "action": torch.tensor([1.0])})
    for hook in (chain._call, lambda given: chain._step(TensorDict(), given), lambda given: chain._reset(None, given)):
        assert hook(td.clone())["observation"] == 11
    assert chain._inv_call(td.clone())["action"] == 0


def test_a_hook_that_nobody_would_call_is_refused() -> None:
    class Own(Compose):
        def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
            return next_tensordict

    with pytest.raises(
        TransformError, match="Own overrides _call, but an env runs the transforms of a Compose one by one"
    ):
        TransformedEnv(CountingEnv(), Own(Times(10)))


def test_a_chain_cannot_stand_in_itself() -> None:
    chain = Compose(StepCounter())
    outer = Compose(Compose(chain))
    for held in (chain, outer):
        with pytest.raises(TransformError, match=r"a chain cannot contain itself\. Use a copy"):
            chain.append(held)
    assert [type(transform) for transform in outer.flat()] == [StepCounter]
    chain.append(outer.clone())
    assert len(outer.flat()) == 2


@pytest.mark.parametrize("wrapped", [False, True])
def test_what_is_added_to_the_chain_of_an_env_may_find_no_image(wrapped: bool) -> None:
    env = TransformedEnv(CountingEnv(), Compose(Compose(StepCounter())))
    for chain in (env.transform, env.transform[0]):  # type: ignore[index]  # a Compose
        with pytest.warns(UserWarning, match=r"GrayScale: the env shows no \['pixels'\], so it does nothing"):
            chain.append(Compose(GrayScale()) if wrapped else GrayScale())
    assert env.rollout(2).shape == (2,)
    with pytest.raises(TransformError, match=r"in_keys \['pixels'\] do not exist"):
        TransformedEnv(CountingEnv(), Compose(GrayScale()))


def test_by_the_name_that_torchrl_gives_them() -> None:
    chain = Compose(transforms=[StepCounter(), RewardSum()])
    assert [type(transform).__name__ for transform in chain] == ["StepCounter", "RewardSum"]


def test_it_changes_the_specs_of_each_family() -> None:
    chain = Compose(UnsqueezeTransform(-1, in_keys=["a"]), UnsqueezeTransform(-2, in_keys=["a"]))
    assert chain.transform_observation_spec(Composite(a=Unbounded([3]))) == Composite(a=Unbounded([3, 1, 1]))
    chain = Compose(StepCounter(), ActionScaling())
    assert chain.transform_action_spec(Composite(action=Bounded(0, 4, [1]))) == Composite(action=Bounded(-1, 1, [1]))
    assert list(chain.transform_state_spec(Composite()).keys()) == ["step_count"]
    chain = Compose(RewardSum(), RewardClipping(-1, 2), StepCounter(3))
    assert chain.transform_reward_spec(Composite(reward=Unbounded([1]))) == Composite(reward=Bounded(-1, 2, [1]))
    done = Composite(done=Categorical(2, shape=[1], dtype=torch.bool))
    assert set(chain.transform_done_spec(done).keys()) == {"done", "truncated"}
