"""Many envs in the actors of a Ray cluster, on this machine or on several."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from envcli.batch.batched_env import Kwargs
from envcli.batch.env_creator import EnvCreator
from envcli.batch.remote_batched_env import RemoteBatchedEnv
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvcliError, EnvError
from envcli.keys import Key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.masks import any_of
from envcli.processes import cores
from envcli.ray.actor_pool import RayPool
from envcli.ray.cluster import RayCluster
from envcli.ray.row_chunk import RowChunk
from envcli.vocabulary.schema import whole

__all__ = ["RayEnv"]

_GO = 0.25  # seconds that one stretch of rows may take before the next is shorter: who is lost then, loses no more


class RayEnv(RemoteBatchedEnv):
    """Envs that run in ``num_actors`` actors of a Ray cluster, each with an equal share of them.

    An actor makes stretches of rows, as many as take a quarter of a second, and sends them back as one object; they
    are written into the rollout's own memory or files here. The same seed gives the same bits as for
    :class:`~envcli.SerialEnv` and :class:`~envcli.ParallelEnv`, for any number of actors.

    A policy goes to the actors too, once a rollout, by value: each acts on its own share, and what it does besides
    (counting, drawing from torch's generator) it does there, each actor for itself. Its actions are the same up to the
    last bits, in which a network may differ with the number of rows it is given at once. Where that is not wanted, or
    the policy is on another device than the host: ``policy_in_actors=False``, a message for each step. So it is too
    with transforms of the whole batch, a callback, or a rollout that stops when envs are done.

    What the makers need must be importable on every machine of the cluster; lambdas and what the main script defines
    are sent by value.

    Args:
        num_envs, create_env_fn, create_env_kwargs, device: see :class:`BatchedEnv`.
        num_actors: None: as many as this process may use cores, at most one for each env.
        address: of the cluster; see :class:`~envcli.ray.cluster.RayCluster`. None: the one that this process is
            connected to, or ``RAY_ADDRESS``, else a new one on this machine, which ends with ``close()``.
        cpus_per_actor: that Ray keeps for each; 0: none.
        policy_in_actors: do they have the policy too?
        step_timeout: seconds that an actor may take for a stretch of rows, or a reset; 0: no limit.
        start_timeout: the same for finding room on the cluster, and for building the envs of an actor.
        close_timeout: seconds that all envs together have to close.
        on_worker_death: see :class:`~envcli.ParallelEnv`. An actor is lost with the stretch of rows that it was
            making: its envs' episodes are cut where that began.

    Raises:
        MissingDependency: from the start: Ray is not installed.
        ConfigError: an argument is out of range; or the envs share something (:class:`~envcli.EnvCreator`), which
            needs one machine.
        SpecError: from the start: ``"restart"`` with envs that have no ``truncated`` flag.
        EnvError: there is no such cluster, or no room on it. From any call: an env failed, or its actor was lost; says
            which envs, doing what. All actors are gone then, and the batch can be started anew.
    """

    _autoresets = True
    _pool: RayPool | None = None
    _offset = 0  # what the number of a step is more than that of its row, for errors
    _far = False  # do the actors choose the actions?

    def __init__(
        self,
        num_envs: int,
        create_env_fn: Callable[..., Env] | Sequence[Callable[..., Env]],
        create_env_kwargs: Kwargs | Sequence[Kwargs] | None = None,
        *,
        num_actors: int | None = None,
        address: str | None = None,
        cpus_per_actor: float = 1,
        policy_in_actors: bool = True,
        device: torch.device | str | None = None,
        step_timeout: float = 60,
        start_timeout: float = 60,
        close_timeout: float = 5,
        on_worker_death: str = "raise",
    ) -> None:
        super().__init__(
            num_envs,
            create_env_fn,
            create_env_kwargs,
            device=device,
            step_timeout=step_timeout,
            start_timeout=start_timeout,
            close_timeout=close_timeout,
            on_worker_death=on_worker_death,
        )
        if any(isinstance(make, EnvCreator) for make in self.create_env_fn):
            raise ConfigError(
                "parallel=ray: envs on several machines cannot share statistics. Type: parallel=processes"
            )
        if not cpus_per_actor >= 0:
            raise ConfigError(
                f"cpus_per_actor: found {cpus_per_actor}, expected a number of CPUs, or 0 to reserve none."
            )
        most = cores() if num_actors is None else whole("num_actors", num_actors, 1)
        self.num_actors = min(most, self.num_envs)
        self.address, self.cpus_per_actor, self.policy_in_actors = address, cpus_per_actor, policy_in_actors

    # -- from nothing to envs and back ----------------------------------------------------------------------------

    def _start(self) -> None:
        makers, lasts = self._makers(), self._lasts
        self.restarts = []
        cluster = RayCluster(self.num_actors, self.cpus_per_actor, self.address, self._timeouts.start)
        self._pool = pool = RayPool(cluster, self._shares(self.num_actors), self._timeouts, self.restarts, lasts)
        self._at_exit = weakref.finalize(self, pool.end)
        found = pool.ask("build", lambda envs: ([makers[i] for i in envs],))
        self._describe_as({i: summary for summaries in found for i, summary in summaries.items()})
        marks = [path for path in self._restart_flags() if path[0] == "next"]
        self._most, self._go = min(pool.ask("bind", lambda _: (marks,))), 1

    def _close(self) -> None:
        pool, self._pool, self._is_awaited = self._pool, None, False
        if pool is not None:
            self._at_exit.detach()
            pool.close()

    def _do(self, method: str, *args: Any) -> Any:
        """Have the pool do something. If it does not survive that, be closed."""
        if self._pool is None:
            raise EnvError("the actors are gone")
        pool = self._pool
        try:
            return getattr(pool, method)(*args)
        except BaseException as error:
            if not isinstance(error, (EnvcliError, AttributeError)):  # a Ctrl-C: what the actors are at is unknown
                pool.end()
            if pool.ended:
                self.close()
            raise

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, buffer: RolloutBuffer) -> None:
        carried = self._roles().recurrent
        self._reads = {path: buffer.array(path) for path in self._roles().reads}
        self._reads |= {under_next(path): buffer.array(under_next(path)) for path in carried}
        self._actions = {path: buffer.array(path) for path in self.full_action_spec.leaves()}
        self._offset = 0

    def _adopt(self, policy: Callable[..., Any] | None, device: torch.device | None) -> bool:
        on_host = device is None or device.type == "cpu"
        far = policy is not None and self.policy_in_actors and on_host
        if far or self._far:
            given = (policy, device) if far else (None, None)
            self._do("ask", "adopt", lambda _: given)
        self._far = far
        return far

    def _rows_of(self, t: int, envs: range, whole: bool = False) -> dict[Key, Array]:
        """What is read in row ``t``; or all that it shows."""
        ours = slice(envs.start, envs.stop)
        given = {path: rows[t : t + 1, ours] for path, rows in self._reads.items()}
        if whole and (buffer := self._bound) is not None:
            flags = set(self.full_done_spec.leaves())
            shown = [path for path in buffer if path[0] != "next" and path not in self._actions and path not in flags]
            given |= {path: buffer.array(path)[t : t + 1, ours] for path in shown}
        return given

    def _post(self, name: str, t: int, args: Callable[[range], tuple[Any, ...] | None], count: int = 1) -> None:
        self._do("post", name, args, t + self._offset, count)

    def _await(self, t: int) -> None:
        buffer = self._bound
        assert buffer is not None
        self._do("wait", lambda envs, chunk: chunk.unpack(buffer, t, envs))

    def _reset_row(self, t: int, where: Array | None) -> None:
        buffer = self._bound
        assert buffer is not None
        if where is None:
            self._offset = 0
            self._post("reset", t, lambda _: (None,))
        else:
            mask = where
            self._post("reset", t, lambda envs: (part,) if any_of(part := mask[envs.start : envs.stop]) else None)

        def take(envs: range, chunk: RowChunk) -> None:
            ours = slice(envs.start, envs.stop)
            for path, rows in chunk.rows.items():
                at = ... if where is None else where[ours]
                buffer.array(path)[t, ours][at] = rows[0][at]

        self._do("wait", take)

    def _step_row(self, t: int) -> None:
        self._post_row(t, False)
        self._await(t)

    def _post_row(self, t: int, onward: bool) -> None:
        if onward:
            self._post_some(t, t + 1, True)
            return

        def given(envs: range) -> tuple[Any, ...]:
            actions = {path: rows[t : t + 1, envs.start : envs.stop] for path, rows in self._actions.items()}
            return ({**self._rows_of(t, envs), **actions},)

        self._post("step", t, given)

    def _await_row(self, t: int) -> None:
        self._await(t)
        self._offset += 1  # by hand, each step is made in the same row

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        while start < stop:
            end = min(start + self._go, stop)
            began = time.perf_counter()
            self._post_some(start, end, onward or end < stop)
            self._await(start)
            slow = time.perf_counter() - began > _GO
            start, self._go = end, max(self._go // 2, 1) if slow else min(self._go * 2, self._most)

    def _post_some(self, start: int, stop: int, onward: bool) -> None:
        def given(envs: range) -> tuple[Any, ...]:
            rows = self._rows_of(start, envs, whole=start == 0)
            if not self._far:
                rows |= {path: rows_[start:stop, envs.start : envs.stop] for path, rows_ in self._actions.items()}
            return (stop - start, onward, rows)

        self._post("autoreset", start, given, stop - start)

    def _pause(self, where: Array | None) -> None:
        if where is None and self._pool is None:  # closed while a rollout was under way: nobody waits any more
            return
        mask = None if where is None else where.copy()
        self._do("pause", None if mask is None else lambda envs: (mask[envs.start : envs.stop],))
