from __future__ import annotations

import torch

from envcli.testing.toys import CountingEnv


def test_how_many_rows_are_drawn_at_a_time_is_not_seen() -> None:
    env = CountingEnv(9, batch_size=[2**14])
    torch.manual_seed(0)
    data = env.rollout(40, break_when_any_done=False)  # 16 rows at a time
    torch.manual_seed(0)
    assert torch.equal(data["action"], env.action_spec.rand([40]).transpose(0, 1))
