"""Many envs in several processes."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import Any

import torch

from envcli.batch.batched_env import OF_TORCHRL, Kwargs, Maker
from envcli.batch.channel import AUTORESET, PAUSE, RESET, STEP
from envcli.batch.mixed_pool import MixedPool
from envcli.batch.process import METHODS
from envcli.batch.remote_batched_env import RemoteBatchedEnv
from envcli.batch.restarting_pool import RestartingPool
from envcli.batch.worker_pool import WorkerPool
from envcli.errors import ConfigError, EnvcliError, EnvError, SpecError
from envcli.keys import Key
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.mapped import KEPT, Mapped, mapped
from envcli.memory.shared_memory import SharedMemory
from envcli.memory.spare_memory import SpareMemory
from envcli.memory.spare_shared import SpareShared
from envcli.processes import cores
from envcli.vocabulary.schema import whole

__all__ = ["ParallelEnv"]


class ParallelEnv(RemoteBatchedEnv):
    """Envs that run in ``num_workers`` processes, each with an equal share of them.

    The workers write into the rollout's own memory; what goes between the processes is a few numbers, one message for
    a whole stretch of rows where the actions are known beforehand, one for each step otherwise. The same seed gives the
    same bits for any number of workers, any way of starting them, and for :class:`SerialEnv`; unless the envs draw
    from a generator that is not their own, or share something (:class:`EnvCreator`).

    Makers are sent by value: lambdas and functions of the main script are fine, and a script needs no ``__main__``
    guard.

    TorchRL has a process for each env, and calls their number ``num_workers``. Here envs are ``num_envs`` and processes
    ``num_workers``, as an argument and as an attribute: read ``env.num_envs`` where a program of TorchRL's reads
    ``env.num_workers``. As an argument it is understood as TorchRL means it where ``num_envs`` is not given.

    Args:
        num_envs, create_env_fn, create_env_kwargs, device: see :class:`BatchedEnv`.
        num_workers: processes; None: as many as this process may use cores, at most one for each env.
        local_worker: this process is one of them, and steps a share of the envs itself while the others step theirs.
            Where a step is short and cores are few, steps that a policy acts in take a quarter less time. But nobody
            watches over those envs: one that hangs, hangs the program, and one that dies takes it along.
        start_method: ``"forkserver"`` (from a process that has torch and nothing else), ``"spawn"`` (a fresh
            interpreter) or ``"fork"`` (of this process: deadlocks where a GL context or a thread pool is in use); None:
            ``"forkserver"``.
        mp_start_method: the same, by TorchRL's name.
        step_timeout: seconds that a worker may take for a step or a reset without any progress; 0 or inf: no limit.
        start_timeout: the same for building an env.
        close_timeout: seconds that all envs together have to close.
        on_worker_death: ``"raise"``; or ``"restart"``: a worker that dies, or hangs, is replaced by a new one with new
            envs, and those of the other workers go on as if nothing had happened. The step in which the worker was lost
            is written for each of its envs as one in which nothing moved and nothing was earned, with ``truncated``,
            ``done`` and a flag of its own, ``restarted`` (beside each ``truncated``); a new episode follows, and the
            rows before stay. Nothing is marked where the next thing was a reset. The new envs are seeded from the same
            chain, farther on, so that two runs that lose the same worker in the same step are the same. What else the
            envs had learnt (a ``VecNorm`` without :class:`EnvCreator`) begins anew from the last ``load_state_dict``;
            what was done to them by calling their methods is not repeated. An exception in an env is raised as ever,
            and so is the loss of a worker in the making, or for the second time before its envs have made a row.
            ``restarts`` says what happened, one line each.
        pin_memory, share_individual_td, shared_memory, memmap, policy_proof, allow_step_when_done, num_threads,
            num_sub_threads, serial_for_single, non_blocking, use_buffers, metadata_from_workers, consolidate, daemon,
            shutdown_timeout: TorchRL's, taken for its sake. They change nothing: workers always write into the
            rollout's own memory, compute with one thread each, and are gone with this process; and ``close_timeout``
            is how long they have for that.

    Raises:
        ConfigError: an argument is out of range.
        SpecError: from the start: ``"restart"`` with envs that have no ``truncated`` flag.
        EnvError: from any call: an env failed, or its worker died or hung; says which env, doing what. All workers are
            gone then, those that were well have closed their envs, and the batch can be started anew. Or the process is
            a fork of the one that started the workers, or another thread is using the batch: they are as before.
    """

    without_effect = OF_TORCHRL  # of a YAML they are refused: see `envcli.vocabulary.signature.call`
    _autoresets = True
    _pool: WorkerPool | MixedPool | None = None
    _mask_memory: SharedMemory | None = None

    def __init__(
        self,
        num_envs: int | None = None,
        create_env_fn: Maker | Sequence[Maker] | None = None,
        create_env_kwargs: Kwargs | Sequence[Kwargs] | None = None,
        *,
        num_workers: int | None = None,
        local_worker: bool = False,
        start_method: str | None = None,
        mp_start_method: str | None = None,
        device: torch.device | str | None = None,
        step_timeout: float = 60,
        start_timeout: float = 60,
        close_timeout: float = 5,
        on_worker_death: str = "raise",
        pin_memory: bool = False,
        share_individual_td: bool | None = None,
        shared_memory: bool = True,
        memmap: bool = False,
        policy_proof: object = None,
        allow_step_when_done: bool = False,
        num_threads: int | None = None,
        num_sub_threads: int = 1,
        serial_for_single: bool = False,
        non_blocking: bool = False,
        use_buffers: bool | None = None,
        metadata_from_workers: bool = False,
        consolidate: bool = True,
        daemon: bool = False,
        shutdown_timeout: float | None = None,
    ) -> None:
        if num_envs is None:
            num_envs, num_workers = num_workers, None
        super().__init__(
            num_envs,  # type: ignore[arg-type]  # it says so
            create_env_fn,  # type: ignore[arg-type]
            create_env_kwargs,
            device=device,
            step_timeout=step_timeout,
            start_timeout=start_timeout,
            close_timeout=close_timeout,
            on_worker_death=on_worker_death,
        )
        self.start_method = _start_method(start_method, mp_start_method)
        self.num_workers = _worker_count(num_workers, self.num_envs, local_worker)
        self.local_worker = local_worker
        self._masks: dict[str, Array] = {}  # made at the start
        self._spare = SpareShared()
        self._untold: Any = None  # the rows that the workers are to be bound to next, and what to tell them
        self._told: Any = None  # what they were told
        self._held = 0  # bytes of that
        self._thread = 0  # that uses the pool at the moment; 0: none

    # -- from nothing to envs and back ----------------------------------------------------------------------------

    def _start(self) -> None:
        makers = self._makers()
        self.restarts = []
        lasts = self._lasts
        pool = self._new_pool(self._shares(self.num_workers))
        self._pool = pool
        self._at_exit = weakref.finalize(self, pool.abandon)
        found = pool.ask("build", lambda envs: ([makers[i] for i in envs], lasts))
        self._describe_as({i: summary for summaries in found for i, summary in summaries.items()})
        self._mask_memory = memory = SharedMemory()  # others map it as long as this lives
        names = ("reset", "pause")
        masks = {name: memory((name,), tuple(self.batch_size), torch.bool) for name in names}
        self._masks = {name: mask.numpy() for name, mask in masks.items()}
        self._mapped_masks = {name: mapped(mask) for name, mask in masks.items()}

    def _new_pool(self, shares: Sequence[range]) -> WorkerPool | MixedPool:
        ours, theirs = (shares[:1], shares[1:]) if self.local_worker else ([], shares)
        if self._lasts:
            pool: WorkerPool = RestartingPool(theirs, self.start_method, self._timeouts, self.restarts)
        else:
            pool = WorkerPool(theirs, self.start_method, self._timeouts, self._first)
        return MixedPool(pool, ours[0]) if ours else pool

    def _close(self) -> None:
        pool, self._pool, self._is_awaited = self._pool, None, False
        self._spare, self._untold, self._told, self._held = SpareShared(), None, None, 0
        if pool is not None:
            self._at_exit.detach()
            self._masks.clear()
            self._mask_memory = None
            pool.close()

    def _kill(self) -> None:
        """Have what another thread is waiting for fail."""
        if isinstance(self._pool, WorkerPool):
            self._pool.kill()

    def _at_work(self) -> WorkerPool | MixedPool:
        if self._pool is None:
            raise EnvError("the workers are gone")
        self._pool.require_own()
        return self._pool

    def _require_rest(self) -> None:
        if self._pool is not None:
            self._pool.require_own()
        super()._require_rest()

    def _do(self, method: str, *args: Any, **options: Any) -> Any:
        """Have the pool do something. If it does not survive that, be closed."""
        pool, thread = self._at_work(), threading.get_ident()
        if self._thread not in (0, thread):
            raise EnvError(f"{method}: another thread is using this batch. Give each a batch of its own, or take turns")
        self._thread = thread
        try:
            return getattr(pool, method)(*args, **options)
        except BaseException as error:
            if not isinstance(error, EnvcliError):  # a Ctrl-C, most of all
                pool.interrupt()
            if pool.ended:
                self.close()
            raise
        finally:
            self._thread = 0

    # -- rows -----------------------------------------------------------------------------------------------------

    @property
    def _row_memory(self) -> SpareMemory:
        return self._spare

    def _bind(self, buffer: RolloutBuffer) -> None:
        if self._pool is None:  # closed while a rollout was under way: there is nobody to bind
            return
        rows: dict[Key, Mapped] = {}
        for path in self._row_layout():
            source = mapped(buffer[path])
            if source is None:
                raise SpecError(
                    f"the buffer: {'.'.join(path)} is in private memory of this process, which the workers cannot "
                    "reach. Omit out=, or use a recorder's buffer, or place=envcli.SharedMemory()"
                )
            rows[path] = source
        flags = self._restart_flags()
        restarted = {path: rows.pop(path) for path in list(rows) if path in flags and path[0] == "next"}
        for path in flags & set(rows):
            del rows[path]
        self._pool.offset = 0
        self._untold = buffer, (buffer.steps, rows, restarted)
        if self._lasts or self._held > KEPT:
            self._tell()

    def _tell(self) -> None:
        """Have the workers bind the rows of ``_bind``, unless they are bound to the same.

        That takes a millisecond, and is put off until there is something to do: a rollout often lives where the one
        before it did, and between the two the env is bound to other rows. Large memory is let go of at once.
        """
        if self._untold is None:
            return
        buffer, rows = self._untold
        if rows != self._told:
            _, shown, restarted = rows
            self._told = None  # nobody knows, until they have answered: a Ctrl-C may come in between
            # by way of the buffer: its memory must still be there when a new worker is told the same
            self._do("ask", "bind", lambda _: (buffer.steps, shown, self._mapped_masks, restarted))
            self._told, self._held = rows, buffer.nbytes
        self._untold = None

    def _order(self, method: str, *args: Any, **options: Any) -> None:
        self._tell()
        self._do(method, *args, **options)

    def _reset_row(self, t: int, where: Array | None) -> None:
        if where is None:
            self._at_work().offset = 0
        else:
            self._masks["reset"][...] = where
            if self._lasts:  # a new worker is told who waits
                self._masks["pause"] &= ~where
        self._order("order", RESET, t, some=where is not None)

    def _step_row(self, t: int) -> None:
        self._order("order", STEP, t)

    def _post_row(self, t: int, onward: bool) -> None:
        self._order("post", AUTORESET if onward else STEP, t, t + 1, onward)

    def _await_row(self, t: int) -> None:
        self._do("wait")
        self._at_work().offset += 1  # by hand, each step is made in the same row

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        self._order("order", AUTORESET, start, stop, onward)

    def _pause(self, where: Array | None) -> None:
        if where is None and self._pool is None:  # closed while a rollout was under way: nobody waits any more
            return
        if where is not None:
            self._masks["pause"][...] = where
        self._order("order", PAUSE, some=where is not None)


def _start_method(given: str | None, by_torchrl: str | None) -> str:
    """How workers are started, by either of its two names. Raises ConfigError unless there is such a way."""
    if None not in (given, by_torchrl) and given != by_torchrl:
        raise ConfigError(f"start_method: found {given!r}, and mp_start_method={by_torchrl!r}. Give one.")
    method = given or by_torchrl or "forkserver"
    if method not in METHODS:
        raise ConfigError(f"start_method: found {method!r}, expected one of {', '.join(METHODS)}.")
    return method


def _worker_count(wanted: int | None, num_envs: int, local_worker: bool) -> int:
    """``wanted`` workers, or one for each core; at most one for each env.

    Raises ConfigError unless it is a count, or where a ``local_worker`` would be the only one.
    """
    count = min(cores() if wanted is None else whole("num_workers", wanted, 1), num_envs)
    if local_worker and count == 1:
        few = "num_envs" if num_envs == 1 else "num_workers"
        raise ConfigError(
            f"local_worker: it needs a second worker, found {few}=1. Use {few}=2, or a SerialEnv (parallel=serial)"
        )
    return count
