"""The others: each that is installed does a small piece of work, or says why not."""

from __future__ import annotations

from typing import Any

import pytest
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from envcli.bench.workload import Workload
from envcli.contenders.ale_vector import AleVectorContender
from envcli.contenders.by_hand import ByHandContender
from envcli.contenders.contender import Contender, Unfit
from envcli.contenders.envpool import EnvpoolContender
from envcli.contenders.gym_task import task_of
from envcli.contenders.gymnasium_sync import GymnasiumSyncContender
from envcli.contenders.gymnasium_vector import GymnasiumVectorContender
from envcli.contenders.sb3 import Sb3Contender
from envcli.contenders.torchrl import TorchrlContender
from envcli.contenders.torchrl_collector import TorchrlCollectorContender
from tests.contenders.conftest import Calls

CARTPOLE = {"type": "gym", "name": "CartPole-v1"}
PENDULUM = {"type": "gym", "name": "Pendulum-v1"}
PONG = {"type": "ale", "name": "Pong"}
SERIAL = {"type": "serial", "num_envs": 2}
STEPS = 30
ATARI = {
    "noop_reset_env": {"type": "noop_reset_env", "noops": 30},
    "gray_scale": {"type": "gray_scale"},
    "resize": {"type": "resize", "w": 84, "h": 84},
    "to_tensor_image": {"type": "to_tensor_image"},
    "cat_frames": {"type": "cat_frames", "N": 4},
    "reward_clipping": {"type": "reward_clipping"},
}


def built(cls: type[Contender], **cfg: Any) -> Contender:  # Any: what a YAML holds
    return cls(Workload({"backend": CARTPOLE, **cfg}, STEPS, 0))


def assert_runs(contender: Contender, steps: list[Any], envs: int = 1, repeat: int = 1, together: int = 1) -> None:
    """Each pass makes all steps of all envs; ``together`` of them are one of ``steps``, the simulator's calls."""
    assert contender.env_steps == STEPS * envs
    for _ in range(2):
        steps.clear()
        contender.run()
        assert len(steps) * together == STEPS * envs * repeat
    contender.close()


def test_gymnasium_sync(calls: Calls) -> None:
    assert_runs(built(GymnasiumSyncContender, parallel=SERIAL), calls(CartPoleEnv), envs=2)
    assert_runs(built(GymnasiumSyncContender, backend=PENDULUM, frame_skip=2), calls(PendulumEnv), repeat=2)


def test_gymnasium_sync_plays_atari_as_our_backend_does(calls: Calls) -> None:
    ale_py = pytest.importorskip("ale_py")
    acts = calls(ale_py.ALEInterface, "act")
    assert_runs(built(GymnasiumSyncContender, backend={**PONG, "obs_type": "grayscale"}, frame_skip=3), acts, repeat=3)
    assert task_of(Workload({"backend": {"type": "ale", "name": "air_raid"}}, 1, 0)).name == "ALE/AirRaid-v5"
    with pytest.raises(Unfit, match="have no max_pool"):
        built(GymnasiumSyncContender, backend={**PONG, "max_pool": True})


def test_by_hand(calls: Calls) -> None:
    assert_runs(built(ByHandContender), calls(CartPoleEnv))
    assert_runs(built(ByHandContender, backend=PENDULUM), calls(PendulumEnv))
    with pytest.raises(Unfit, match="only gymnasium's own step"):
        built(ByHandContender, frame_skip=2)


def test_gymnasium_vector(calls: Calls) -> None:
    assert_runs(built(GymnasiumVectorContender, parallel=SERIAL), calls(CartPoleVectorEnv), envs=2, together=2)
    with pytest.raises(Unfit, match="no vector env of its own for Pendulum-v1"):
        built(GymnasiumVectorContender, backend=PENDULUM)
    with pytest.raises(Unfit, match="no pixels and no frame skip"):
        built(GymnasiumVectorContender, frame_skip=2)


@pytest.mark.parametrize("cls", [GymnasiumSyncContender, Sb3Contender, EnvpoolContender])
def test_transforms_have_no_counterpart_there(cls: type[Contender]) -> None:
    with pytest.raises(Unfit, match="step_counter: "):
        built(cls, transforms={"counted": {"type": "step_counter"}})


def test_a_batch_of_different_envs_is_ours_alone() -> None:
    with pytest.raises(Unfit, match="no batches of different envs"):
        built(GymnasiumSyncContender, parallel=SERIAL, env_list=["cartpole", "pendulum"])


def test_ale_vector(calls: Calls) -> None:
    vector_env = pytest.importorskip("ale_py.vector_env")
    many = {"type": "processes", "num_envs": 2}
    ours = built(AleVectorContender, backend=PONG, transforms=ATARI, parallel=many)
    assert_runs(ours, calls(vector_env.AtariVectorEnv), envs=2, together=2)
    with pytest.raises(Unfit, match="compare it with transforms=atari"):
        built(AleVectorContender, backend=PONG)
    with pytest.raises(Unfit, match="sign: "):
        built(AleVectorContender, backend=PONG, transforms={**ATARI, "sign": {"type": "sign"}})


@pytest.mark.filterwarnings("default")  # theirs to mend
def test_stable_baselines3(calls: Calls) -> None:
    pytest.importorskip("stable_baselines3")
    assert_runs(built(Sb3Contender, parallel=SERIAL), calls(CartPoleEnv), envs=2)


@pytest.mark.filterwarnings("default")  # theirs to mend
def test_torchrl(calls: Calls) -> None:
    pytest.importorskip("torchrl")
    counted = {"count": {"type": "step_counter", "max_steps": None}}
    assert_runs(built(TorchrlContender, parallel=SERIAL, transforms=counted), calls(CartPoleEnv), envs=2)


@pytest.mark.filterwarnings("default")  # theirs to mend
@pytest.mark.parametrize("parallel", [{}, SERIAL])
def test_torchrl_collector(parallel: dict[str, Any], calls: Calls) -> None:
    pytest.importorskip("torchrl")
    assert_runs(built(TorchrlCollectorContender, parallel=parallel), calls(CartPoleEnv), envs=2 if parallel else 1)


@pytest.mark.filterwarnings("default")  # theirs to mend
def test_envpool(calls: Calls) -> None:
    pytest.importorskip("envpool")
    ours: Any = built(EnvpoolContender, parallel=SERIAL)  # Any: for its envs, of a class that is made for the task
    assert_runs(ours, calls(type(ours._envs)), envs=2, together=2)
