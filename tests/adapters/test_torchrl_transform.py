"""Our transforms in TorchRL's replay buffers."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from tensordict import TensorDict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what it says of its own parts while it is imported
    pytest.importorskip("torchrl")
    import torchrl.envs as theirs
    from torchrl.data import LazyTensorStorage, TensorDictReplayBuffer

pytestmark = pytest.mark.filterwarnings("ignore")  # of theirs: this is their code

import envcli  # noqa: E402
from envcli import ConfigError  # noqa: E402


def steps(count: int = 6) -> TensorDict:
    done = torch.zeros(count, 1, dtype=torch.bool)
    done[-1] = True
    following = {"observation": torch.arange(1.0, count + 1).view(count, 1), "reward": torch.ones(count, 1)}
    following |= {"done": done, "terminated": done.clone()}
    root = {"observation": torch.arange(float(count)).view(count, 1), "next": following}
    return TensorDict(root, [count], names=["time"])


def kept(transform: Any) -> Any:
    buffer = TensorDictReplayBuffer(storage=LazyTensorStorage(10), batch_size=2, transform=transform)
    buffer.extend(steps())
    return buffer[:]


@pytest.mark.parametrize(
    "make",
    [
        lambda library: library.MultiStepTransform(n_steps=3, gamma=0.9),
        lambda library: library.Reward2GoTransform(gamma=0.9),
        lambda library: library.DoubleToFloat(),
    ],
)
def test_a_replay_buffer_holds_what_it_holds_with_theirs(make: Any) -> None:
    ours, other = kept(envcli.as_torchrl(make(envcli))), kept(make(theirs))
    assert len(ours) == len(other)
    for key in steps().keys(True, True):
        torch.testing.assert_close(ours[key], other[key])


def test_it_is_for_replay_buffers_alone() -> None:
    with pytest.raises(ConfigError, match=r"as_torchrl\(StepCounter\) is for replay buffers. For an env: "):
        theirs.TransformedEnv(theirs.GymEnv("CartPole-v1"), envcli.as_torchrl(envcli.StepCounter())).reset()
