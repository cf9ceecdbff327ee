"""ActionMask: actions that an observation allows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.serial_env import SerialEnv
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import ActionError, TransformError
from envcli.specs import Binary, Bounded, Categorical, Composite, MultiCategorical, OneHot, TensorSpec, Unbounded
from envcli.testing.toys import CountingEnv
from envcli.transforms.action_mask import ActionMask
from envcli.transforms.compose import Compose
from envcli.transforms.discrete_action_projection import DiscreteActionProjection
from envcli.transforms.exclude import ExcludeTransform
from envcli.transforms.rename import RenameTransform
from envcli.transforms.transform import Transform


class Once(EnvBase):
    """A game of ``n`` moves, each of which may be made once; it ends when none is left."""

    def __init__(self, action: TensorSpec, batch: tuple[int, ...] = (), n: int = 4) -> None:
        super().__init__(batch_size=batch)
        self.n = n
        self.observation_spec = Composite(action_mask=Binary(n, shape=[*batch, n], dtype=torch.bool), shape=batch)
        self.action_spec = action.expand([*batch, *action.shape])
        self.reward_spec = Unbounded([*batch, 1])

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict({"action_mask": torch.ones(*self.batch_size, self.n, dtype=torch.bool)}, self.batch_size)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action, before = tensordict["action"], tensordict["action_mask"]
        move = action if self.action_spec.dtype == torch.bool else torch.nn.functional.one_hot(action, self.n).bool()
        assert (before & move).sum(-1).eq(1).all() or not before.any(-1).all(), "a move that is not allowed arrived"
        mask = before & ~move
        return TensorDict(
            {"action_mask": mask, "reward": torch.ones(*self.batch_size, 1), "done": ~mask.any(-1, keepdim=True)},
            self.batch_size,
        )

    def _set_seed(self, seed: int | None) -> None:
        pass  # nothing is drawn


KINDS = [OneHot(4), Categorical(4)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch", [(), (3,)])
def test_random_rollouts_keep_to_the_mask(kind: TensorSpec, batch: tuple[int, ...]) -> None:
    env = TransformedEnv(Once(kind, batch), ActionMask())
    data = env.rollout(12, break_when_any_done=False)
    moves = env.action_spec.to_categorical(data["action"].movedim(len(batch), 0), safe=False)
    for game in moves.reshape(3, 4, -1).unbind(0):
        assert game.sort(0).values.t().tolist() == [[0, 1, 2, 3]] * env.numel()
    assert data["next", "done"].sum() == 3 * env.numel()


def test_without_it_they_do_not() -> None:
    torch.manual_seed(0)
    with pytest.raises(AssertionError, match=r"not allowed"):
        Once(OneHot(4)).rollout(12, break_when_any_done=False)


@pytest.mark.parametrize("kind", KINDS)
def test_single_steps(kind: TensorSpec) -> None:
    env = TransformedEnv(Once(kind), ActionMask())
    td = env.reset()
    for _ in range(4):
        td = env.step_mdp(env.rand_step(td))
    env.reset()
    first = env.rand_action()["action"]
    td = env.step(env.reset().set("action", first))
    draws = [env.rand_action()["action"].int().tolist() for _ in range(30)]
    assert first.int().tolist() not in draws, "without a tensordict: what was shown last"
    root = TensorDict({"action_mask": torch.tensor([False, False, True, False])})
    assert env.action_spec.to_categorical(env.rand_action(root)["action"]) == 2


def test_forbidden_actions_are_refused_before_they_arrive() -> None:
    env = TransformedEnv(Once(OneHot(4)), ActionMask())
    first = torch.tensor([True, False, False, False])
    td = env.step_mdp(env.step(env.reset().set("action", first)))
    with pytest.raises(ActionError, match=r"\[True, False, False, False\], which action_mask forbids"):
        env.step(td.set("action", first))
    with pytest.raises(ActionError, match=r"which action_mask forbids"):
        env.rollout(3, lambda td: td.set("action", first))
    assert env.rollout(
        9, lambda td: td.set("action", td["action_mask"].cumsum(-1).eq(1) & td["action_mask"])
    ).shape == (4,)


def test_envs_that_wait_for_others_may_do_anything() -> None:
    class Uneven(Once):
        def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
            shown = super()._reset(tensordict)
            shown["action_mask"][0, 1:] = False
            return shown

    env = TransformedEnv(Uneven(OneHot(4), (2,)), ActionMask())
    data = env.rollout(9, break_when_all_done=True)
    assert data.shape == (2, 4)
    assert data["next", "done"].squeeze(-1).int().tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]


def test_several_choices_at_once() -> None:
    env = TransformedEnv(PairOnce(), ActionMask())
    data = env.rollout(40, break_when_any_done=False)
    assert set(data["action"][:, 0].tolist()) == {0, 2}
    assert set(data["action"][:, 1].tolist()) == {1}


class PairOnce(CountingEnv):
    """Allows 0 and 2 of three, and 1 of two."""

    def __init__(self) -> None:
        super().__init__(5)
        self.action_spec = MultiCategorical([3, 2])
        self.observation_spec = Composite(action_mask=Bounded(0, 1, shape=[5], dtype=torch.int8))

    def _allowed(self) -> TensorDict:
        return TensorDict({"action_mask": torch.tensor([1, 0, 1, 0, 1], dtype=torch.int8)})

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        super()._reset(tensordict)
        return self._allowed()

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        made = super()._step(tensordict.clone().set("action", torch.zeros(1)))
        return self._allowed().update(made.select("reward", "terminated", "truncated"))


class Ruled(CountingEnv):
    """Allows the same choice throughout an episode, another one in the next; only the state says which."""

    def __init__(self) -> None:
        super().__init__(3)
        self.action_spec = Categorical(4)
        self.state_spec = Composite(action_mask=Binary(4, dtype=torch.bool))
        self.episodes = 0

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        self.episodes += 1
        allowed = torch.arange(4) == self.episodes % 4
        return super()._reset(tensordict).set("action_mask", allowed)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        return super()._step(tensordict.clone().set("action", tensordict["action"].float().unsqueeze(-1)))


@pytest.mark.parametrize("within", [False, True])
def test_a_mask_that_is_state_alone(within: bool) -> None:
    env: Env = TransformedEnv(Ruled(), ActionMask())
    if within:
        env = SerialEnv(1, lambda: TransformedEnv(Ruled(), ActionMask()))
    with env:
        data = env.rollout(12, break_when_any_done=False).reshape(-1)
        assert torch.equal(data["action_mask"].int().argmax(-1), data["action"])
        assert len(data["action"].unique()) == 4
        td = env.step(env.rand_action(env.reset()))
        assert torch.equal(env.rand_action()["action"], td["action"]), "without a tensordict: what was shown last"
        with pytest.raises(ActionError, match="which action_mask forbids"):
            env.step(env.step_mdp(td).set("action", (td["action"] + 1) % 4))


def test_later_transforms_may_rename_both() -> None:
    chain = Compose(ActionMask(), RenameTransform(["action_mask"], [("m", "x")], ["action"], ["move"]))
    env = TransformedEnv(Once(OneHot(4)), chain)
    assert env.rollout(9)["move"].sum(0).tolist() == [1, 1, 1, 1]
    td = env.step_mdp(env.rand_step(env.reset()))
    assert (env.rand_action(td)["move"] & td["m", "x"]).sum() == 1


@pytest.mark.parametrize("later", [ExcludeTransform("action_mask"), DiscreteActionProjection(4, 6)])
def test_but_not_rewrite_either(later: Transform) -> None:
    with pytest.raises(TransformError, match=r"a later transform rewrites or drops '.*'.* Put ActionMask after it"):
        TransformedEnv(Once(OneHot(4)), Compose(ActionMask(), later.clone()))


def test_alone_it_does_nothing() -> None:
    td = TensorDict({"action": torch.ones(1), "action_mask": torch.ones(1)})
    assert set(ActionMask()(td).keys()) == {"action", "action_mask"}


def test_specs_stay_and_hold_every_action_of_a_rollout() -> None:
    env = TransformedEnv(Once(OneHot(4)), ActionMask())
    data = env.rollout(8, break_when_any_done=False)
    assert env.action_spec == OneHot(4)
    assert env.action_spec.is_in(data["action"])


def test_what_does_not_fit() -> None:
    with pytest.raises(TransformError, match=r"in_keys \['mask'\] do not exist"):
        TransformedEnv(Once(OneHot(4)), ActionMask(mask_key="mask"))
    with pytest.raises(TransformError, match=r"in_keys_inv \['move'\] do not exist"):
        TransformedEnv(Once(OneHot(4)), ActionMask("move"))
    with pytest.raises(
        TransformError, match=r"'action_mask', \[3\], does not fit as a mask for 'action', OneHot \[4\]"
    ):
        TransformedEnv(Once(OneHot(4), n=3), ActionMask())
    with pytest.raises(TransformError, match=r"'observation', \[1\], does not fit as a mask for 'action', Bounded"):
        TransformedEnv(CountingEnv(), ActionMask(mask_key="observation"))


def test_listed_actions_are_those_that_it_allows() -> None:
    env = TransformedEnv(Once(Categorical(4)), ActionMask())
    td = env.reset()
    assert env.all_actions(td)["action"].tolist() == [0, 1, 2, 3]
    td = env.step_mdp(env.step(td.set("action", torch.tensor(2))))
    assert env.all_actions()["action"].tolist() == [0, 1, 3]
    assert env.all_actions(env.reset())["action"].tolist() == [0, 1, 2, 3]
