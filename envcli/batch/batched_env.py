"""Many envs as one, wherever they run."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Self

import numpy as np
import torch

from envcli.batch.chosen_envs import ChosenEnvs
from envcli.batch.env_summary import EnvSummary
from envcli.batch.gathered import Gathered
from envcli.batch.share import made
from envcli.batch.stateful_envs import StatefulEnvs
from envcli.envs.env import Env
from envcli.errors import ConfigError, EnvError, UnstartedError
from envcli.rows.roles import Roles
from envcli.specs import Composite
from envcli.vocabulary.schema import whole

__all__ = ["OF_TORCHRL", "BatchedEnv", "Kwargs", "Maker"]

OF_TORCHRL = frozenset(
    [
        "pin_memory", "share_individual_td", "shared_memory", "memmap", "policy_proof", "allow_step_when_done",
        "num_threads", "num_sub_threads", "serial_for_single", "non_blocking", "use_buffers", "metadata_from_workers",
        "consolidate", "daemon", "shutdown_timeout",
    ]
)  # fmt: skip
"""Arguments of TorchRL's batches, accepted so that its programs run. They change nothing."""

Maker = Callable[..., Env]
"""Makes one env."""

Kwargs = Mapping[str, Any]
"""The keyword arguments of a call."""


class BatchedEnv(StatefulEnvs):
    """``num_envs`` envs as one of shape ``[num_envs, *batch]``.

    Nothing is built before it is needed: ``start()``, ``reset``, ``step``, ``rollout`` and ``set_seed`` start it, and
    ``close()`` returns it to the state before. Attributes and methods that a batch does not have are those of its
    envs, all at once: ``env.foo`` is a lazy list, ``env.foo.bar`` another, and ``env.method(x)`` a list of results.
    Before the start they raise RuntimeError, and start nothing.

    Options of ``reset`` go to each env, and those in ``list_of_kwargs``, a list of dicts, to one env each, if that is
    reset.

    Args:
        num_envs: how many.
        create_env_fn: what makes an env; or a list of such, one for each.
        create_env_kwargs: arguments for it, by name; or a list of such, one for each.
        device: where tensors are handed out; None: where the envs' are.

    Raises:
        ConfigError: not as many makers or arguments as envs, or no makers.
    """

    _pauses = True
    _first = 0  # what errors call the first env

    def __init__(
        self,
        num_envs: int,
        create_env_fn: Maker | Sequence[Maker],
        create_env_kwargs: Kwargs | Sequence[Kwargs] | None = None,
        *,
        device: torch.device | str | None = None,
    ) -> None:
        self._summary: EnvSummary | None = None
        self._device_given = device is not None
        super().__init__(device=device)
        self._closed = True
        self.num_envs = whole("num_envs", num_envs, 1)
        self._modes = [True] * self.num_envs  # is each of them in training?
        self.create_env_fn = self._one_each(create_env_fn, "create_env_fn", callable, "a callable that makes an env")
        self.create_env_kwargs: list[Kwargs] = [{}] * num_envs
        self.update_kwargs({} if create_env_kwargs is None else create_env_kwargs)

    def _one_each(self, given: Any, name: str, fits: Callable[[Any], bool], what: str) -> list[Any]:
        each = list(given) if isinstance(given, Sequence) else [given] * self.num_envs
        if len(each) != self.num_envs:
            raise ConfigError(f"{name}: found {len(each)} for num_envs={self.num_envs}, expected one for each env.")
        for i, one in enumerate(each):
            if not fits(one):
                raise ConfigError(f"{name}[{i}]: found a {type(one).__name__}, expected {what}.")
        return each

    def update_kwargs(self, kwargs: Kwargs | Sequence[Kwargs]) -> None:
        """Change the arguments of all makers, or of each, before the start.

        Raises:
            EnvError: the envs are already built.
        """
        if not self.is_closed:
            raise EnvError("update_kwargs: the envs are already built. Call close() first")
        each = self._one_each(kwargs, "create_env_kwargs", lambda one: isinstance(one, Mapping), "arguments by name")
        self.create_env_kwargs = [{**old, **new} for old, new in zip(self.create_env_kwargs, each, strict=True)]
        self._forget()

    def _makers(self) -> list[Callable[[], Env]]:
        pairs = zip(self.create_env_fn, self.create_env_kwargs, strict=True)
        return [functools.partial(make, **kwargs) for make, kwargs in pairs]

    # -- from nothing to envs and back ----------------------------------------------------------------------------

    def start(self) -> None:
        """Build the envs, unless that is done already.

        Raises:
            SpecError: their specs differ; names the env, the key and both specs.
            EnvError: one of them cannot be built.
        """
        if self.is_closed:
            self._closed = False
            try:
                self._start()
                if not all(self._modes):
                    self._train(self._modes)
            except BaseException:
                self.close()
                raise

    @abstractmethod
    def _start(self) -> None:
        """Build the envs, and call :meth:`_describe_as` with what they are."""

    def _probe(self) -> EnvSummary:
        """A summary of the first env before the start: the env is built for it and closed again."""
        env = made(self._makers()[0])
        try:
            return EnvSummary.of(env)
        finally:
            env.close()

    def _describe_as(self, summaries: Mapping[int, EnvSummary]) -> None:
        """Take over specs and shape from ``summaries`` of the envs, or of those among them that may differ."""
        known, summary = self._summary, summaries[0]
        for i, other in summaries.items():
            (known or summary).require_same(other, f"env {i}")
        if known is not None:
            return
        self._summary = summary
        lead = torch.Size([self.num_envs])
        self._batch_size = torch.Size([*lead, *summary.batch_size])
        if not self._device_given:
            self._device = summary.device
        for family, spec in summary.specs.items():
            batched = spec.expand(*lead, *spec.shape)
            self._specs[family] = batched if self._device is None else batched.to(self._device)
        self._specs_changed()

    def _described(self) -> EnvSummary:
        if self._summary is None:
            self._describe_as({0: self._probe()})
        assert self._summary is not None
        return self._summary

    def _forget(self) -> None:
        self._summary = None
        self._specs.clear()
        self._specs_changed()

    def _require_open(self) -> None:
        self.start()
        self._require_rest()

    def close(self, *, raise_if_closed: bool = False) -> None:
        """Close all envs. See :meth:`envcli.Env.close`.

        Unlike a single env, a batch can be started anew afterwards: its envs are built once more, and not seeded.
        """
        super().close(raise_if_closed=raise_if_closed)
        self._forget_front()
        self._unbind()

    @property
    def batch_size(self) -> torch.Size:
        """``[num_envs, *batch]``."""
        self._described()
        return self._batch_size

    @property
    def device(self) -> torch.device | None:
        """See :class:`~envcli.rows.env_specs.EnvSpecs`."""
        if not self._device_given:
            self._described()
        return self._device

    def to(self, device: torch.device | str) -> Self:
        """See :meth:`envcli.Env.to`."""
        super().to(device)
        self._device_given = True
        return self

    def _spec(self, family: str) -> Composite:
        self._described()
        return self._specs[family]

    # -- what the envs say of their entries -----------------------------------------------------------------------

    def _roles(self) -> Roles:
        return self._described().roles

    # -- seeds ----------------------------------------------------------------------------------------------------

    @property
    def _seeds_of_each(self) -> int:
        return self._described().seeds

    # -- all envs at once -----------------------------------------------------------------------------------------

    @abstractmethod
    def _train(self, modes: Sequence[bool]) -> None:
        """``train`` of each env, with a mode for each."""

    @abstractmethod
    def _get(self, name: str) -> list[Any]:
        """The attribute ``name`` of each env."""

    @abstractmethod
    def _call(self, name: str, args: Sequence[Any], kwargs: Kwargs, among: Set[int] | None = None) -> list[Any]:
        """What the method ``name`` of each env returns, by their places; ``among``: of these envs alone."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "num_envs" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        if self.is_closed:
            raise UnstartedError(
                f"{type(self).__name__}.{name}: the envs are not built yet. Call start() or reset() first"
            )
        return Gathered(self, name)

    def __getitem__(self, index: Any) -> ChosenEnvs:  # Any: what indexes a tensor
        """Some of the envs, by their places: whole numbers, a slice, a mask. See :class:`ChosenEnvs`.

        It starts the batch. Raises IndexError where there is no such env.
        """
        self._require_open()
        places = torch.arange(self.num_envs)[torch.as_tensor(index) if isinstance(index, np.ndarray) else index]
        return ChosenEnvs(self, places.reshape(-1).tolist())

    def __iter__(self) -> Iterator[ChosenEnvs]:
        return (self[i] for i in range(self.num_envs))

    def _state_dicts(self) -> list[Any]:
        return self._call("state_dict", (), {})

    def train(self, mode: bool = True) -> Self:
        """See :meth:`envcli.Env.train`; of all envs, those that are built later too."""
        self._switch(range(self.num_envs), mode)
        return super().train(mode)

    def _switch(self, places: Iterable[int], mode: bool) -> None:
        """``train(mode)`` of the envs at ``places``, now or once they are built."""
        self._modes = [mode if i in places else was for i, was in enumerate(self._modes)]
        if not self.is_closed:
            self._train(self._modes)

    def add_truncated_keys(self) -> Self:
        """See :meth:`envcli.Env.add_truncated_keys`. Raises EnvError where one is missing: the envs must have it."""
        if self._missing_truncated():
            raise EnvError("add_truncated_keys: a batch has the flags of its envs. Call it in create_env_fn")
        return self

    def __repr__(self) -> str:
        state = "not started" if self.is_closed else "started"
        return f"{type(self).__name__}(num_envs={self.num_envs}, {state})"
