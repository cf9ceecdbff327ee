"""Functions of JAX, compiled for a batch: keys, and steps of those who begin anew."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("jax", reason="jax is not installed (extras brax, gymnax, jumanji and mujoco-playground)")

from envcli.jitted.jax_world import JaxWorld, by_name, jax, jnp


class Count(NamedTuple):
    """A toy that begins at its key and adds the action. It is paid nothing, a float, and then where it is."""

    at: Any
    reward: Any


def world() -> JaxWorld[Count]:
    def step(moment: Count, action: Any) -> Count:
        return Count(moment.at + action, moment.at.sum(-1))

    return JaxWorld(lambda keys: Count(keys, jnp.zeros(len(keys))), step, None)


def test_an_episode_begins_from_its_own_key() -> None:
    seeds, episodes = [3, 2**40 + 5, 7], np.array([0, 1, 2])
    one = world()
    found = one.begin(one.keys(seeds), episodes).at
    first = [jax.random.PRNGKey(3), np.array([256, 5], np.uint32), jax.random.PRNGKey(7)]
    expected = [first[0], jax.random.fold_in(first[1], 1), jax.random.fold_in(first[2], 2)]
    np.testing.assert_array_equal(found, np.stack(expected))


def test_a_step_follows_a_beginning_where_an_episode_begins() -> None:
    one = world()
    begun = one.begin(one.keys([1, 2, 3]), np.zeros(3, np.int64))
    action, nobody = np.full((3, 1), 10, np.uint32), np.zeros(3, dtype=bool)
    moment = one.step(begun, action, nobody, begun)
    for _ in range(2):  # the reward has become an integer
        moment = one.step(moment, action, nobody, begun)
    where = np.array([False, True, False])
    np.testing.assert_array_equal(one.merge(where, begun, moment).at[:, 1], [31, 2, 33])
    np.testing.assert_array_equal(one.step(moment, action, where, begun).at[:, 1], [41, 12, 43])
    np.testing.assert_array_equal(moment.at[:, 1], [31, 32, 33])
    assert moment.reward.dtype == np.uint32


def test_what_belongs_to_no_env_alone_goes_on() -> None:
    begun, moment = (Count(np.full(3, start), np.full((5, 2), start)) for start in (0, 1))
    merged = world().merge(np.array([True, False, True]), begun, moment)
    np.testing.assert_array_equal(merged.at, [0, 1, 0])
    np.testing.assert_array_equal(merged.reward, np.ones((5, 2)))


def test_a_single_observation_gets_a_name() -> None:
    assert by_name(3) == {"observation": 3}
    assert by_name({"state": 3, "privileged_state": 4}) == {"state": 3, "privileged_state": 4}
