"""Envs of which each is answered as soon as it is ready, whatever the others do."""

from __future__ import annotations

import functools
import os
import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Self

import torch
from tensordict import TensorDictBase, lazy_stack

from envcli.batch.batched_env import BatchedEnv
from envcli.batch.env_summary import EnvSummary
from envcli.batch.env_threads import EnvThreads
from envcli.batch.parallel_env import ParallelEnv
from envcli.batch.serial_env import SerialEnv
from envcli.batch.stateful_envs import StatefulEnvs
from envcli.batch.undisturbed import is_leaving
from envcli.envs.env import Env
from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError, EnvError, SpecError
from envcli.keys import as_user_key
from envcli.rows.roles import Roles
from envcli.specs import Bounded, Composite
from envcli.vocabulary.schema import whole

__all__ = ["AsyncEnvPool", "ProcessorAsyncEnvPool", "ThreadingAsyncEnvPool"]

Maker = Callable[..., Env]
Index = int | Sequence[int] | torch.Tensor | None

_STACKS = ("dense", "maybe_dense", "lazy")
_LEAVE_IN = 0.5  # seconds that all envs have to close after a Ctrl-C, or when nobody has closed them


class AsyncEnvPool(StatefulEnvs, EnvBase):
    """Envs ``[num_envs, *batch]`` that need not wait for each other: a policy acts for those that are ready.

    For envs whose steps or resets take unequal time; where all take about the same, a :class:`~envcli.ParallelEnv` is
    faster. ``async_step_send`` has some envs make a step, and ``async_step_recv`` returns those that have made theirs;
    so with ``async_reset_*`` and ``async_step_and_maybe_reset_*``. ``"env_index"``, ``[num_envs, *batch]`` int64, is
    state: it says whose data this is, stays through ``step_mdp``, and tells a ``send`` where to go. ``reset``, ``step``
    and ``rollout`` are those of any env, and wait for all.

    >>> from envcli import AsyncEnvPool, GymEnv
    >>> with AsyncEnvPool([lambda: GymEnv("CartPole-v1")] * 4) as pool:
    ...     pool.async_step_send(pool.rand_action(pool.reset()))
    ...     ready = pool.async_step_recv(min_get=2)  # of two envs, or more
    ...     pool.async_step_send(pool.rand_action(pool.step_mdp(ready)))
    ...     pool.async_step_recv(min_get=4)["env_index"]
    tensor([0, 1, 2, 3])

    The same seed gives each env the bits that it shows in a :class:`~envcli.SerialEnv`, whoever is ready first. What an
    env raises is raised where its result is received; the others go on. One whose process died is built anew by its
    next reset.

    TorchRL 0.14 has ``"env_index"`` as non-tensor data, which ``step_mdp`` loses; a process of its that dies or hangs
    is waited for without an end; it does not set seeds; and with ``"lazy"`` it takes envs of different specs.

    Args:
        env_makers: one for each env, or a single one; or envs.
        backend: ``"threading"``: a thread of this process for each env, for those that wait for something or compute
            outside of Python; ``"multiprocessing"``: a process for each.
        stack: ``"dense"`` or ``"maybe_dense"``: results are stacked; ``"lazy"``: they are lazy stacks.
        exchange, envs_per_worker: TorchRL's, taken for its sake. They change nothing: memory is always shared, and each
            env has a process.
        worker_affinity: the cores that each process may use, by their numbers; or what gives them for a process's.
        create_env_kwargs: arguments for the makers, by name; or a list of such, one for each.
        step_timeout, start_timeout: see :class:`~envcli.ParallelEnv`. A thread has none: it cannot be ended.
        close_timeout: seconds that all envs together have to end what they are doing, and to close.

    Raises:
        ConfigError: an argument is out of range.
        SpecError: the specs of the envs differ.
        EnvError: one of them cannot be built.
    """

    backend: ClassVar[str] = ""

    def __new__(cls, *args: Any, backend: str = "threading", **options: Any) -> Self:
        """One of its two subclasses, as ``backend`` says."""
        kinds = {kind.backend: kind for kind in (ThreadingAsyncEnvPool, ProcessorAsyncEnvPool)}
        if not cls.backend and backend not in kinds:
            raise ConfigError(f"backend: found {backend!r}, expected one of {', '.join(kinds)}")
        kind: Any = cls if cls.backend else kinds[backend]
        pool: Self = super().__new__(kind)
        return pool

    def __init__(
        self,
        env_makers: Maker | Env | Sequence[Maker | Env],
        *,
        backend: str = "threading",
        stack: str = "dense",
        exchange: str | None = None,
        worker_affinity: Sequence[Sequence[int]] | Callable[[int], Sequence[int]] | None = None,
        envs_per_worker: int = 1,
        create_env_kwargs: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        step_timeout: float = 60,
        start_timeout: float = 60,
        close_timeout: float = 5,
    ) -> None:
        if stack not in _STACKS:
            raise ConfigError(f"stack: found {stack!r}, expected one of {', '.join(_STACKS)}")
        makers = list(env_makers) if isinstance(env_makers, Sequence) else [env_makers]
        count = whole("env_makers", len(makers), 1)
        kwargs = _one_each("create_env_kwargs", create_env_kwargs or {}, count)
        cores = self._cores(worker_affinity, count)
        limits = {"step_timeout": step_timeout, "start_timeout": start_timeout, "close_timeout": close_timeout}
        made = zip(makers, kwargs, cores, strict=True)
        batches = [self._batch_of(functools.partial(_made, *how), limits) for how in made]
        for i, batch in enumerate(batches):
            batch._first = i
        envs = EnvThreads(batches, self._kill)
        try:
            envs.start(together=self.backend == "multiprocessing")
            summary = _common(envs.each("_described"))
        except BaseException:
            _abandon(envs)
            raise
        super().__init__(device=summary.device, batch_size=[count, *summary.batch_size])
        self.num_envs, self.stack, self.min_get = count, stack, 1
        self._envs, self._one, self._patience = envs, summary, close_timeout
        self._at_exit = weakref.finalize(self, _abandon, envs)
        for family, spec in summary.specs.items():
            setattr(self, f"full_{family}_spec", spec.expand(count, *spec.shape))
        index = Bounded(0, count - 1, self.batch_size, device=self.device, dtype=torch.int64)
        self.state_spec = Composite({**dict(self.state_spec.items()), "env_index": index}, shape=self.batch_size)
        places = torch.arange(count, device=self.device).reshape(-1, *[1] * len(summary.batch_size))
        self._places = places.expand(self.batch_size)

    @staticmethod
    @abstractmethod
    def _batch_of(make: Callable[[], Env], limits: Mapping[str, Any]) -> BatchedEnv:
        """A batch of the one env that ``make`` makes."""

    @staticmethod
    def _kill(batch: BatchedEnv) -> bool:
        """Have the call that ``batch`` is making fail. False: nobody can."""
        return False

    @staticmethod
    def _cores(given: Any, count: int) -> Sequence[Sequence[int] | None]:
        """Those that each env may use; None: all."""
        if given is not None:
            raise ConfigError("worker_affinity: threads use the cores of their process. Give backend='multiprocessing'")
        return [None] * count

    @property
    def env_batch_sizes(self) -> list[torch.Size]:
        """That of each env."""
        return [self._one.batch_size] * self.num_envs

    # -- some of the envs -----------------------------------------------------------------------------------------

    def async_step_send(self, tensordict: TensorDictBase, env_index: Index = None) -> None:
        """Have some envs make a step, and do not wait.

        Args:
            tensordict: ``[envs, *batch]``, or of one env ``[*batch]``, with the actions. It is copied.
            env_index: which envs; None: those that its entry ``"env_index"`` names.

        Raises:
            EnvError: the result of something that one of them did is not received yet; nothing is sent.
            SpecError: it has no ``"env_index"``, names an env that is not there or twice, or has another batch size.
        """
        self._send("step", tensordict, env_index)

    def async_step_recv(
        self,
        min_get: int | None = None,
        env_index: Index = None,
        *,
        max_get: int | None = None,
        timeout: float | None = None,
    ) -> TensorDictBase:
        """The steps of those that have made one, ``[envs, *batch]`` in the order of the envs.

        Args:
            min_get: how many to wait for; None: ``self.min_get``, which is 1.
            env_index: wait for all of these envs, and for no other; None: for any.
            max_get: take at most so many, who was ready first; None: all that are ready.
            timeout: seconds to wait; None: no limit but those of the envs.

        Raises:
            EnvError: fewer are under way; or what one of the envs raised, of whatever kind it is.
            TimeoutError: fewer were ready in time. They can still be received.
        """
        return self._stacked(self._receive("step", min_get, env_index, max_get, timeout))

    def async_reset_send(self, tensordict: TensorDictBase | None = None, env_index: Index = None) -> None:
        """Have some envs begin anew, and do not wait. See :meth:`async_step_send`; without arguments: all envs."""
        self._send("reset", tensordict, env_index)

    def async_reset_recv(
        self,
        min_get: int | None = None,
        env_index: Index = None,
        *,
        max_get: int | None = None,
        timeout: float | None = None,
    ) -> TensorDictBase:
        """What those show that have begun anew. See :meth:`async_step_recv`."""
        return self._stacked(self._receive("reset", min_get, env_index, max_get, timeout))

    def async_step_and_maybe_reset_send(self, tensordict: TensorDictBase, env_index: Index = None) -> None:
        """Have some envs make a step, and begin anew where it ends an episode. See :meth:`async_step_send`."""
        self._send("step_and_maybe_reset", tensordict, env_index)

    def async_step_and_maybe_reset_recv(
        self,
        min_get: int | None = None,
        env_index: Index = None,
        *,
        max_get: int | None = None,
        timeout: float | None = None,
    ) -> tuple[TensorDictBase, TensorDictBase]:
        """The steps of those that have made one, and what their next ones begin with. See :meth:`async_step_recv`."""
        found = self._receive("step_and_maybe_reset", min_get, env_index, max_get, timeout)
        made, after = ({i: pair[which] for i, pair in found.items()} for which in (0, 1))
        return self._stacked(made), self._stacked(after)

    def _send(self, call: str, tensordict: TensorDictBase | None, env_index: Index) -> None:
        self._require_open()
        one = self._one.batch_size
        if tensordict is not None and tensordict.batch_size == one:
            tensordict = tensordict.unsqueeze(0)
        if env_index is None and tensordict is not None:
            env_index = tensordict.get("env_index", None)
            if env_index is None:
                raise SpecError(f"{call}: no 'env_index' in the TensorDict to say whose it is. Or pass env_index=")
            env_index = torch.as_tensor(env_index).reshape(len(tensordict), -1)[:, 0]
        places = list(range(self.num_envs)) if env_index is None else self._named(env_index)
        pieces: dict[int, list[TensorDictBase]] = {i: [] for i in places}
        if tensordict is not None:
            if tensordict.batch_size != (len(places), *one):
                found = list(tensordict.batch_size)
                raise SpecError(f"{call}: expected a TensorDict of {[len(places), *one]}, found {found}")
            pieces = {i: [piece.clone()] for i, piece in zip(places, tensordict.split(1), strict=True)}
        self._envs.send(call, pieces)

    def _named(self, env_index: Any) -> list[int]:
        places: list[int] = torch.as_tensor(env_index).reshape(-1).tolist()
        if len(set(places)) < len(places) or not set(places) <= set(range(self.num_envs)):
            raise SpecError(f"env_index: expected different envs from 0 to {self.num_envs - 1}, found {places}")
        return places

    def _receive(self, call: str, least: int | None, among: Index, most: int | None, timeout: float | None) -> Any:
        self._require_open()
        named = None if among is None else self._named(among)
        return self._envs.receive(call, self.min_get if least is None else least, named, most, timeout)

    def _stacked(self, found: Mapping[int, TensorDictBase]) -> TensorDictBase:
        pieces = list(found.values())
        whole = lazy_stack([piece.squeeze(0) for piece in pieces]) if self.stack == "lazy" else _joined(pieces)
        return whole.set("env_index", self._places[list(found)].clone())

    # -- all of them ----------------------------------------------------------------------------------------------

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        given = [[]] * self.num_envs if tensordict is None else [[piece] for piece in tensordict.split(1)]
        shown = [as_user_key(path) for path in self._shown(("observation", "state", "done"))]
        return self._stacked(dict(enumerate(self._envs.each("reset", given, options)))).select(*shown)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        made = self._envs.each("step", [[piece] for piece in tensordict.split(1)])
        return _joined([piece.get("next") for piece in made])

    def _roles(self) -> Roles:
        """Those of any env on TensorDicts, and what the envs say of what they show."""
        one = self._one.roles
        return replace(
            super()._roles(),
            reset_markers=one.reset_markers,
            clocks=one.clocks,
            cumulative_rewards=one.cumulative_rewards,
            stacks=one.stacks,
            masks=one.masks,
            reward_transforms=one.reward_transforms,
        )

    @property
    def _seeds_of_each(self) -> int:
        return self._one.seeds

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        self._envs.each("set_seed", [[one] for one in seeds])

    def train(self, mode: bool = True) -> Self:
        """See :meth:`envcli.Env.train`; of all envs."""
        self._envs.each("train", [[mode]] * self.num_envs)
        return super().train(mode)

    def _state_dicts(self) -> list[Any]:
        return [state["worker0"] for state in self._envs.each("state_dict")]

    def _load_state_dicts(self, states: Sequence[Any]) -> None:
        self._envs.each("load_state_dict", [[{"worker0": state}] for state in states])

    # -- the end --------------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """``close``, by TorchRL's name."""
        self.close()

    def _close(self) -> None:
        self._at_exit.detach()
        if is_leaving():
            _abandon(self._envs)
        else:
            self._envs.close(self._patience)

    def __getstate__(self) -> dict[str, Any]:
        raise EnvError(f"a {type(self).__name__} cannot be pickled or copied: its envs are in use. Build another")


