"""Which entries the next row of the root begins with."""

from __future__ import annotations

import torch

from envcli.rows.carry_over import carried_over
from envcli.testing.toys import CountingEnv


def test_what_a_step_leads_to_and_what_stays() -> None:
    env = CountingEnv()
    buffer = env._buffer(2)
    buffer.add(("note",), torch.zeros(1))
    assert carried_over(env, buffer) == {
        ("observation",): ("next", "observation"),
        ("start",): ("next", "start"),
        ("note",): ("note",),
    }


def test_an_action_that_a_step_shows() -> None:
    env = CountingEnv()
    buffer = env._buffer(2)
    buffer.add(("next", "action"), torch.zeros(1))
    assert carried_over(env, buffer)["action",] == ("next", "action")
