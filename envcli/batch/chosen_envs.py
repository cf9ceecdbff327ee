"""Some envs of a batch, as a batch of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Any, Protocol, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.batch.gathered import Gathered
from envcli.batch.stateful_envs import StatefulEnvs
from envcli.envs.env_base import EnvBase
from envcli.envs.front import Front
from envcli.errors import ClosedError, ConfigError, EnvError
from envcli.rows.roles import Roles
from envcli.specs import Composite

__all__ = ["ChosenEnvs"]


class _Batch(Protocol):
    """What is asked of a :class:`~envcli.batch.batched_env.BatchedEnv`, which makes these."""

    num_envs: int
    batch_size: torch.Size
    is_closed: bool
    full_action_spec: Composite
    _front: Front
    _seeds_of_each: int

    def rand_action(self, tensordict: TensorDictBase | None = None) -> TensorDictBase: ...

    def reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase: ...

    def step(self, tensordict: TensorDictBase) -> TensorDictBase: ...

    def _roles(self) -> Roles: ...

    def _get(self, name: str) -> list[Any]: ...

    def _switch(self, places: Iterable[int], mode: bool) -> None: ...

    def _call(
        self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any], among: Set[int] | None = None
    ) -> list[Any]: ...


class ChosenEnvs(StatefulEnvs, EnvBase):
    """Some envs of a batch, which stay where they are: ``env[2:]`` of a :class:`~envcli.ParallelEnv`, as in TorchRL.

    What it resets and steps are the envs of the batch; the others stand still meanwhile, but for the first reset of the
    batch, which is that of all. Closing it leaves the batch open; after the batch has been closed it cannot be used.
    Attributes are those of the chosen envs.

    Args:
        batch: whose envs; it is started.
        places: which, in this order, and each once.

    Raises:
        ConfigError: none, or one of them twice.
    """

    def __init__(self, batch: Any, places: Sequence[int]) -> None:  # Any: a _Batch that is an Env
        if len(set(places)) != len(places) or not places:
            raise ConfigError(f"expected envs of the batch, each once, found {list(places)}")
        super().__init__(device=batch.device, batch_size=[len(places), *batch.batch_size[1:]])
        self.batch: _Batch = batch
        self.places = list(places)
        self.num_envs = self.num_workers = len(self.places)
        self.observation_spec = batch.observation_spec[self.places]
        self.state_spec = batch.state_spec[self.places]
        self.full_action_spec = batch.full_action_spec[self.places]
        self.full_reward_spec = batch.full_reward_spec[self.places]
        self.full_done_spec = batch.full_done_spec[self.places]

    def _roles(self) -> Roles:
        return self.batch._roles()

    def _require_open(self) -> None:
        super()._require_open()
        if self.batch.is_closed:
            raise ClosedError("the batch of these envs was closed. Choose them anew once it is started again")

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        if self.batch._front.moment() is None:
            return self.batch.reset(**options)[self.places]  # the others, too: they must stand somewhere
        keys = [] if tensordict is None else [key for key in self.reset_keys if key in tensordict.keys(True)]
        masks = {key: tensordict[key] for key in keys if tensordict is not None}
        whole = TensorDict({}, batch_size=self.batch.batch_size)
        for key, some in (masks or {"_reset": torch.ones(*self.batch_size, 1, dtype=torch.bool)}).items():
            mask = some.new_zeros(self.batch.num_envs, *some.shape[1:])
            mask[self.places] = some
            whole.set(key, mask)
        return self.batch.reset(whole, **options)[self.places]

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        moment = self.batch._front.moment()
        if moment is None:
            raise EnvError("step: these envs have not been reset yet. Call reset() first")
        whole = moment.to(self.device).update(self._idle_actions(moment))
        whole[self.places] = tensordict.select(*whole.keys(True, True))
        whole["_step"] = torch.zeros(self.batch.batch_size, dtype=torch.bool)
        whole["_step"][self.places] = True
        following: TensorDictBase = self.batch.step(whole)["next"]
        return following[self.places]

    def _idle_actions(self, moment: TensorDictBase) -> TensorDictBase:
        """Actions that the batch allows, for those that do not take them."""
        if not self._roles().masks:
            return self.batch.full_action_spec.zero()
        with torch.random.fork_rng(devices=()):
            return self.batch.rand_action(moment.copy())

    # -- all envs at once -----------------------------------------------------------------------------------------

    @property
    def _seeds_of_each(self) -> int:
        return self.batch._seeds_of_each

    def _set_seeds(self, seeds: Sequence[int | None]) -> None:
        self._call_each("set_seed", seeds)

    def _state_dicts(self) -> list[Any]:
        return self._call("state_dict", (), {})

    def _load_state_dicts(self, states: Sequence[Any]) -> None:
        self._call_each("load_state_dict", states)

    def train(self, mode: bool = True) -> Self:
        """See :meth:`envcli.Env.train`; of these envs."""
        self._require_open()
        self.batch._switch(self.places, mode)
        return super().train(mode)

    def _get(self, name: str) -> list[Any]:
        found = self.batch._get(name)
        return [found[place] for place in self.places]

    def _call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        found = dict(zip(sorted(self.places), self.batch._call(name, args, kwargs, set(self.places)), strict=True))
        return [found[place] for place in self.places]

    def _call_each(self, name: str, given: Sequence[Any]) -> None:
        """Call the method ``name`` of each env with what is given for it."""
        for place, one in zip(self.places, given, strict=True):
            self.batch._call(name, (one,), {}, {place})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "places" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return Gathered(self, name)
