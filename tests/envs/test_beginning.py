from __future__ import annotations

import torch
from tensordict import TensorDict

from envcli.envs.beginning import load_row, reset_mask
from envcli.memory.buffer import RolloutBuffer
from envcli.testing.toys import CountingEnv


def test_reset_mask() -> None:
    env = CountingEnv(batch_size=[2])
    assert reset_mask(env, TensorDict({})) is None
    assert reset_mask(env, TensorDict({"_reset": torch.ones(2, 1, dtype=torch.bool)})) is None, "all of them"
    mask = reset_mask(env, TensorDict({"_reset": torch.tensor([[False], [True]])}))
    assert mask is not None
    assert mask.tolist() == [False, True]


def test_load_row_leaves_what_is_missing() -> None:
    layout = {("a",): (torch.Size([1]), torch.float32), ("b",): (torch.Size([1]), torch.float32)}
    buffer = RolloutBuffer.allocate(layout, 2, torch.Size([]))
    buffer["b",][1] = 5
    load_row(buffer, 1, TensorDict({"a": torch.tensor([3.0]), "c": torch.zeros(1)}), list(buffer))
    assert (buffer["a",].squeeze(-1).tolist(), buffer["b",].squeeze(-1).tolist()) == ([0, 3], [0, 5])
