"""Many envs in other processes, which can die."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import torch

from envcli.batch.batched_env import BatchedEnv
from envcli.batch.env_summary import EnvSummary
from envcli.batch.timeouts import Timeouts
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, SpecError
from envcli.keys import RESTARTED, Key, under_next
from envcli.rows.reset_request import ResetRequest
from envcli.rows.roles import Roles
from envcli.vocabulary.schema import timeout

__all__ = ["RemoteBatchedEnv", "restarts_of"]

_ON_DEATH = ("raise", "restart")


class RemoteBatchedEnv(BatchedEnv):
    """A batch whose envs run in other processes: when one counts as lost, and what happens then.

    Args:
        num_envs, create_env_fn, create_env_kwargs, device: see :class:`BatchedEnv`.
        start_timeout, step_timeout, close_timeout, on_worker_death: see :class:`~envcli.ParallelEnv`.

    Raises:
        ConfigError: an argument is out of range.
        SpecError: from the start: ``"restart"`` with envs that have no ``truncated`` flag.
    """

    _pool: Any = None  # a WorkerPool or a RayPool: who runs the envs; None: nobody does

    def __init__(
        self,
        num_envs: int,
        create_env_fn: Callable[..., Env] | Sequence[Callable[..., Env]],
        create_env_kwargs: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
        *,
        device: torch.device | str | None,
        step_timeout: float,
        start_timeout: float,
        close_timeout: float,
        on_worker_death: str,
    ) -> None:
        super().__init__(num_envs, create_env_fn, create_env_kwargs, device=device)
        limits = {"start": start_timeout, "step": step_timeout, "close": close_timeout}
        timeouts = Timeouts(**{name: timeout(f"{name}_timeout", seconds) for name, seconds in limits.items()})
        if on_worker_death not in _ON_DEATH:
            raise ConfigError(f"on_worker_death: found {on_worker_death!r}, expected one of {', '.join(_ON_DEATH)}.")
        self.on_worker_death = on_worker_death
        self.restarts: list[str] = []
        self._timeouts = timeouts
        self._is_awaited = False  # has a row been sent that is not yet received?

    @property
    def _lasts(self) -> bool:
        return self.on_worker_death == "restart"

    def _shares(self, count: int) -> list[range]:
        """The envs of each of ``count`` processes: neighbours, and as many for each as can be."""
        bounds = [self.num_envs * i // count for i in range(count + 1)]
        return [range(start, stop) for start, stop in itertools.pairwise(bounds)]

    def _describe_as(self, summaries: Mapping[int, EnvSummary]) -> None:
        super()._describe_as(summaries)
        done = self._specs["done"]
        flags = {path: leaf for path, leaf in done.leaves().items() if path[-1] == "truncated"}
        if not self._lasts or any((*path[:-1], RESTARTED) in done.leaves() for path in flags):
            return
        if not flags:
            raise SpecError(
                f"on_worker_death=restart needs a 'truncated' flag, but the envs have {self.done_keys}. "
                "Give them a full_done_spec with 'truncated', or a StepCounter"
            )
        self._specs["done"] = done = done.clone()
        for path, leaf in flags.items():
            done.set((*path[:-1], RESTARTED), leaf.clone())
        self._specs_changed()

    def _roles(self) -> Roles:
        """As of any batch; but for an env that is lost, a step repeats its observations."""
        shown = set(self.observation_spec.leaves()) if self._lasts else set()
        return super()._roles().reading(shown)

    def _restart_flags(self) -> set[Key]:
        if not self._lasts:
            return set()
        roots = {path for path in self.full_done_spec.leaves() if path[-1] == RESTARTED}
        return roots | set(map(under_next, roots))

    # -- rows -----------------------------------------------------------------------------------------------------

    def _take_reset_request(self, request: ResetRequest) -> None:
        each = request.of_each(self.num_envs)
        if self._pool is not None:
            self._do("ask", "give", lambda envs: (each[envs.start : envs.stop],))

    def _send_row(self, t: int, onward: bool = False) -> None:
        self._post_row(t, onward)
        self._is_awaited = True

    def _receive_row(self, t: int, onward: bool = False) -> None:
        if self._is_awaited:
            self._is_awaited = False
            self._await_row(t)
        elif self.is_closed:  # it failed when something else had to wait for it
            raise EnvError("the step failed, and the envs are gone")

    @abstractmethod
    def _post_row(self, t: int, onward: bool) -> None:
        """``_send_row``."""

    @abstractmethod
    def _await_row(self, t: int) -> None:
        """Wait for what ``_post_row`` has begun."""

    # -- all envs at once -----------------------------------------------------------------------------------------

    def _ask(self, word: str, args: Callable[[range], tuple[Any, ...]]) -> list[Any]:
        """What each member of the pool answers to ``word``, once a step that is under way is made."""
        if self._is_awaited:
            self._receive_row(0)
        found: list[Any] = self._do("ask", word, args)
        return found

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        self._do("seeded", seeds, self._seeds_taken)
        self._ask("set_seeds", lambda envs: (seeds[envs.start : envs.stop],))

    def _train(self, modes: Sequence[bool]) -> None:
        self._ask("train", lambda envs: (modes[envs.start : envs.stop],))

    @abstractmethod
    def _do(self, method: str, *args: Any, **options: Any) -> Any:
        """Have the pool do something: ``_do("ask", word, args)`` gives what each of its members answers to a word."""

    def _get(self, name: str) -> list[Any]:
        return [value for found in self._ask("get", lambda _: (name,)) for value in found]

    def _call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], among: Set[int] | None = None
    ) -> list[Any]:
        def question(envs: range) -> tuple[Any, ...]:
            return name, args, kwargs, None if among is None else {i - envs.start for i in among}

        return [value for found in self._ask("call", question) for value in found]

    def _load_state_dicts(self, states: Sequence[Any]) -> None:
        self._ask("load", lambda envs: (states[envs.start : envs.stop],))

    def __getstate__(self) -> dict[str, Any]:
        if not self.is_closed:
            raise EnvError(
                f"a {type(self).__name__} that has been started cannot be pickled or copied. Call close() first"
            )
        return super().__getstate__()


def restarts_of(env: Env) -> list[str]:
    """What happened to those in ``env``, a batch, that others took the place of: a line each."""
    found = getattr(env, "restarts", None)
    return list(found) if isinstance(found, list) else []
