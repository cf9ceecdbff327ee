"""ALE's own vector env: threads in C++."""

from __future__ import annotations

from typing import Any

import numpy as np

from envcli.bench.workload import Workload
from envcli.contenders.contender import Unfit, refuse_transforms
from envcli.contenders.vector_contender import VectorContender
from envcli.errors import MissingDependency

__all__ = ["ATARI", "AleVectorContender"]

ATARI = ("noop_reset_env", "gray_scale", "resize", "to_tensor_image", "cat_frames", "reward_clipping")
"""The types of the bundle ``transforms=atari``, which it does in C++."""


class AleVectorContender(VectorContender):
    """``ale_py.vector_env.AtariVectorEnv``, with as many threads as there are workers.

    The same: game, frame skip, sticky actions, max-pool, and what ``transforms=atari`` does: no-ops, gray, the size,
    the stack of frames, the clipped reward; an env is reset in the step that ends its episode; actions, if they can be
    known. Not the same: frames are gray by ALE's palette and shrunk by OpenCV's area mean, so pixels differ by a few of
    255; no-ops are counted in frames, not in steps; only the last observations are stored; it steps in a loop.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        node = work.backend
        if node.get("type") not in ("ale", "ale_vector"):
            raise Unfit("it plays Atari's games, straight on ALE: backend=ale or ale_vector")
        nodes = {found["type"]: found for found in work.transforms}
        refuse_transforms(work, "it has no counterpart of these", ATARI)
        if missing := [name for name in ("gray_scale", "resize", "cat_frames") if name not in nodes]:
            raise Unfit(f"it always does {', '.join(missing)}: compare it with transforms=atari")
        try:
            from ale_py.vector_env import AtariVectorEnv
            from gymnasium.vector import AutoresetMode
        except ModuleNotFoundError as error:
            raise MissingDependency("ale-py", "peers=[ale_vector]", "atari") from error
        from envcli.gym.atari import rom_of

        envs: Any = AtariVectorEnv(  # Any: its annotations change with its version
            rom_of(str(node["name"])),
            num_envs=work.envs,
            num_threads=work.workers,
            max_num_frames_per_episode=node.get("max_num_frames_per_episode") or 108_000,
            repeat_action_probability=float(node.get("repeat_action_probability", 0.25)),
            full_action_space=bool(node.get("full_action_space")),
            autoreset_mode=AutoresetMode.SAME_STEP,
            img_height=int(nodes["resize"]["h"]),
            img_width=int(nodes["resize"]["w"]),
            stack_num=int(nodes["cat_frames"]["N"]),
            frameskip=int(work.cfg.get("frame_skip") or 4),
            maxpool=bool(node.get("max_pool")),
            noop_max=int(nodes.get("noop_reset_env", {}).get("noops", 0)),
            episodic_life=bool(node.get("episodic_life")),
            reward_clipping="reward_clipping" in nodes,
            use_fire_reset=False,
        )
        envs.reset(seed=work.seed)
        space: Any = envs.single_action_space  # Any: a Discrete, which its annotations do not say
        given = self.given_actions()
        if given is None or given.shape != (work.envs, work.steps):
            given = np.random.default_rng(work.seed).integers(int(space.n), size=(work.envs, work.steps))
        self._take(envs, np.asfortranarray(given, dtype=np.int64))  # the actions of a step are contiguous
