"""The simulator's own loop, the lower bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from envcli.bench.workload import Workload
from envcli.contenders.contender import Array, Contender, Unfit
from envcli.contenders.open_spiel_loop import open_spiel_loop
from envcli.contenders.vmas_loop import vmas_loop
from envcli.contenders.zoo_loops import pettingzoo_loop
from envcli.dm.library import missing_dm_control
from envcli.errors import MissingDependency

__all__ = ["NativeContender"]

Loop = tuple[Callable[[], None], Callable[[], None]]
"""One pass, and what closes the simulator."""


class NativeContender(Contender):
    """The bare loop of the simulator, on one core: gymnasium's step, PettingZoo's, dm_control's suite, ALE's act.

    The same: the env and its options, frame skip, pixels if the YAML asks for them, and, if they can be known, the
    actions of the subject's first env, in the form that the simulator takes. Not the same: nothing is stored or
    checked, no action is drawn, there are no transforms, and only the first env of a batch runs. So no wrapper on one
    core can be faster, except by skipping gymnasium's own layers, as ours does. For backend torch it is gymnasium's env
    of the same name, whose equations are the same. VMAS steps all its envs, with actions of its own.
    OpenSpiel's actions are drawn from what is legal.
    """

    def __init__(self, work: Workload) -> None:
        super().__init__(work)
        loops = {
            "ale": ale_loop,
            "dm_control": dm_control_loop,
            "gym": gymnasium_loop,
            "mo_gym": gymnasium_loop,
            "open_spiel": open_spiel_loop,
            "pettingzoo": pettingzoo_loop,
            "torch": gymnasium_loop,
            "vmas": vmas_loop,
        }
        kind = str(work.backend.get("type"))
        if kind not in loops:
            raise Unfit(f"no bare loop exists for backend {kind!r}")
        self._pass, self._close = loops[kind](work, self.given_actions())

    @property
    def env_steps(self) -> int:
        """The steps of one env, or of those that the simulator steps together."""
        return self.work.steps * (self.work.envs if self.work.backend.get("type") == "vmas" else 1)

    def run(self) -> None:
        """The loop."""
        self._pass()

    def close(self) -> None:
        """Close the simulator."""
        self._close()


def gymnasium_loop(work: Workload, given: Array | None) -> Loop:
    """``gymnasium.Env.step``; with pixels, ``render`` after each step and reset."""
    from envcli.contenders.gym_task import gym_actions, task_of

    bare = Workload({**work.cfg, "transforms": {}, "outer_transforms": {}}, work.steps, work.seed)
    task = task_of(bare)
    env = task.bare()
    numbers = gym_actions(work, given, env.action_space)[0]
    actions = numbers.tolist() if numbers.ndim == 1 and numbers.dtype.kind == "i" else list(numbers)
    env.reset(seed=work.seed)
    step, reset, render = env.step, env.reset, env.render

    def run() -> None:
        over = True
        for action in actions:
            if over:
                reset()
            _, _, terminated, truncated, _ = step(action)
            over = terminated or truncated

    def run_with_frames() -> None:
        over = True
        for action in actions:
            if over:
                reset()
                render()
            _, _, terminated, truncated, _ = step(action)
            render()
            over = terminated or truncated

    return (run_with_frames if task.from_pixels else run), env.close


def dm_control_loop(work: Workload, given: Array | None) -> Loop:
    """``dm_env.Environment.step`` of the suite's task; with pixels, ``physics.render``."""
    try:
        from envcli.dm import suite
        from envcli.dm.camera import PhysicsCamera, release
    except ModuleNotFoundError as error:
        raise missing_dm_control("native") from error
    node, pixels = work.backend, bool(work.cfg.get("from_pixels"))
    domain, _, task = str(node["name"]).partition("-")
    options = {"random": work.seed, **(node.get("options") or {})}
    env = suite.load(domain, task, options, pixels, visualize_reward=bool(node.get("visualize_reward")))
    spec, shape = env.action_spec(), (work.steps, *env.action_spec().shape)
    if given is None or given[0].shape != shape:
        low, high = np.maximum(spec.minimum, -1e6), np.minimum(spec.maximum, 1e6)
        given = np.random.default_rng(work.seed).uniform(low, high, (1, *shape))
    actions, repeat, step, reset = list(given[0]), int(work.cfg.get("frame_skip") or 1), env.step, env.reset
    size = {"height": 240, "width": 320}
    if node.get("pixel_size"):
        size = dict(zip(("height", "width"), node["pixel_size"], strict=True))
    camera = {**size, "camera_id": node.get("camera_id", 0)}
    if pixels:
        aimed = PhysicsCamera(camera["camera_id"], None, node.get("render_quality", "full"), size)
        aimed.aim(env, domain)  # it sets the quality

    def run() -> None:
        over = True
        for action in actions:
            if over:
                reset()
            over = step(action).last()

    def run_the_rest() -> None:
        over = True
        for action in actions:
            if over:
                reset()
                if pixels:
                    env.physics.render(**camera)
            for _ in range(repeat):
                if over := step(action).last():
                    break
            if pixels:
                env.physics.render(**camera)

    return (run_the_rest if pixels or repeat > 1 else run), lambda: release(env)


def ale_loop(work: Workload, given: Array | None) -> Loop:
    """``ALEInterface.act``, which skips frames by itself; the screen, or RAM, is read into the same memory."""
    try:
        import ale_py
        from ale_py import roms
    except ModuleNotFoundError as error:
        raise MissingDependency("ale-py", "native", "atari") from error
    from envcli.gym.atari import rom_of

    node = work.backend
    if others := [name for name in ("max_pool", "noop_max", "episodic_life", "difficulty", "mode") if node.get(name)]:
        raise Unfit(f"ALE's bare loop has no {', '.join(others)}")
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", work.seed % 2**31)
    ale.setInt("frame_skip", int(work.cfg.get("frame_skip") or 4))
    ale.setInt("max_num_frames_per_episode", node.get("max_num_frames_per_episode") or 0)
    ale.setFloat("repeat_action_probability", float(node.get("repeat_action_probability", 0.25)))
    ale.loadROM(str(roms.get_rom_path(rom_of(str(node["name"])))))
    legal = ale.getLegalActionSet() if node.get("full_action_space") else ale.getMinimalActionSet()
    numbers = given[0] if given is not None else np.random.default_rng(work.seed).integers(len(legal), size=work.steps)
    actions = [legal[i] for i in numbers.tolist()]
    read = _screen(ale, str(node.get("obs_type", "rgb")))
    act, over = ale.act, ale.game_over

    def run() -> None:
        ale.reset_game()
        read()
        for action in actions:
            act(action)
            read()
            if over():
                ale.reset_game()
                read()

    return run, lambda: None


def _screen(ale: Any, kind: str) -> Callable[[], None]:  # Any: whatever version of ale_py.ALEInterface is installed
    height, width = ale.getScreenDims()
    shape = {"rgb": (height, width, 3), "grayscale": (height, width), "ram": (ale.getRAMSize(),)}[kind]
    memory = np.zeros(shape, dtype=np.uint8)
    read = {"rgb": ale.getScreenRGB, "grayscale": ale.getScreenGrayscale, "ram": ale.getRAM}[kind]
    return lambda: read(memory)
