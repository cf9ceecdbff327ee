"""ActionChunkTransform: the actions to come."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from envcli.chain.transformed_env import TransformedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, TransformError
from envcli.testing import EnvContract
from envcli.testing.toys import CountingEnv
from envcli.transforms.action_chunk import ActionChunkTransform


class TestItDoesNothingInAnEnv(EnvContract):
    def make_env(self) -> Env:
        return TransformedEnv(CountingEnv([3, 5], [2]), ActionChunkTransform(4))


def counted(*lead: int, steps: int = 5, size: int = 2) -> torch.Tensor:
    """``[*lead, steps, size]``: every action says which one it is."""
    return torch.arange(torch.Size([*lead, steps, size]).numel()).view(*lead, steps, size).float()


def test_a_rollout_is_cut_at_the_ends_of_episodes() -> None:
    rollout = CountingEnv([2, 9], [2]).rollout(5, break_when_any_done=False)
    found = ActionChunkTransform(3, chunk_key="chunk", pad_key="pad")(rollout.clone())
    cut = [[0, 1, 1], [1, 1, 1], [2, 3, 3], [3, 3, 3], [4, 4, 4]]
    steps = [cut, [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 4], [4, 4, 4]]]
    for env in (0, 1):
        assert torch.equal(found["chunk"][env], rollout["action"][env][torch.tensor(steps[env])])
    assert found["pad"].sum(-1).tolist() == [[1, 2, 1, 2, 2], [0, 0, 0, 1, 2]]
    assert found["pad"].shape == (2, 5, 3)


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_the_action_says_where_time_is(lead: tuple[int, ...]) -> None:
    actions = counted(*lead)
    for batch in (torch.Size(lead), torch.Size([*lead, 5])):
        found = ActionChunkTransform(2)(TensorDict({"action": actions}, batch))
        chunk = found["vla_action", "chunk"]
        assert chunk.shape == (*lead, 5, 2, 2)
        assert torch.equal(chunk[..., 0, :], actions)
        assert torch.equal(chunk[..., :-1, 1, :], actions[..., 1:, :])
        assert torch.equal(found["action_is_pad"][..., 1], torch.arange(5).eq(4).expand(*lead, 5))


def test_flags_may_be_ignored_or_be_without_a_dimension() -> None:
    done = torch.tensor([False, True, False, False, False])
    data = TensorDict({"move": counted(), "next": {"over": done}})
    keys = {"action_key": "move", "chunk_key": "c", "pad_key": "p"}
    ends = ActionChunkTransform(2, **keys, done_key="over")(data.clone())
    assert ends["p"].int().tolist() == [[0, 0], [0, 1], [0, 0], [0, 0], [0, 1]]
    ignored = ActionChunkTransform(2, **keys, done_key=None, time_dim=0)(data.clone())
    assert ignored["p"].sum() == 1


def test_misuse_is_named() -> None:
    with pytest.raises(ConfigError, match="chunk_size: expected at least 1 action, found 0"):
        ActionChunkTransform(0)
    with pytest.raises(TransformError, match=r"no 'action', found \['a'\]"):
        ActionChunkTransform(2)(TensorDict({"a": counted()}))
    tolerant = ActionChunkTransform(2)
    tolerant.set_missing_tolerance(True)
    assert "action_is_pad" not in tolerant(TensorDict({"a": counted()}))
    with pytest.raises(TransformError, match=r"expected the action .* n\], found \[5, 2\] with time_dim=-1"):
        ActionChunkTransform(2, time_dim=-1)(TensorDict({"action": counted()}))
    wide = TensorDict({"action": counted(), "next": {"done": torch.zeros(5, 2)}})
    with pytest.raises(TransformError, match=r"\('next', 'done'\) is \[5, 2\], expected \[5, 1\]"):
        ActionChunkTransform(2)(wide)
