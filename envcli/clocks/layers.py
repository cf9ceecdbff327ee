"""Puts clocks around the layers of envcli: from outside, in a process that is there to be measured and nothing else.

What a YAML describes is timed by its path there (``transforms.resize``); the rest as `envcli.clocks.parts` calls it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from envcli.backends.backend import Backend
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.share import Share
from envcli.chain import bound_chain
from envcli.clocks.meter import Meter, Reading
from envcli.clocks.parts import ACTIONS, BACKEND, LOOP, MEMORY, POLICY, POLICY_ROWS, ROOT, SIMULATOR, WAITING
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.envs.policy_rows import PolicyRows
from envcli.envs.random_actions import RandomActions
from envcli.envs.rollout import Rollout
from envcli.memory.buffer import RolloutBuffer
from envcli.rows.row_env import RowEnv
from envcli.rows.row_hooks import RowHooks
from envcli.transforms.image import ImageSequence, ImageTransform
from envcli.transforms.transform import Transform
from envcli.vocabulary import signature

__all__ = ["Layers", "TimedMaker"]

_NAME = "_timed_as"

Undo = tuple[Any, str, Any]  # a class, module or object, an attribute of it, and what it was


class Layers:
    """All layers of this process timed, and those of the workers that are built from here on."""

    _only: Layers | None = None  # of this process; a forked one has its parent's, clocks and all

    def __init__(self) -> None:
        self.meter = Meter()
        self.pid = 0  # whose envs have been asked to answer
        self._undo: list[Undo] = []
        self._batch: ParallelEnv | None = None
        Layers._only = self
        self.install()

    def install(self) -> None:
        """Put the clocks in; they are in from the beginning."""
        timed = self.meter.timed
        for owner, name, part in (
            (Rollout, "_carry", ROOT),
            (RandomActions, "draw", ACTIONS),
            (RandomActions, "draw_masked", ACTIONS),
            (PolicyRows, "write", POLICY_ROWS),
            (RowEnv, "_attach", MEMORY),
            (RowEnv, "_buffer", MEMORY),
            (RolloutBuffer, "compact", MEMORY),
            (RolloutBuffer, "tensordict", MEMORY),
        ):
            self._put(owner, name, timed(part, getattr(owner, name)))
        for name in ("autoreset_rows", "reset_row", "step_row"):
            self._put(Share, name, timed(LOOP, getattr(Share, name), spans=True))
        for name in ("_autoreset_rows", "_receive_row", "_reset_row", "_step_row"):
            self._put(ParallelEnv, name, timed(WAITING, getattr(ParallelEnv, name), spans=True))
        self._put(signature, "call", self._naming(signature.call))
        self._put(bound_chain, "row_hooks", self._timing_hooks(bound_chain.row_hooks))
        self._put(ImageSequence, "_rules", self._timing_rules(ImageSequence._rules))
        self._put(PolicyRows, "__init__", self._timing_policy(PolicyRows.__init__))

    @classmethod
    def of_this_process(cls) -> Layers:
        """The one there is, or a new one."""
        return cls() if cls._only is None else cls._only

    def _put(self, owner: Any, name: str, new: Any) -> None:  # Any: whatever has attributes
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, new)

    def remove(self) -> None:
        """Take the clocks out of the classes; single envs that were built meanwhile keep theirs."""
        while self._undo:
            owner, name, old = self._undo.pop()
            setattr(owner, name, old)

    def time_whole(self, function: Callable[[], None]) -> Callable[[], None]:
        """``function``, what nobody else takes of its time being that of the loop."""
        return self.meter.timed(LOOP, function)

    def clear(self) -> None:
        """Begin anew, in the workers too."""
        if self._batch is not None:
            self._batch.clear_clocks()
        self.meter.clear()

    def read(self) -> Reading:
        """``main``: the reading of this process; ``workers``: those of each worker."""
        main = self.meter.reading()
        found = [] if self._batch is None else self._batch.read_clocks()
        return {"main": main, "workers": [reading for reading in found if reading is not None]}

    # -- what a YAML describes ------------------------------------------------------------------------------------

    def _naming(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """``signature.call``, by which everything is built that a YAML describes."""

        def named(function: Callable[..., Any], node: Mapping[str, Any], where: str, **given: Any) -> Any:
            made = call(function, node, where, **given)
            if isinstance(made, Backend | EnvBase):
                self._time_backend(made)
            elif isinstance(made, Transform):
                self._time_transform(made, where)
            elif isinstance(made, ParallelEnv):
                made.create_env_fn = [TimedMaker(make) for make in made.create_env_fn]
                self._batch = made
                self.pid = os.getpid()  # what a local worker takes is in our own reading already
            return made

        return named

    def _time_backend(self, env: Backend | EnvBase) -> None:
        for name in ("_reset_row", "_step_row", "_step_rows", "_autoreset_rows"):
            setattr(env, name, self.meter.timed(BACKEND, getattr(env, name)))
        for owner, name, kind in env._native_calls():
            setattr(owner, name, self.meter.timed(SIMULATOR[kind], getattr(owner, name)))

    def _time_transform(self, transform: Transform, where: str) -> None:
        transform.__dict__[_NAME] = where
        if isinstance(transform, ImageTransform):  # several of them may be run as one, which calls these
            for name in ("_apply_transform", "_of_frame"):
                transform.__dict__[name] = self.meter.timed(where, getattr(transform, name))

    def _timing_hooks(self, row_hooks: Callable[..., tuple[RowHooks, Any]]) -> Callable[..., tuple[RowHooks, Any]]:
        """`envcli.chain.bound_chain.row_hooks`, which binds one transform."""

        def bound(transform: Transform, *args: Any) -> tuple[RowHooks, Any]:
            name = _name(transform)
            hooks, rows = row_hooks(transform, *args)
            return RowHooks(*(None if hook is None else self.meter.timed(name, hook) for hook in hooks)), rows

        return bound

    def _timing_rules(self, rules: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        """``ImageSequence._rules``: several transforms that are run as one, a rule each."""

        def timed(sequence: Any, *args: Any) -> list[Any]:
            return [
                self.meter.timed(_name(step), rule)
                for step, rule in zip(sequence._steps, rules(sequence, *args), strict=False)
            ]

        return timed

    def _timing_policy(self, init: Callable[..., None]) -> Callable[..., None]:
        def begin(rows: Any, *args: Any, **kwargs: Any) -> None:
            init(rows, *args, **kwargs)
            rows.policy = self.meter.timed(POLICY, rows.policy)

        return begin


class TimedMaker:
    """Makes envs whose layers are timed, in whatever process it is called."""

    def __init__(self, make: Callable[..., Env]) -> None:
        self._make = make

    def __call__(self, **kwargs: Any) -> Env:
        """The env; the first one of a process is asked for what the clocks of all of them say."""
        layers = Layers.of_this_process()
        is_first, layers.pid = layers.pid != os.getpid(), os.getpid()
        env = self._make(**kwargs)
        env.__dict__["clear_clocks"] = layers.meter.clear if is_first else _nothing
        env.__dict__["read_clocks"] = layers.meter.reading if is_first else _nothing
        return env


def _nothing() -> None:
    """What the other envs of a process say."""


def _name(transform: Transform) -> str:
    """Of several that are run as one, the last, which writes the row."""
    last = transform._steps[-1] if isinstance(transform, ImageSequence) else transform
    return str(getattr(last, _NAME, type(transform).__name__))
