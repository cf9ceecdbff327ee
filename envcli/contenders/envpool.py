"""EnvPool: thread pools in C++."""

from __future__ import annotations

from typing import Any

from envcli.bench.workload import Workload
from envcli.contenders.ale_vector import ATARI
from envcli.contenders.contender import Unfit, refuse_transforms
from envcli.contenders.gym_task import gym_actions
from envcli.contenders.vector_contender import VectorContender
from envcli.errors import MissingDependency, UnknownName
from envcli.vocabulary import registry

__all__ = ["EnvpoolContender"]

Options = dict[str, Any]  # Any: arguments of a foreign constructor

_GAMES = ("ale", "ale_vector")
_OTHERS = ("gym", "gymnasium_vector", "torch", "dm_control")
_ALE_OPTIONS = ("repeat_action_probability", "full_action_space", "episodic_life", "difficulty", "mode")
_FOREVER = 2**31 - 1  # frames


class EnvpoolContender(VectorContender):
    """EnvPool's gymnasium interface, synchronous, with as many threads as there are workers.

    The same: task, number of envs and, where they can be known, actions; of Atari the console's options and the
    preprocessing of ``transforms=atari``; of ``backend=envpool`` all options. Not the same: the simulators are its
    own, in C++ (CartPole is another program than gymnasium's), frames of Atari are the larger value of a step's last
    two, an episode that ends begins anew with a step of its own, which is counted, nothing is stored but the last
    observations, and it steps in a loop. Options of other backends, pixels and other transforms have no counterpart.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        node = _node(work)
        try:
            import envpool
        except ModuleNotFoundError as error:
            raise MissingDependency("envpool", "peers=[envpool]", "envpool") from error
        task, options = _task(work, node)
        try:
            envs: Any = envpool.make_gymnasium(  # Any: it is there for some only
                task, num_envs=work.envs, num_threads=work.workers, seed=work.seed % 2**31, **options
            )
        except (TypeError, ValueError, AssertionError) as error:
            raise Unfit(f"{task} cannot be made with {', '.join(options)}: {error}") from error
        envs.reset()
        self._take(envs, gym_actions(work, self.given_actions(), envs.action_space))


def _node(work: Workload) -> dict[str, Any]:  # Any: what a YAML holds
    """What ``backend=envpool`` would say of the same work, but for the transforms."""
    node, kind = work.backend, work.backend.get("type")
    if kind in ("envpool", *_GAMES):
        refuse_transforms(work, "it has no counterpart of these", ATARI)
        return node if kind == "envpool" else _game(work)
    refuse_transforms(work, "it has no counterpart of these")
    if kind not in _OTHERS:
        raise Unfit(f"it has no simulator of backend {kind!r}")
    said = [name for name in ("options", "params", "max_episode_steps") if node.get(name) not in (None, {}, [])]
    if said or work.cfg.get("from_pixels"):
        raise Unfit(f"it has no {', '.join(said) or 'pixels'} of these tasks")
    return {"name": node["name"]}


def _game(work: Workload) -> dict[str, Any]:  # Any: see above
    node, nodes = work.backend, {found["type"] for found in work.transforms}
    if missing := [name for name in ("gray_scale", "resize", "cat_frames") if name not in nodes]:
        raise Unfit(f"it is not compared without {', '.join(missing)}: add transforms=atari")
    if others := [name for name in ("lives", "screen_size", "stack", "reward_clipping") if node.get(name)]:
        raise Unfit(f"it is not compared with {', '.join(others)}: leave that out, and use transforms=atari")
    options = {name: node[name] for name in _ALE_OPTIONS if node.get(name) is not None}
    if node.get("noop_max"):
        options["noop_max"] = node["noop_max"]
    frames = node.get("max_num_frames_per_episode") or _FOREVER
    options["max_episode_steps"] = -(-frames // int(work.cfg.get("frame_skip") or 4))
    return {"name": node["name"], "options": options}


def _task(work: Workload, node: dict[str, Any]) -> tuple[str, Options]:  # Any: see above
    """What `envcli.backends.envpool` makes its engine of, which does the transforms."""
    engine, name = registry.find("backends", "envpool"), str(node["name"])
    transforms = {str(i): found for i, found in enumerate(work.transforms)}
    node, left = engine.absorb({**node, "native_transforms": True}, transforms)
    if left:
        raise Unfit(f"{', '.join(found['type'] for found in left.values())}: it does all of transforms=atari, or none")
    repeat = work.cfg.get("frame_skip")
    try:
        task, options = engine.engine_of(name, repeat, **node["options"])
    except UnknownName as error:
        raise Unfit(f"it has no task {name}") from error
    if repeat not in (None, 1, options.get("frame_skip")):
        raise Unfit(f"it has no frame skip of {task}")
    return task, options
