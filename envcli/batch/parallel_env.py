"""Many envs in several processes."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from envcli.batch.batched_env import BatchedEnv
from envcli.batch.crew import Crew
from envcli.batch.line import LEAD, PAUSE, RESET, STEP
from envcli.batch.patience import Patience
from envcli.batch.process import METHODS
from envcli.buffer import Array, Place, RolloutBuffer
from envcli.env import Env
from envcli.errors import ConfigError, EnvcliError, EnvError, SpecError
from envcli.keys import Key
from envcli.shared_memory import Mapped, SharedMemory, mapped

__all__ = ["ParallelEnv"]

Maker = Callable[..., Env]
Kwargs = Mapping[str, Any]


class ParallelEnv(BatchedEnv):
    """Envs that run in ``num_workers`` processes, each with an equal share of them.

    The workers write into the rollout's own memory; what goes between the processes is a few numbers, one message for
    a whole stretch of rows where the actions are known beforehand, one for each step otherwise. The same seed gives the
    same bits for any number of workers, any way of starting them, and for :class:`SerialEnv`; unless the envs draw
    from a generator that is not their own, or share something (:class:`EnvCreator`).

    Makers are sent by value: lambdas and functions of the main script are fine, and a script needs no ``__main__``
    guard. TorchRL calls the number of envs ``num_workers``, which is understood where ``num_envs`` is not given.

    Args:
        num_envs, create_env_fn, create_env_kwargs, device: see :class:`BatchedEnv`.
        num_workers: processes; None: as many as this process may use cores, at most one for each env.
        start_method: ``"forkserver"`` (from a process that has torch and nothing else), ``"spawn"`` (a fresh
            interpreter) or ``"fork"`` (of this process: deadlocks where a GL context or a thread pool is in use).
        step_timeout: seconds that a worker may take for a step or a reset without any progress; 0: no limit.
        start_timeout: the same for building an env.
        close_timeout: seconds that all envs together have to close.

    Raises:
        ConfigError: an argument is out of range.
        EnvError: from any call: an env failed, or its worker died or hung; says which env, doing what. All workers are
            gone then, and the batch can be started anew.
    """

    _leads = True
    _crew: Crew | None = None
    _masks: dict[str, Array] = {}  # noqa: RUF012  # replaced at the start
    _mask_memory: SharedMemory | None = None
    _single = 0  # steps by which each step moves on what a row stands for: 1 where there is one row alone

    def __init__(
        self,
        num_envs: int | None = None,
        create_env_fn: Maker | Sequence[Maker] | None = None,
        create_env_kwargs: Kwargs | Sequence[Kwargs] | None = None,
        *,
        num_workers: int | None = None,
        start_method: str = "forkserver",
        device: torch.device | str | None = None,
        step_timeout: float = 60,
        start_timeout: float = 60,
        close_timeout: float = 5,
    ) -> None:
        if num_envs is None:
            num_envs, num_workers = num_workers, None
        super().__init__(num_envs, create_env_fn, create_env_kwargs, device=device)  # type: ignore[arg-type]  # it says so
        if num_workers is not None and num_workers < 1:
            raise ConfigError(f"num_workers: found {num_workers}, expected a whole number of at least 1.")
        if start_method not in METHODS:
            raise ConfigError(f"start_method: found {start_method!r}, expected one of {', '.join(METHODS)}.")
        self.num_workers = min(num_workers or _cores(), self.num_envs)
        self.start_method = start_method
        for name, seconds in (("step", step_timeout), ("start", start_timeout), ("close", close_timeout)):
            if not seconds >= 0:
                raise ConfigError(f"{name}_timeout: found {seconds}, expected seconds, or 0 for no limit.")
        self._patience = Patience(start_timeout, step_timeout, close_timeout)

    # -- from nothing to envs and back ----------------------------------------------------------------------------

    def _start(self) -> None:
        makers = self._makers()
        bounds = [self.num_envs * i // self.num_workers for i in range(self.num_workers + 1)]
        shares = [range(start, stop) for start, stop in itertools.pairwise(bounds)]
        self._crew = crew = Crew(shares, self.start_method, self._patience)
        self._at_exit = weakref.finalize(self, crew.abandon)
        found = crew.ask("build", lambda envs: ([makers[i] for i in envs],))
        self._describe_as({i: outline for outlines in found for i, outline in outlines.items()})
        self._mask_memory = memory = SharedMemory()  # others map it as long as this lives
        names = ("reset", "pause")
        masks = {name: memory((name,), tuple(self.batch_size), torch.bool) for name in names}
        self._masks = {name: mask.numpy() for name, mask in masks.items()}
        self._mapped_masks = {name: mapped(mask) for name, mask in masks.items()}

    def _close(self) -> None:
        crew, self._crew = self._crew, None
        if crew is not None:
            self._at_exit.detach()
            self._masks.clear()
            self._mask_memory = None
            crew.close()

    def _at_work(self) -> Crew:
        if self._crew is None:
            raise EnvError("the workers are gone")
        return self._crew

    def _do(self, method: str, *args: Any, **options: Any) -> Any:
        """Have the crew do something. If it does not survive that, be closed."""
        crew = self._at_work()
        try:
            return getattr(crew, method)(*args, **options)
        except BaseException as error:
            if not isinstance(error, EnvcliError):  # a Ctrl-C, most of all
                crew.interrupt()
            if crew.ended:
                self.close()
            raise

    def __getstate__(self) -> dict[str, Any]:
        if not self.is_closed:
            raise EnvError("a ParallelEnv that has been started cannot be pickled or copied. Call close() first")
        return super().__getstate__()

    # -- rows -----------------------------------------------------------------------------------------------------

    def _place(self) -> Place:
        return SharedMemory()

    def _bind(self, buffer: RolloutBuffer) -> None:
        if self._crew is None:  # closed while a rollout was under way: there is nobody to bind
            return
        rows: dict[Key, Mapped] = {}
        for path in self._row_layout():
            source = mapped(buffer[path])
            if source is None:
                raise SpecError(
                    f"the buffer: {'.'.join(path)} is in memory of this process alone, which the workers cannot reach. "
                    "Leave out= away, or use a recorder's buffer, or place=envcli.SharedMemory()"
                )
            rows[path] = source
        self._crew.offset = 0
        self._single = int(buffer.steps == 1)
        self._do("ask", "bind", lambda _: (buffer.steps, rows, self._mapped_masks))

    def _reset_row(self, t: int, where: Array | None) -> None:
        given = self._given(where)
        special = given is not None or bool(self._reset_options)
        if special:
            options = self._reset_options
            self._do("ask", "give", lambda envs: (options, given and given[envs.start : envs.stop]))
        if where is None:
            self._at_work().offset = 0
        else:
            self._masks["reset"][...] = where
        try:
            self._do("order", RESET, t, some=where is not None)
        finally:
            if special and self._crew is not None:
                self._do("ask", "give", lambda _: ({}, None))

    def _step_row(self, t: int) -> None:
        self._do("order", STEP, t)
        self._at_work().offset += self._single

    def _send_row(self, t: int) -> None:
        self._do("post", STEP, t)

    def _receive_row(self, t: int) -> None:
        self._do("wait")
        self._at_work().offset += self._single

    def _lead_rows(self, start: int, stop: int, onward: bool) -> None:
        self._do("order", LEAD, start, stop, onward)

    def _pause(self, where: Array | None) -> None:
        if where is None and self._crew is None:  # closed while a rollout was under way: nobody waits any more
            return
        if where is not None:
            self._masks["pause"][...] = where
        self._do("order", PAUSE, some=where is not None)

    # -- all envs at once -----------------------------------------------------------------------------------------

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        self._at_work().seeded(seeds)
        self._do("ask", "set_seeds", lambda envs: (seeds[envs.start : envs.stop],))

    def _get(self, name: str) -> list[Any]:
        return [value for found in self._do("ask", "get", lambda _: (name,)) for value in found]

    def _call(self, name: str, args: Sequence[Any], kwargs: Kwargs) -> list[Any]:
        return [value for found in self._do("ask", "call", lambda _: (name, args, kwargs)) for value in found]

    def _load_state_dicts(self, states: Sequence[Any]) -> None:
        self._do("ask", "load", lambda envs: (states[envs.start : envs.stop],))


def _cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
