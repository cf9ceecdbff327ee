from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from envcli.bench.workload import Unfit, Workload
from envcli.contenders.native_processes import NativeProcessesContender


def work(envs: int, name: str = "CartPole-v1", kind: str = "gym") -> Workload:
    parallel = {"type": "processes", "num_envs": envs, "num_workers": 2}
    return Workload({"backend": {"type": kind, "name": name}, "parallel": parallel, "allow_imports": True}, 50, 3)


def test_each_process_makes_the_steps_of_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counting.py").write_text(
        "import os, gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "class Counting(CartPoleEnv):\n"
        "    def step(self, action):\n"
        f"        with open(f'{tmp_path}/{{os.getpid()}}', 'a') as file: file.write('.')\n"
        "        return super().step(action)\n"
        "gymnasium.register('Counting-v0', Counting)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    contender = NativeProcessesContender(work(5, "counting:Counting-v0"))
    assert contender.env_steps == 250
    contender.run()
    contender.run()
    contender.close()
    made = sorted(path.stat().st_size for path in tmp_path.iterdir() if path.name.isdigit())
    assert made == [200, 300], "two passes of 2 and of 3 envs"
    assert not multiprocessing.active_children()


def test_what_has_no_bare_loop_is_left_out_and_leaves_nothing_behind() -> None:
    with pytest.raises(Unfit, match="no bare loop exists for backend 'brax'"):
        NativeProcessesContender(work(2, kind="brax"))
    assert not multiprocessing.active_children()
