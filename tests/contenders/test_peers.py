"""The others: each that is installed does a small piece of work, or says why not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.envs.classic_control import CartPoleEnv, PendulumEnv
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv

from envcli.bench.workload import Workload
from envcli.contenders.ale_vector import AleVectorContender
from envcli.contenders.by_hand import ByHandContender
from envcli.contenders.contender import Contender, Unfit
from envcli.contenders.envpool import EnvpoolContender
from envcli.contenders.gym_task import gym_actions, task_of
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
    "to_tensor_image": {"type": "to_tensor_image", "from_int": False, "dtype": "uint8"},
    "cat_frames": {"type": "cat_frames", "N": 4, "dim": -3},
    "reward_clipping": {"type": "reward_clipping", "clamp_min": -1, "clamp_max": 1},
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
    for name in ("air_raid", "airraid", "ALE/AirRaid-v5"):
        assert task_of(Workload({"backend": {"type": "ale", "name": name}}, 1, 0)).name == "ALE/AirRaid-v5"
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


@pytest.mark.filterwarnings("ignore")  # theirs to mend
def test_torchrl_plays_atari_with_the_same_transforms() -> None:
    pytest.importorskip("torchrl")
    try:
        import torchvision  # noqa: F401  (what its Resize calls)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision: {error}")
    theirs: Any = built(TorchrlContender, backend=PONG, transforms=ATARI)  # Any: its env
    pixels = theirs._env.reset()["pixels"]
    assert pixels.shape == (4, 84, 84)
    assert pixels.dtype == torch.uint8
    theirs.run()
    theirs.close()


@pytest.mark.filterwarnings("ignore")  # theirs to mend
def test_torchrl_plays_pettingzoos_games() -> None:
    pytest.importorskip("torchrl")
    pytest.importorskip("pettingzoo", reason="pettingzoo is not installed (extra pettingzoo)")
    node = {"type": "pettingzoo", "name": "tictactoe_v3", "parallel": False, "use_mask": True}
    theirs: Any = built(TorchrlContender, backend={**node, "group_map": "all_in_one_group"})  # Any: its env
    assert theirs._env.group_map == {"agents": ["player_1", "player_2"]}
    theirs.run()
    theirs.close()
    with pytest.raises(Unfit, match="neither pixels nor a frame skip"):
        built(TorchrlContender, backend=node, frame_skip=2)


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


def of_envpool(monkeypatch: pytest.MonkeyPatch, **cfg: Any) -> tuple[str, dict[str, Any]]:  # Any: see built
    """The task and the options that EnvPool is asked for."""
    envpool = pytest.importorskip("envpool")
    asked: list[tuple[str, dict[str, Any]]] = []
    make = envpool.make_gymnasium

    def listed(task: str, **options: Any) -> Any:  # Any: theirs
        asked.append((task, options))
        return make(task, **options)

    monkeypatch.setattr(envpool, "make_gymnasium", listed)
    built(EnvpoolContender, **cfg).close()
    ((task, options),) = asked
    return task, options


@pytest.mark.filterwarnings("default")  # theirs to mend
@pytest.mark.parametrize("name", ["Pong", "Pong-v5"])
def test_envpool_is_made_as_our_backend_makes_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"type": "envpool", "name": name, "options": {"episodic_life": True, "repeat_action_probability": 0.0}}
    task, options = of_envpool(monkeypatch, backend=node, frame_skip=2, parallel={"num_envs": 2})
    assert task == "Pong-v5"
    assert (options["gray_scale"], options["stack_num"], options["img_height"], options["frame_skip"]) == (0, 1, 210, 2)
    assert (options["episodic_life"], options["repeat_action_probability"]) == (True, 0.0)
    _, options = of_envpool(monkeypatch, backend=node, transforms=ATARI)
    assert (options["gray_scale"], options["stack_num"], options["noop_max"]) == (True, 4, 30)


@pytest.mark.filterwarnings("default")  # theirs to mend
def test_envpool_has_the_options_of_the_console(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {**PONG, "episodic_life": True, "full_action_space": True, "max_num_frames_per_episode": None}
    task, options = of_envpool(monkeypatch, backend=node, transforms=ATARI)
    assert (task, options["episodic_life"], options["full_action_space"]) == ("Pong-v5", True, True)
    assert (options["max_episode_steps"], options["img_height"], options["reward_clip"]) == (2**29, 84, True)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"backend": PONG}, "add transforms=atari"),
        ({"backend": {**PONG, "lives": True}, "transforms": ATARI}, "not compared with lives"),
        ({"backend": {"type": "brax", "name": "ant"}}, "no simulator of backend 'brax'"),
        ({"backend": {"type": "torch", "name": "CartPole-v1", "max_episode_steps": 9}}, "no max_episode_steps of"),
        ({"from_pixels": True}, "no pixels of these tasks"),
    ],
)
def test_envpool_refuses_other_work(cfg: dict[str, Any], message: str) -> None:
    with pytest.raises(Unfit, match=message):
        built(EnvpoolContender, **cfg)


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        ({"frame_skip": 2}, "no frame skip of CartPole-v1"),
        ({"backend": {"type": "gym", "name": "Nowhere-v1"}}, "no task Nowhere-v1"),
        ({"backend": {"type": "envpool", "name": "Pong"}, "transforms": {"g": {"type": "gray_scale"}}}, "or none"),
        ({"backend": {"type": "envpool", "name": "Pong", "options": {"lifes": 3}}}, "Pong-v5 cannot be made with"),
    ],
)
def test_envpool_refuses_what_it_cannot_do(cfg: dict[str, Any], message: str) -> None:
    pytest.importorskip("envpool")
    with pytest.raises(Unfit, match=message):
        built(EnvpoolContender, **cfg)


def test_all_given_actions_are_held_against_the_space() -> None:
    work = Workload({"backend": CARTPOLE}, 3, 0)
    assert gym_actions(work, np.array([[1, 0, 1]]), spaces.Discrete(2)).tolist() == [[1, 0, 1]]
    with pytest.raises(Unfit, match=r"its actions differ: Discrete\(2\), but the subject took 17"):
        gym_actions(work, np.array([[1, 0, 17]]), spaces.Discrete(2))
    assert gym_actions(work, None, spaces.Discrete(2)).shape == (1, 3)
