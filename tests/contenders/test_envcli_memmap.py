from __future__ import annotations

from pathlib import Path

import envcli
from envcli.bench.workload import Workload
from envcli.contenders.envcli_memmap import EnvcliMemmapContender


def test_each_pass_leaves_a_rollout_in_files_until_the_next() -> None:
    work = Workload({"backend": {"type": "gym", "name": "CartPole-v1"}}, 30, 5)
    contender = EnvcliMemmapContender(work)
    contender.run()
    contender.run()
    folder: Path = contender._folder
    assert envcli.load_rollout(folder / "rollout")["action"].shape == (30, 2)
    actions = contender.actions()
    assert actions is not None
    assert actions.shape == (1, 30)
    contender.close()
    assert not folder.exists()
