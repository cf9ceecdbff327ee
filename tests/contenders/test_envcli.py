from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tensordict import TensorDictBase

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender
from envcli.contenders.envcli import EnvcliContender
from envcli.contenders.envcli_step import EnvcliStepContender
from envcli.specs import OneHot
from envcli.testing.toys import CountingEnv

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


GAME = {"type": "gym", "name": "ALE/Pong-v5"}
SKIP = {"skip": {"type": "frame_skip", "frame_skip": 3}}


@pytest.mark.parametrize(
    ("cfg", "frames"),
    [
        ({"backend": CARTPOLE, "parallel": SERIAL}, 1),
        ({"backend": CARTPOLE, "parallel": SERIAL, "frame_skip": 2, "transforms": SKIP}, 6),
        ({"backend": GAME}, 4),
        ({"backend": {**GAME, "options": {"frameskip": 3}}}, 3),
        ({"backend": {"type": "gym", "name": "Pong-v4"}, "transforms": SKIP}, None),  # which draws how often
        ({"backend": GAME, "frame_skip": 2}, 2),
        ({"backend": {**GAME, "type": "gymnasium_vector", "vectorization_mode": "sync"}}, 4),
        ({"backend": {"type": "ale", "name": "Pong"}}, 4),
        ({"backend": {"type": "ale_vector", "name": "Pong"}, "frame_skip": 2}, 2),
        ({"backend": {"type": "envpool", "name": "Pong"}}, 4),
        ({"backend": {"type": "envpool", "name": "CartPole-v1"}, "frame_skip": 2}, 2),
    ],
)
@pytest.mark.parametrize("cls", [EnvcliContender, EnvcliStepContender])
def test_it_says_how_many_frames_a_step_takes(cls: type[Contender], cfg: dict[str, Any], frames: int | None) -> None:
    if cfg["backend"] != CARTPOLE:
        pytest.importorskip("ale_py")
    if cfg["backend"]["type"] == "envpool":
        pytest.importorskip("envpool")
    ours = cls(Workload(cfg, 2, 5))
    assert ours.frames_per_step == frames
    ours.close()


class Pairs(CountingEnv):
    """A batch by itself, of choices that are bool."""

    def __init__(self) -> None:
        super().__init__([3, 4], [2])
        self.action_spec = OneHot(3, (2, 3), dtype=torch.bool)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        taken = tensordict["action"].float().argmax(-1, keepdim=True)
        return super()._step(tensordict.empty().set("action", taken.float()))


@pytest.mark.parametrize("cls", [EnvcliContender, EnvcliStepContender])
@pytest.mark.parametrize("parallel", [{}, SERIAL])
def test_an_env_of_ones_own_may_be_a_batch_by_itself(cls: type[Contender], parallel: dict[str, Any]) -> None:
    cfg = {"backend": {"type": "custom", "name": f"{__name__}:Pairs"}, "parallel": parallel, "allow_imports": True}
    ours = cls(Workload(cfg, 20, 5))
    assert ours.envs == (6 if parallel else 2)
    assert ours.env_steps == 20 * ours.envs
    actions = ours.actions()
    assert actions is not None
    assert set(np.unique(actions)) == {0, 1, 2}
    ours.run()
    ours.close()
