"""One env of a workload with gymnasium's own API, for contenders that step such envs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array, Unfit, refuse_transforms
from envcli.gym import ids

__all__ = ["GymTask", "gym_actions", "task_of"]

Env = gymnasium.Env[Any, Any]

_ALE_OPTIONS = {  # argument of our node -> argument of ALE/...-v5
    "obs_type": "obs_type",
    "repeat_action_probability": "repeat_action_probability",
    "full_action_space": "full_action_space",
    "max_num_frames_per_episode": "max_num_frames_per_episode",
}


@dataclass(frozen=True)
class GymTask:
    """Makes the env, also in workers, to which it is pickled."""

    name: str
    options: dict[str, Any]
    repeat: int | None = None
    from_pixels: bool = False
    pixels_only: bool = True

    def bare(self) -> Env:
        """A new env with the frame skip of the YAML, and with a render mode if the YAML asks for frames."""
        env = ids.make(self.name, self.options, from_pixels=self.from_pixels, frame_skip=self.repeat)
        if self.repeat in (None, 1) or "frameskip" in self.options:
            return env
        return _Repeated(env, self.repeat)

    def __call__(self) -> Env:
        """A new env as :meth:`bare`, with frames among the observations if the YAML asks for them."""
        env = self.bare()
        if self.from_pixels:
            from gymnasium.wrappers import AddRenderObservation

            env = AddRenderObservation(env, render_only=self.pixels_only, render_key="pixels", obs_key="state")
        return env


class _Repeated(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Repeats each action until the episode ends, and adds up the rewards."""

    def __init__(self, env: Env, repeat: int) -> None:
        super().__init__(env)
        self._repeat = repeat

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:  # Any: the env's own
        """What the last of the repeated steps returns, with the sum of rewards."""
        total: Any = 0.0
        for _ in range(self._repeat):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total = total + reward
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info


def task_of(work: Workload) -> GymTask:
    """The env that the workload's YAML describes. Raises `Unfit` if gymnasium has no such env."""
    refuse_transforms(work, "the peers that step gymnasium's own envs have no counterpart")
    node, cfg = work.backend, work.cfg
    repeat = cfg.get("frame_skip")
    if node.get("type") in ("gym", "gymnasium_vector", "mo_gym"):
        return GymTask(
            str(node["name"]),
            dict(node.get("options") or {}),
            repeat,
            bool(cfg.get("from_pixels")),
            bool(cfg.get("pixels_only", True)),
        )
    if node.get("type") == "ale":
        return _atari(node, repeat)
    if node.get("type") == "torch":
        return _classic(node, repeat)
    raise Unfit(f"gymnasium has no env of backend {node.get('type')!r}")


def _atari(node: dict[str, Any], repeat: int | None) -> GymTask:
    others = [
        name for name in ("max_pool", "noop_max", "episodic_life", "lives", "difficulty", "mode") if node.get(name)
    ]
    if others:
        raise Unfit(f"gymnasium's Atari envs have no {', '.join(others)}")
    from envcli.gym.atari import rom_of, title_of  # needs ale-py

    options = {theirs: node[ours] for ours, theirs in _ALE_OPTIONS.items() if ours in node}
    return GymTask(f"ALE/{title_of(rom_of(str(node['name'])))}-v5", {**options, "frameskip": repeat or 4})


def _classic(node: dict[str, Any], repeat: int | None) -> GymTask:
    """The env with the same name and the same equations."""
    if others := [name for name in ("options", "params") if node.get(name)]:
        raise Unfit(f"gymnasium's classic control has no {', '.join(others)}")
    if str(node["name"]) not in gymnasium.registry:
        raise Unfit(f"gymnasium has no {node['name']}")
    limit = node.get("max_episode_steps")
    return GymTask(str(node["name"]), {} if limit is None else {"max_episode_steps": limit or -1}, repeat)


def gym_actions(work: Workload, given: Array | None, space: gymnasium.Space[Any]) -> Array:
    """Actions ``[batch, time, *value]``: the given ones if they have the shape of ``space``, else drawn from it.

    Raises `Unfit` if one of the given actions is not in ``space``, because another env took it.
    """
    if given is not None and given.shape == (work.envs, work.steps, *(space.shape or ())):
        offset = np.asarray(getattr(space, "start", 0))
        numbers = (given + offset).astype(space.dtype) if offset.any() else given.astype(space.dtype)
        for action in (numbers.min((0, 1)), numbers.max((0, 1))):  # each number has its own bounds
            if not space.contains(action):
                raise Unfit(f"its actions differ: {space}, but the subject took {action}")
        return numbers
    space.seed(work.seed)
    drawn = [[space.sample() for _ in range(work.steps)] for _ in range(work.envs)]
    return np.asarray(drawn)
