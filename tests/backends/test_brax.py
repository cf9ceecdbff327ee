"""Brax: the contract, where episodes end, and gradients, on envs without physics, which take long to compile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.errors import ActionError, ConfigError, UnknownName
from envcli.make import make_env
from envcli.testing import EnvContract
from envcli.vocabulary import catalog
from tests.conftest import Command

pytest.importorskip("brax", reason="brax is not installed (extra brax)")

from envcli.backends.brax import BraxEnv, BraxWrapper
from envcli.jitted.brax_world import brax, jax

jp = jax.numpy


class Drift(brax.envs.Env):  # type: ignore[misc]  # the library has no annotations
    """A point that begins within [0, 1), is moved by a tenth of the action, pays its square, and is done beyond 1."""

    def reset(self, rng: Any) -> Any:
        return self._state(jax.random.uniform(rng, (2,)), {"steps": jp.array(0)})

    def step(self, state: Any, action: Any) -> Any:
        return self._state(state.obs["place"] + 0.1 * action, {"steps": state.info["steps"] + 1})

    def _state(self, place: Any, info: Any) -> Any:
        done = jp.where(jp.abs(place).max() > 1, 1.0, 0.0)
        return brax.envs.State(None, {"place": place}, (place**2).sum(), done, {}, info)

    observation_size = {"place": 2}  # noqa: RUF012
    action_size = 2
    backend = "none"


def drift(num_envs: int = 3, **options: Any) -> BraxEnv:
    env = BraxEnv(Drift(), num_envs, **options)
    env.set_seed(0)
    return env


def rollout(env: BraxEnv, steps: int = 40) -> TensorDictBase:
    torch.manual_seed(0)
    return env.rollout(steps, break_when_any_done=False)


class TestFast(EnvContract):
    def make_env(self) -> Env:
        return BraxEnv("fast", 3)


class TestDrift(EnvContract):
    def make_env(self) -> Env:
        return BraxEnv(Drift(), 2, frame_skip=2, max_episode_steps=7, device="cpu")


def test_an_env_is_what_brax_itself_makes_of_its_seed() -> None:
    env = drift(1)
    data = rollout(env, 5)[0]
    native = Drift()
    state = native.reset(jax.random.PRNGKey(0))
    for t in range(5):
        np.testing.assert_array_equal(data["place"][t], state.obs["place"])
        state = native.step(state, data["action"][t].numpy())
        np.testing.assert_allclose(data["next", "place"][t], state.obs["place"], rtol=1e-6)
        if data["next", "done"][t]:
            break


def test_every_episode_ends_where_it_ends_and_another_begins() -> None:
    data = rollout(drift(max_episode_steps=9))
    over = (data["next", "place"].abs() > 1).any(-1, keepdim=True)
    assert over.any()
    assert torch.equal(data["next", "terminated"], over)
    ended = data["next", "done"].squeeze(-1)
    assert data["next", "truncated"].any()
    assert torch.equal(ended, (data["next", "terminated"] | data["next", "truncated"]).squeeze(-1))
    begun = data["place"][:, 1:][ended[:, :-1]]
    assert ((begun >= 0) & (begun < 1)).all()
    assert len(begun.unique(dim=0)) == len(begun) > 3  # no episode is another's


def test_an_env_does_not_depend_on_its_neighbours() -> None:
    few, many = (rollout_of_ones(drift(n)) for n in (2, 5))
    assert (few == many[:2]).all()


def rollout_of_ones(env: BraxEnv) -> TensorDictBase:
    return env.rollout(30, lambda td: td.set("action", torch.ones(*td.batch_size, 2)), break_when_any_done=False)


def test_a_limit_counts_steps() -> None:
    data = BraxEnv("fast", 2, max_episode_steps=3).rollout(6, break_when_any_done=False)
    assert data["next", "truncated"][..., 0].tolist() == [[False, False, True] * 2] * 2
    assert not data["next", "terminated"].any()


def test_gradients_reach_the_actions_before_a_reward() -> None:
    env, push = drift(), torch.full((2,), -0.2, requires_grad=True)
    data = env.unroll(3, lambda td: td.set("action", push.expand(3, 2)))
    assert (data.shape, data.names) == ((3, 3), [None, "time"])
    assert not data["next", "done"].any()
    data["next", "reward"].sum().backward()  # the k-th reward has k pushes in it
    place = data["next", "place"].detach()
    expected = (2 * place * 0.1 * torch.tensor([1.0, 2, 3]).view(1, 3, 1)).sum((0, 1))
    assert push.grad is not None
    torch.testing.assert_close(push.grad, expected)


def test_gradients_reach_a_network() -> None:
    network = torch.nn.Linear(2, 2)
    with torch.no_grad():
        network.weight.zero_()
    drift().unroll(3, network)["next", "reward"].sum().backward()
    assert network.weight.grad is not None
    assert (network.weight.grad != 0).any()


def test_a_graph_ends_where_an_episode_does() -> None:
    env, push = drift(1), torch.ones(2, requires_grad=True)
    data = env.unroll(30, lambda td: td.set("action", push.expand(1, 2)))
    ends = data["next", "done"][0, :, 0].nonzero().flatten().tolist()
    assert len(ends) > 1
    first = ends[0] + 1
    assert ((data["place"][0, first] >= 0) & (data["place"][0, first] < 1)).all()
    (found,) = torch.autograd.grad(data["next", "reward"][0, first], push)
    torch.testing.assert_close(found, 0.2 * data["next", "place"][0, first].detach())  # its own push alone
    assert torch.equal(data["next", "reward"].detach(), rollout_of_ones(drift(1))["next", "reward"])


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # what Brax itself calls in MuJoCo and JAX
def test_physics_are_stepped_and_felt() -> None:
    """A minute of compiling."""
    env = BraxEnv("inverted_pendulum", 2, backend="spring")
    env.set_seed(0)
    assert env.step_seconds == pytest.approx(0.02)
    push = torch.zeros(1, requires_grad=True)
    data = env.unroll(3, lambda td: td.set("action", push.expand(2, 1)))
    data["next", "observation"][..., 1].sum().backward()
    assert push.grad is not None
    assert push.grad.abs().item() > 0
    env.set_seed(0)
    again = env.rollout(3, lambda td: td.set("action", torch.zeros(2, 1)))
    assert torch.equal(data["next", "observation"].detach(), again["next", "observation"])


def test_presets_name_envs_that_there_are() -> None:
    presets = list((catalog.folder() / "env").glob("brax_*.yaml"))
    found = [yaml.safe_load(path.read_text())["backend"]["name"] for path in presets]
    assert "ant" in found
    assert set(found) <= set(BraxEnv.available_names())


def test_it_is_run_by_its_yaml(cli: Command) -> None:
    words = ("backend=brax", "backend.name=fast", "parallel.num_envs=4")
    assert "steps     20, 5 of each of 4 envs" in cli("rollout", *words, "max_steps=5").out
    assert "fast (backend=brax) x 4" in cli("spec", *words).out


def test_mistakes_are_explained() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'fast'"):
        BraxEnv("fats")
    with pytest.raises(ConfigError, match="inverted_pendulum cannot be made with backend: "):
        BraxEnv("inverted_pendulum", backend="steam")
    with pytest.raises(ConfigError, match="max_episode_steps: found -1"):
        BraxEnv("fast", max_episode_steps=-1)
    with pytest.raises(ConfigError, match="from_pixels: backend=brax renders no frames"):
        make_env("backend=brax", "backend.name=fast", "from_pixels=true")
    with pytest.raises(ConfigError, match="backend=brax takes no options, found low"):
        BraxEnv("fast").reset(low=1)
    with pytest.raises(ConfigError, match="expected no frame_skip, found 2"):
        drift(frame_skip=2).unroll(1)
    with pytest.raises(ValueError, match="steps must be at least 1"):
        drift().unroll(0)
    with pytest.raises(ActionError, match="action"):
        drift().unroll(1, lambda td: td.set("action", torch.full((3, 2), 2.0)))


@pytest.mark.skipif(any(device.platform != "cpu" for device in jax.devices()), reason="this JAX computes on a GPU")
def test_a_device_that_jax_has_not_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^device: found 'cuda', but torch|pip install 'jax\[cuda12\]'"):
        BraxEnv("fast", device="cuda")


# -- an env that exists -----------------------------------------------------------------------------------------------


def test_a_wrapper_is_the_env_by_its_name() -> None:
    by_name, wrapper = BraxEnv("fast", 2), BraxWrapper(brax.envs.get_environment("fast"), batch_size=[2])
    assert isinstance(by_name, BraxWrapper)
    assert (by_name.env_name, wrapper.env_name) == ("fast", "Fast")
    found = []
    for env in (by_name, wrapper):
        env.set_seed(3)
        found.append(rollout(env, 12))
    torch.testing.assert_close(*found, rtol=0, atol=0)
    assert "ant" in BraxWrapper.available_envs


def test_what_cannot_be_stepped_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^BraxWrapper: expected an env of Brax, .*Env, found builtins\.str$"):
        BraxWrapper("fast")
    hiding = brax.envs.create("fast")
    with pytest.raises(ConfigError, match=r"found AutoResetWrapper around the env, .* Give env\.unwrapped"):
        BraxWrapper(hiding)
    with pytest.raises(ConfigError, match="BraxEnv: found EpisodeWrapper"):
        BraxEnv(hiding.env)
    BraxWrapper(hiding.unwrapped)
    with pytest.raises(ConfigError, match="options: found backend, expected none: Drift is made already"):
        BraxEnv(Drift(), backend="spring")
