"""TorchRL, which is imported only here and in the file of its collector, when it takes part."""

from __future__ import annotations

from functools import partial
from typing import Any

from envcli.bench.workload import Workload
from envcli.contenders.contender import Contender, Unfit
from envcli.errors import MissingDependency
from envcli.transforms.image import ImageTransform
from envcli.transforms.to_tensor_image import ToTensorImage
from envcli.vocabulary import registry, signature

__all__ = ["TorchrlContender"]


class TorchrlContender(Contender):
    """TorchRL, built from the same YAML: its env, alone or in a ``SerialEnv`` or ``ParallelEnv``, with its transforms.

    The same: env (by ``GymEnv``, ``DMControlEnv`` or ``PettingZooWrapper``), options, frame skip, pixels, transforms by
    their names and arguments (inner ones in the workers, outer ones in the main process), everything stored; a pass is
    one ``env.rollout`` of random actions. Not the same: it draws actions of its own, in each step; ``ParallelEnv`` has
    a process for each env, whatever ``num_workers`` says; Atari goes through gymnasium's ``ALE/...-v5``; its other
    transforms of images take channels first only, so ``ToTensorImage`` comes before them. A transform that it lacks, or
    builds otherwise, leaves it out.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        try:
            import torch
            import torchrl.envs
        except ModuleNotFoundError as error:
            raise MissingDependency("torchrl", "peers=[torchrl]", "peers") from error
        make = partial(_one, work)
        make().close()  # what it cannot build is reported here, not by a worker
        batches = {"serial": torchrl.envs.SerialEnv, "processes": torchrl.envs.ParallelEnv}
        env: Any = make() if work.kind == "none" else batches[work.kind](work.envs, make)  # Any: see above
        self._env = _transformed(env, work, "outer_transforms")
        torch.manual_seed(work.seed)
        self._env.set_seed(work.seed)
        self._env.reset()

    def run(self) -> None:
        """One rollout."""
        self._env.rollout(self.work.steps, break_when_any_done=False)

    def close(self) -> None:
        """Close the envs, and with them their processes."""
        self._env.close()


def _one(work: Workload) -> Any:  # Any: of a library that is there for some only
    """One env with the inner transforms; pickled to workers by its name."""
    from torchrl.envs import DMControlEnv, GymEnv, MOGymEnv

    node, cfg = work.backend, work.cfg
    common = {name: cfg[name] for name in ("from_pixels", "pixels_only") if cfg.get("from_pixels")}
    common["frame_skip"] = int(cfg.get("frame_skip") or 1)
    if node["type"] == "dm_control":
        domain, _, task = str(node["name"]).partition("-")
        env = DMControlEnv(domain, task, **common, **(node.get("options") or {}))
    elif node["type"] == "ale":
        import ale_py
        import gymnasium

        from envcli.contenders.gym_task import task_of

        gymnasium.register_envs(ale_py)
        task_of_game = task_of(Workload({**cfg, "transforms": {}, "outer_transforms": {}}, work.steps, work.seed))
        env = GymEnv(task_of_game.name, **task_of_game.options)
    elif node["type"] in ("gym", "mo_gym"):
        categorical = bool(node.get("categorical_action_encoding"))
        named = GymEnv if node["type"] == "gym" else MOGymEnv
        env = named(node["name"], categorical_action_encoding=categorical, **common, **(node.get("options") or {}))
    elif node["type"] == "pettingzoo":
        env = _zoo(work)
    else:
        raise Unfit(f"it has no backend {node['type']!r}")
    return _transformed(env, work, "transforms")


def _zoo(work: Workload) -> Any:  # Any: see _one
    """Made from our list of tasks: theirs is empty unless all families can be imported."""
    from torchrl.envs import MarlGroupMapType, PettingZooWrapper

    from envcli.zoo import tasks

    node = work.backend
    if work.cfg.get("from_pixels") or work.cfg.get("frame_skip"):
        raise Unfit("its PettingZooWrapper has neither pixels nor a frame skip")
    native = tasks.make(str(node["name"]), bool(node.get("parallel", True)), dict(node.get("options") or {}))
    names = ("return_state", "group_map", "use_mask", "categorical_actions", "done_on_any")
    given = {name: node[name] for name in names if node.get(name) is not None}
    if isinstance(given.get("group_map"), str):
        given["group_map"] = MarlGroupMapType[given["group_map"].upper()]
    return PettingZooWrapper(native, **given)


def _transformed(env: Any, work: Workload, place: str) -> Any:  # Any: see _one
    import torchrl.envs.transforms as theirs

    nodes = [node for node in (work.cfg.get(place) or {}).values() if node]
    if not nodes:
        return env
    chain = []
    for ours, node in _channels_first([(registry.find("transforms", node["type"]), node) for node in nodes]):
        cls = getattr(theirs, ours.__name__, None)
        if cls is None:
            raise Unfit(f"it has no {ours.__name__}")
        try:
            chain.append(cls(**_said(ours, node)))
        except (TypeError, ValueError, ImportError) as error:
            raise Unfit(f"its {ours.__name__} cannot be built like ours: {' '.join(str(error).split())}") from error
    return theirs.TransformedEnv(env, theirs.Compose(*chain))


def _channels_first(chain: list[tuple[type[Any], dict[str, Any]]]) -> list[tuple[type[Any], dict[str, Any]]]:
    """The chain with its ``ToTensorImage`` before all other transforms of images."""
    images = [place for place, (cls, _) in enumerate(chain) if issubclass(cls, ImageTransform)]
    turns = [place for place in images if chain[place][0] is ToTensorImage]
    if turns:
        chain.insert(images[0], chain.pop(turns[0]))
    return chain


def _said(ours: type[Any], node: dict[str, Any]) -> dict[str, Any]:
    """The keys of a node that are not defaults, which are the same in both libraries."""
    import torch

    taken = signature.arguments(ours)
    given = {name: value for name, value in node.items() if name in taken and value != taken[name].default}
    return {name: getattr(torch, value) if name.startswith("dtype") else value for name, value in given.items()}
