"""MultiStepTransform: several steps as one."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.errors import ConfigError, TransformError
from envcli.testing.toys import CountingEnv, NestedEnv
from envcli.transforms.multi_step import MultiStepTransform


def steps(count: int, ends: tuple[int, ...] = (), batch: tuple[int, ...] = (), first: int = 0) -> TensorDict:
    """``[*batch, count]``: observation ``t`` leads to ``t + 1``, which pays as much."""
    now = torch.arange(first, first + count, dtype=torch.float32).view(count, 1)
    done = torch.zeros(count, 1, dtype=torch.bool)
    done[list(ends)] = True
    following = {"observation": now + 1, "reward": now + 1, "done": done}
    return TensorDict({"observation": now, "next": following}, [count]).expand(*batch, count).clone()


def flat(td: object, *keys: object) -> list[list[float]]:
    return [td[key].flatten().tolist() for key in keys]  # type: ignore[index]  # a TensorDict


KEYS = ("observation", ("next", "observation"), ("next", "reward"), "steps_to_next_obs", "gamma")


def test_pieces_are_one_rollout() -> None:
    transform = MultiStepTransform(3, 0.5)
    first = transform.inv(steps(6))
    assert flat(first, *KEYS) == [[0, 1, 2], [3, 4, 5], [2.75, 4.5, 6.25], [3, 3, 3], [0.125] * 3]
    assert flat(first, ("next", "original_reward"), "nonterminal") == [[1, 2, 3], [True] * 3]
    second = transform.inv(steps(4, first=6))
    assert flat(second, *KEYS[:3]) == [[3, 4, 5, 6], [6, 7, 8, 9], [8, 9.75, 11.5, 13.25]]


def test_what_is_too_short_waits() -> None:
    transform = MultiStepTransform(3, 0.5)
    assert transform.inv(steps(2)).shape == (0,)
    assert flat(transform.inv(steps(2, first=2)), *KEYS[:3]) == [[0], [3], [2.75]]
    assert flat(transform.inv(steps(2, first=4)), *KEYS[:3]) == [[1, 2], [4, 5], [4.5, 6.25]]


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_a_transition_ends_with_its_episode(batch: tuple[int, ...]) -> None:
    given = steps(6, ends=(2,), batch=batch)
    found = MultiStepTransform(3, 0.5).inv(given)
    assert found.shape == (*batch, 3)
    for one in found.reshape(-1, 3):
        assert flat(one, *KEYS) == [[0, 1, 2], [3, 3, 3], [2.75, 3.5, 3], [3, 2, 1], [0.125, 0.25, 0.5]]
        assert flat(one, ("next", "done"), "nonterminal") == [[True] * 3, [True, True, False]]
    assert given["next"].get("original_reward", None) is None, "what it is given stays as it is"


def test_time_may_stand_anywhere() -> None:
    given = steps(6, ends=(2,), batch=(2,))
    given.names = [None, "time"]
    turned = MultiStepTransform(3, 0.5).inv(given.transpose(0, 1))
    assert turned.shape == (3, 2)
    assert turned["next", "reward"][:, 1].flatten().tolist() == [2.75, 3.5, 3]


def test_padding_belongs_to_nothing() -> None:
    given = steps(6).set("mask", torch.tensor([True, True, False, True, True, True]))
    found = MultiStepTransform(2, 0.5, mask_key="mask").inv(given)
    assert flat(found, ("next", "reward"), "steps_to_next_obs") == [[2, 2, 0, 6.5], [2, 1, 0, 2]]
    assert flat(found, ("next", "observation")) == [[2, 2, 3, 5]]


def test_rewards_and_flags_of_a_group() -> None:
    env = NestedEnv(3)
    data = env.rollout(9, break_when_any_done=False)
    reward, done = env.reward_keys[0], env.done_keys[0]
    found = MultiStepTransform(2, 1.0, reward_keys=[reward], done_key=done).inv(data)
    paid = data["next"].get(reward).flatten()
    expected = [paid[t] if t % 3 == 2 else paid[t] + paid[t + 1] for t in range(7)]
    torch.testing.assert_close(found["next"].get(reward).flatten(), torch.stack(expected))
    with pytest.raises(TransformError, match=r"no \('next', 'reward'\) in the rollout. Name the rewards"):
        MultiStepTransform(2, 1.0).inv(data)


def test_the_number_of_steps_may_change() -> None:
    transform = MultiStepTransform(3, 1.0)
    transform.inv(steps(4))
    transform.n_steps = 1
    assert flat(transform.inv(steps(2, first=4)), *KEYS[:3]) == [[1, 2, 3, 4], [2, 3, 4, 5], [2, 3, 4, 5]]


def test_it_is_for_rollouts() -> None:
    with pytest.raises(TransformError, match=r"not known inside an env\. Apply it to a rollout"):
        TransformedEnv(CountingEnv(), MultiStepTransform(3, 0.9))
    with pytest.raises(TransformError, match="found a TensorDict without dimensions"):
        MultiStepTransform(3, 0.9).inv(CountingEnv().reset())
    given = steps(2)
    assert MultiStepTransform(3, 0.9)(given) is given
    assert repr(MultiStepTransform(3, 0.9)) == "MultiStepTransform(n_steps=3, gamma=0.9)"


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_steps: expected at least 1, found 0"):
        MultiStepTransform(0, 0.9)
    with pytest.raises(ConfigError, match="give one of them"):
        MultiStepTransform(1, 0.9, done_key="done", done_keys=["done"])


def test_whole_rewards_are_discounted_too() -> None:
    data = CountingEnv(9).rollout(5)
    data["next", "reward"] = torch.ones(5, 1, dtype=torch.int64)
    made = MultiStepTransform(2, 0.5).inv(data)
    assert made["next", "reward"].flatten().tolist() == [1.5, 1.5, 1.5]
