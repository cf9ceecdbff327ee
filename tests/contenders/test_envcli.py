from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender
from envcli.contenders.envcli import EnvcliContender
from envcli.contenders.envcli_step import EnvcliStepContender

CARTPOLE = {"type": "gym", "name": "CartPole-v1"}
SERIAL = {"type": "serial", "num_envs": 3}


@pytest.mark.parametrize("cls", [EnvcliContender, EnvcliStepContender])
@pytest.mark.parametrize("parallel", [{}, SERIAL])
def test_it_says_the_actions_it_takes(cls: type[Contender], parallel: dict[str, Any]) -> None:
    ours: Any = cls(Workload({"backend": CARTPOLE, "parallel": parallel}, 20, 5))  # Any: for its env
    envs = 3 if parallel else 1
    actions = ours.actions()
    assert actions.shape == (envs, 20)
    assert set(np.unique(actions)) == {0, 1}
    assert ours.env_steps == 20 * envs
    kept, rollout = [], ours._env.rollout
    ours._env.rollout = lambda *args, **kwargs: kept.append(rollout(*args, **kwargs))
    ours.run()
    ours.run()
    for data in kept:
        taken = data["action"].argmax(-1).numpy()
        assert np.array_equal(taken if parallel else taken[None], actions)
    ours.close()


def test_both_make_the_same_rollouts() -> None:
    found = []
    for cls in (EnvcliContender, EnvcliStepContender):
        ours: Any = cls(Workload({"backend": CARTPOLE, "parallel": SERIAL}, 50, 5))  # Any: for its env
        ours.actions()
        ours._env.set_seed(5)
        rollout = ours._env.rollout
        ours._env.rollout = lambda *args, rollout=rollout, **kwargs: found.append(rollout(*args, **kwargs))
        ours.run()
        ours.close()
    assert (found[0] == found[1]).all()
