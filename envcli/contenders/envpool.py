"""EnvPool: thread pools in C++."""

from __future__ import annotations

from typing import Any

from envcli.bench.workload import Workload
from envcli.contenders.ale_vector import ATARI
from envcli.contenders.contender import Unfit, refuse_transforms
from envcli.contenders.gym_task import gym_actions
from envcli.contenders.vector_contender import VectorContender
from envcli.errors import MissingDependency

__all__ = ["EnvpoolContender"]


class EnvpoolContender(VectorContender):
    """EnvPool's gymnasium interface, synchronous, with as many threads as there are workers.

    The same: task, number of envs and, where they can be known, actions; of Atari the preprocessing of
    ``transforms=atari``. Not the same: the simulators are EnvPool's own in C++ (CartPole is another program than
    gymnasium's), an episode that ends begins anew with a step of its own, which is counted, nothing is stored but the
    last observations, and it steps in a loop. Options of a backend, pixels and other transforms have no counterpart.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        task, options = _task(work)
        try:
            import envpool
        except ModuleNotFoundError as error:
            raise MissingDependency("envpool", "peers=[envpool]") from error
        if task not in envpool.list_all_envs():
            raise Unfit(f"it has no task {task}")
        envs: Any = envpool.make_gymnasium(  # Any: it is there for some only
            task, num_envs=work.envs, num_threads=work.workers, seed=work.seed % 2**31, **options
        )
        envs.reset()
        self._take(envs, gym_actions(work, self.given_actions(), envs.action_space))


def _task(work: Workload) -> tuple[str, dict[str, Any]]:
    node, cfg = work.backend, work.cfg
    if node.get("type") == "ale" or (node.get("type") == "envpool" and work.transforms):
        refuse_transforms(work, "it has no counterpart of these", ATARI)
        nodes = {found["type"]: found for found in work.transforms}
        if missing := [name for name in ("gray_scale", "resize", "cat_frames") if name not in nodes]:
            raise Unfit(f"it always does {', '.join(missing)}: compare it with transforms=atari")
        return f"{str(node['name']).removesuffix('-v5')}-v5", {
            "img_height": int(nodes["resize"]["h"]),
            "img_width": int(nodes["resize"]["w"]),
            "stack_num": int(nodes["cat_frames"]["N"]),
            "frame_skip": int(cfg.get("frame_skip") or 4),
            "noop_max": int(nodes.get("noop_reset_env", {}).get("noops", 1)),
            "repeat_action_probability": float(node.get("repeat_action_probability", 0.25)),
            "reward_clip": "reward_clipping" in nodes,
            "use_fire_reset": False,
        }
    refuse_transforms(work, "it has no counterpart of these")
    if cfg.get("from_pixels") or node.get("options") or cfg.get("frame_skip") not in (None, 1):
        raise Unfit("it has no pixels, options or frame skip of these tasks")
    if node.get("type") == "dm_control":
        return "".join(word.title() for word in str(node["name"]).replace("_", "-").split("-")) + "-v1", {}
    return str(node["name"]), {}
