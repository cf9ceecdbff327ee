"""Many envs in this process, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import torch

from envcli.batch.batched_env import OF_TORCHRL, BatchedEnv, Kwargs, Maker
from envcli.batch.env_summary import EnvSummary
from envcli.batch.phases import PHASES, RESETTING, STEPPING
from envcli.batch.share import Share
from envcli.errors import ConfigError
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.memory.spare_memory import SpareMemory
from envcli.rows.note import new_note
from envcli.rows.reset_request import ResetRequest

__all__ = ["SerialEnv"]


class SerialEnv(BatchedEnv):
    """Envs that run in this process, one after the other.

    Args:
        num_envs, create_env_fn, create_env_kwargs, device: see :class:`BatchedEnv`.
        num_workers: TorchRL's name of ``num_envs``, as an attribute too.
        pin_memory, share_individual_td, shared_memory, memmap, policy_proof, allow_step_when_done, num_threads,
            num_sub_threads, serial_for_single, non_blocking, use_buffers, metadata_from_workers, consolidate, daemon,
            shutdown_timeout: TorchRL's, taken for its sake. They change nothing: here are neither processes nor
            memory between them.

    Raises:
        ConfigError: an argument is out of range; or ``num_workers`` is another number than ``num_envs``.

    >>> from envcli import GymEnv, SerialEnv
    >>> with SerialEnv(2, lambda: GymEnv("CartPole-v1")) as env:
    ...     env.rollout(5)["observation"].shape
    torch.Size([2, 5, 4])
    """

    without_effect = OF_TORCHRL  # of a YAML they are refused: see `envcli.vocabulary.signature.call`
    _autoresets = True
    _share: Share | None = None

    def __init__(
        self,
        num_envs: int | None = None,
        create_env_fn: Maker | Sequence[Maker] | None = None,
        create_env_kwargs: Kwargs | Sequence[Kwargs] | None = None,
        *,
        num_workers: int | None = None,
        device: torch.device | str | None = None,
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
        if None not in (num_envs, num_workers) and num_envs != num_workers:
            raise ConfigError(
                f"num_workers: found {num_workers} for num_envs={num_envs}, but a SerialEnv has no processes. "
                "Use a ParallelEnv (parallel=processes), or leave num_workers out"
            )
        count = num_workers if num_envs is None else num_envs
        super().__init__(count, create_env_fn, create_env_kwargs, device=device)  # type: ignore[arg-type]  # it says so
        self.num_workers = self.num_envs

    def _start(self) -> None:
        note = new_note()
        try:
            self._share = share = Share(self._makers(), note)
        except Exception as error:
            self._name(error, note)
            raise
        self._describe_as({i: EnvSummary.of(env) for i, env in enumerate(share.envs)})

    def _close(self) -> None:
        share, self._share = self._share, None
        if share is not None:
            try:
                share.close()
            except Exception as error:
                self._name(error, share.note)
                raise

    def _envs(self) -> Share:
        assert self._share is not None
        return self._share

    # -- rows -----------------------------------------------------------------------------------------------------

    @property
    def _row_memory(self) -> SpareMemory:
        return super()._row_memory if self._share is None else self._share.envs[0]._row_memory

    def _bind(self, buffer: RolloutBuffer) -> None:
        self._envs().bind(buffer)

    def _reset_row(self, t: int, where: Array | None) -> None:
        self._run("reset_row", t, where)

    def _take_reset_request(self, request: ResetRequest) -> None:
        if self._share is not None:
            self._share.give(request.of_each(self.num_envs))

    def _step_row(self, t: int) -> None:
        self._run("step_row", t)

    def _autoreset_rows(self, start: int, stop: int, onward: bool) -> None:
        self._run("autoreset_rows", start, stop, onward)

    def _pause(self, where: Array | None) -> None:
        self._envs().pause(where)

    def _run(self, name: str, *args: Any) -> None:
        share = self._envs()
        try:
            getattr(share, name)(*args)
        except Exception as error:
            self._name(error, share.note)
            raise

    def _name(self, error: Exception, note: Any) -> None:
        """Say in which env ``error`` was raised."""
        index, phase, row = note[:3]
        place = f", row {row}" if phase in (STEPPING, RESETTING) else ""
        error.add_note(f"in env {self._first + index} of the batch, {PHASES[phase]}{place}")

    # -- all envs at once -----------------------------------------------------------------------------------------

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        self._envs().set_seeds(seeds)

    def _train(self, modes: Sequence[bool]) -> None:
        self._envs().train(modes)

    def __getattr__(self, name: str) -> Any:
        found = super().__getattr__(name)
        if not hasattr(first := self._envs().envs[0], name):  # in this process it can be known at once
            raise AttributeError(f"{type(first).__name__!r} object has no attribute {name!r}")
        return found

    def _get(self, name: str) -> list[Any]:
        return self._envs().get(name)

    def _call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], among: Set[int] | None = None
    ) -> list[Any]:
        return self._envs().call(name, args, kwargs, among)

    def _load_state_dicts(self, states: Sequence[Any]) -> None:
        self._envs().load(states)
