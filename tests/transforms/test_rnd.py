"""RNDTransform: a bonus for what was not seen before."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tensordict import TensorDict
from torch import nn

from envcli import make_env
from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.rnd import RNDTransform


def networks(size: int = 1) -> tuple[nn.Module, nn.Module]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(2):
        network = nn.Linear(size, 8)
        network.weight.data = torch.randn(8, size, generator=generator)
        network.bias.data = torch.randn(8, generator=generator)
        made.append(network)
    return made[0], made[1]


class TestSingle(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv(), RNDTransform(*networks())).eval()


class TestBatch(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([2, 5], [2]), RNDTransform(*networks()))


def test_the_formula() -> None:
    target, predictor = networks()
    env = TransformedEnv(CountingEnv(), RNDTransform(target, predictor, normalize_obs=False, normalize_reward=False))
    data = env.rollout(4)
    shown = data["next", "observation"]
    expected = (predictor(shown) - target(shown)).square().mean(-1, keepdim=True)
    torch.testing.assert_close(data["next", "intrinsic_reward"], expected.detach())
    assert "intrinsic_reward" not in data, "a reset pays nothing"
    assert env.reward_keys == ["reward", "intrinsic_reward"]


def test_observations_and_bonus_are_normalised_by_what_was_seen() -> None:
    target, predictor = networks()
    rnd = RNDTransform(target, predictor, obs_clip=1.0, reward_clip=2.0)
    seen, bonuses = [], []
    for row in torch.arange(12.0).view(4, 3, 1).exp():
        seen.append(row)
        every = torch.cat(seen)
        normed = ((row - every.mean(0)) / every.std(0, correction=0)).clamp(-1, 1)
        bonuses.append((predictor(normed) - target(normed)).square().mean(-1, keepdim=True))
        expected = (bonuses[-1] / torch.cat(bonuses).std(correction=0)).clamp(-2, 2)
        found = rnd(TensorDict({"next": {"observation": row}}, [3]))["next", "intrinsic_reward"]
        torch.testing.assert_close(found, expected.detach(), rtol=1e-3, atol=1e-3)  # statistics begin with a count
    assert rnd.obs_rms is not None
    assert rnd.reward_rms is not None
    assert rnd.obs_rms.count.item() == pytest.approx(12, abs=1e-3)


def test_nothing_is_learnt_in_eval() -> None:
    env = TransformedEnv(CountingEnv(), rnd := RNDTransform(*networks()))
    env.rollout(3)
    env.eval()
    before = copy.deepcopy(rnd.state_dict())
    env.rollout(3)
    assert all(torch.equal(before[name], value) for name, value in rnd.state_dict().items())


def test_the_target_is_frozen_and_the_predictor_is_trained_by_others() -> None:
    rnd = RNDTransform(*networks())
    assert not any(parameter.requires_grad for parameter in rnd.target_network.parameters())
    assert all(parameter.requires_grad for parameter in rnd.predictor_network.parameters())
    env = TransformedEnv(CountingEnv(), rnd)
    assert not env.rand_step(env.reset())["next", "intrinsic_reward"].requires_grad


def test_every_pixel_has_a_mean() -> None:
    rnd = RNDTransform(*(nn.Sequential(nn.Flatten(), network) for network in networks(3 * 4 * 4)), in_keys=["pixels"])
    rnd(TensorDict({"pixels": torch.randint(256, (5, 3, 4, 4), dtype=torch.uint8)}, [5]))
    assert rnd.obs_rms is not None
    assert rnd.obs_rms.mean.shape == (3, 4, 4)


def test_it_is_saved_and_loaded_before_the_first_step() -> None:
    rnd = RNDTransform(*networks())
    TransformedEnv(CountingEnv(), rnd).rollout(3)
    again = RNDTransform(*networks())
    again.load_state_dict(rnd.state_dict())
    assert again.obs_rms is not None
    shown = TensorDict({"observation": torch.ones(2, 1)}, [2])
    assert torch.equal(again.eval()(shown.clone())["intrinsic_reward"], rnd.eval()(shown)["intrinsic_reward"])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_saved_networks_from_yaml(tmp_path: Path) -> None:
    paths = []
    for name, network in zip(("target", "predictor"), networks(4), strict=True):
        paths.append(tmp_path / f"{name}.pt")
        torch.jit.script(network).save(str(paths[-1]))  # type: ignore[no-untyped-call]
    words = [f"transforms.rnd.{path.stem}_network={path}" for path in paths]
    with make_env("env=cartpole", "transforms=rnd", *words) as env:
        assert env.rollout(3)["next", "intrinsic_reward"].shape == (3, 1)


@pytest.mark.parametrize("keys", [{"in_keys": ["a", "b"]}, {"out_keys": []}])
def test_one_key_each(keys: dict[str, list[str]]) -> None:
    with pytest.raises(ConfigError, match="RNDTransform: expected one key each"):
        RNDTransform(*networks(), **keys)


def test_what_does_not_fit() -> None:
    with pytest.raises(TransformError, match=r"RNDTransform: the networks do not take \[1\]: "):
        TransformedEnv(CountingEnv(), RNDTransform(*networks(3)))
    with pytest.raises(TransformError, match="pixels"):
        TransformedEnv(CountingEnv(), RNDTransform(*networks(), in_keys=["pixels"]))
    with pytest.raises(ConfigError, match="target_network: no file"):
        RNDTransform("none.pt", "none.pt")


def test_the_numbers_are_those_of_torchrl() -> None:
    theirs = pytest.importorskip("torchrl.envs.transforms", reason="torchrl is not installed (extra peers)")
    ours, other = RNDTransform(*networks(3)), theirs.RNDTransform(*networks(3))
    for _ in range(5):
        shown = torch.randn(4, 3)
        expected = other._step(TensorDict({}, [4]), TensorDict({"observation": shown}, [4]))["intrinsic_reward"]
        found = ours(TensorDict({"observation": shown}, [4]))["intrinsic_reward"]
        torch.testing.assert_close(found, expected)
    assert ours.state_dict().keys() == other.state_dict().keys()
