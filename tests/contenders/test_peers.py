"""The others: each that is installed does a small piece of work, or says why not."""

from __future__ import annotations

from typing import Any

import pytest

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

CARTPOLE = {"type": "gym", "name": "CartPole-v1"}
PONG = {"type": "ale", "name": "Pong"}
SERIAL = {"type": "serial", "num_envs": 2}
ATARI = {
    "noop_reset_env": {"type": "noop_reset_env", "noops": 30},
    "gray_scale": {"type": "gray_scale"},
    "resize": {"type": "resize", "w": 84, "h": 84},
    "to_tensor_image": {"type": "to_tensor_image"},
    "cat_frames": {"type": "cat_frames", "N": 4},
    "reward_clipping": {"type": "reward_clipping"},
}


def done(cls: type[Contender], **cfg: Any) -> None:  # Any: what a YAML holds
    contender = cls(Workload({"backend": CARTPOLE, **cfg}, 30, 0))
    contender.run()
    contender.run()
    contender.close()


def test_gymnasium_sync() -> None:
    done(GymnasiumSyncContender, parallel=SERIAL)
    done(GymnasiumSyncContender, frame_skip=2, backend={"type": "gym", "name": "Pendulum-v1"})


def test_gymnasium_sync_plays_atari_as_our_backend_does() -> None:
    pytest.importorskip("ale_py")
    done(GymnasiumSyncContender, backend={**PONG, "obs_type": "grayscale"}, frame_skip=3)
    assert task_of(Workload({"backend": {"type": "ale", "name": "air_raid"}}, 1, 0)).name == "ALE/AirRaid-v5"
    with pytest.raises(Unfit, match="have no max_pool"):
        done(GymnasiumSyncContender, backend={**PONG, "max_pool": True})


def test_by_hand() -> None:
    done(ByHandContender)
    done(ByHandContender, backend={"type": "gym", "name": "Pendulum-v1"})
    with pytest.raises(Unfit, match="only gymnasium's own step"):
        done(ByHandContender, frame_skip=2)


def test_gymnasium_vector() -> None:
    done(GymnasiumVectorContender, parallel=SERIAL)
    with pytest.raises(Unfit, match="no vector env of its own for Pendulum-v1"):
        done(GymnasiumVectorContender, backend={"type": "gym", "name": "Pendulum-v1"})
    with pytest.raises(Unfit, match="no pixels and no frame skip"):
        done(GymnasiumVectorContender, frame_skip=2)


@pytest.mark.parametrize("cls", [GymnasiumSyncContender, Sb3Contender, EnvpoolContender])
def test_transforms_have_no_counterpart_there(cls: type[Contender]) -> None:
    with pytest.raises(Unfit, match="step_counter: "):
        done(cls, transforms={"counted": {"type": "step_counter"}})


def test_a_batch_of_different_envs_is_ours_alone() -> None:
    with pytest.raises(Unfit, match="no batches of different envs"):
        done(GymnasiumSyncContender, parallel=SERIAL, env_list=["cartpole", "pendulum"])


def test_ale_vector() -> None:
    pytest.importorskip("ale_py")
    done(AleVectorContender, backend=PONG, transforms=ATARI, parallel={"type": "processes", "num_envs": 2})
    with pytest.raises(Unfit, match="compare it with transforms=atari"):
        done(AleVectorContender, backend=PONG)
    with pytest.raises(Unfit, match="sign: "):
        done(AleVectorContender, backend=PONG, transforms={**ATARI, "sign": {"type": "sign"}})


@pytest.mark.filterwarnings("default")  # theirs to mend
def test_stable_baselines3() -> None:
    pytest.importorskip("stable_baselines3")
    done(Sb3Contender, parallel=SERIAL)


@pytest.mark.filterwarnings("default")  # theirs to mend
def test_torchrl() -> None:
    pytest.importorskip("torchrl")
    done(TorchrlContender, parallel=SERIAL, transforms={"count": {"type": "step_counter", "max_steps": None}})


@pytest.mark.filterwarnings("default")  # theirs to mend
@pytest.mark.parametrize("parallel", [{}, SERIAL])
def test_torchrl_collector(parallel: dict[str, Any]) -> None:
    pytest.importorskip("torchrl")
    done(TorchrlCollectorContender, parallel=parallel)


@pytest.mark.filterwarnings("default")  # theirs to mend
def test_envpool() -> None:
    pytest.importorskip("envpool")
    done(EnvpoolContender, parallel=SERIAL)