class ThreadingAsyncEnvPool(AsyncEnvPool):
    """Envs in threads of this process. See :class:`AsyncEnvPool`."""

    backend = "threading"

    @staticmethod
    def _batch_of(make: Callable[[], Env], limits: Mapping[str, Any]) -> BatchedEnv:
        return SerialEnv(1, make)


class ProcessorAsyncEnvPool(AsyncEnvPool):
    """Envs in a process each. See :class:`AsyncEnvPool`."""

    backend = "multiprocessing"

    @staticmethod
    def _batch_of(make: Callable[[], Env], limits: Mapping[str, Any]) -> BatchedEnv:
        return ParallelEnv(1, make, **limits)

    @staticmethod
    def _kill(batch: BatchedEnv) -> bool:
        assert isinstance(batch, ParallelEnv)
        batch._kill()
        return True

    @staticmethod
    def _cores(given: Any, count: int) -> Sequence[Sequence[int] | None]:
        wanted = [given(i) for i in range(count)] if callable(given) else given
        return _one_each("worker_affinity", wanted, count)


def _joined(pieces: Sequence[Any]) -> TensorDictBase:  # Any: TensorDicts, which torch's annotations do not know
    joined: Any = torch.cat(list(pieces))
    assert isinstance(joined, TensorDictBase)
    return joined


def _one_each(name: str, given: Any, count: int) -> list[Any]:
    each = list(given) if isinstance(given, Sequence) else [given] * count
    if len(each) != count:
        raise ConfigError(f"{name}: found {len(each)} for {count} envs, expected one for each")
    return each


def _made(maker: Maker | Env, kwargs: Mapping[str, Any], cores: Sequence[int] | None) -> Env:
    if cores is not None:
        os.sched_setaffinity(0, cores)
    return maker if isinstance(maker, Env) else maker(**kwargs)


def _common(summaries: Sequence[EnvSummary]) -> EnvSummary:
    """What all envs say of themselves. Raises SpecError where one says something else."""
    first = summaries[0]
    for i, other in enumerate(summaries):
        first.require_same(other, f"env {i}")
    return first


def _abandon(envs: EnvThreads) -> None:
    """Close ``envs``, of which nobody wants to hear any more."""
    with suppress(Exception):
        envs.close(_LEAVE_IN)
