"""Envs that count: small enough that the expected value of every entry is obvious."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.envs.env_base import EnvBase
from envcli.errors import ConfigError
from envcli.keys import NestedKey
from envcli.rows.done_family import done_family
from envcli.specs import Bounded, Composite, TensorSpec, Unbounded

__all__ = ["FAULTS", "BrokenEnv", "CountingEnv", "DoubleEnv", "NestedEnv", "StatelessEnv"]


class CountingEnv(EnvBase):
    """Counts its steps.

    ``observation`` is the number of steps of this episode, ``start`` a number that the episode drew from the seed, and
    ``reward`` the action. An env of the batch is ``terminated`` after ``limit`` steps, ``truncated`` after
    ``time_limit``.

    Args:
        limit: steps of an episode, one number or one for each env of the batch.
        batch_size: ``[*batch]``.
        time_limit: steps after which an episode is cut; None: never.
        dtype: of observation, action and reward.
        group: where the keys are nested; ``()`` for the root.
    """

    def __init__(
        self,
        limit: int | Sequence[int] = 5,
        batch_size: Sequence[int] = (),
        *,
        time_limit: int | None = None,
        dtype: torch.dtype = torch.float32,
        group: tuple[str, ...] = (),
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__(device=device, batch_size=batch_size)
        self.limit = torch.as_tensor(limit, device=self.device).expand(self.batch_size).unsqueeze(-1)
        self.time_limit = time_limit
        self.steps_made = 0  # native steps since it was built: what a refused action must leave alone
        self._group, self._dtype = group, dtype
        self._shape = torch.Size([*self.batch_size, 1])
        self._count = torch.zeros(self._shape, dtype=torch.int64, device=self.device)
        self._start = torch.zeros(self._shape, device=self.device)
        self._generator = torch.Generator()
        self._make_specs()

    def _make_specs(self) -> None:
        number: dict[str, Any] = {"device": self.device, "dtype": self._dtype}
        self.observation_spec = self._composite(
            observation=Bounded(0, 1e6, shape=self._shape, **number),
            start=Bounded(0, 1, shape=self._shape, device=self.device, dtype=torch.float32),
        )
        self.full_action_spec = self._composite(action=Bounded(-1, 1, shape=self._shape, **number))
        self.full_reward_spec = self._composite(reward=Unbounded(self._shape, **number))
        self.full_done_spec = done_family(self.batch_size, self.device)

    def _composite(self, **leaves: TensorSpec) -> Composite:
        composite = Composite(shape=self.batch_size, device=self.device)
        for name, leaf in leaves.items():
            composite.set((*self._group, name), leaf)
        return composite

    def _key(self, name: str) -> NestedKey:
        return (*self._group, name)

    def _values(self, **values: torch.Tensor) -> TensorDict:
        result = TensorDict({}, batch_size=self.batch_size, device=self.device)
        for name, value in values.items():
            result.set(self._key(name), value)
        return result

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        where = torch.ones(self._shape, dtype=torch.bool, device=self.device)
        if tensordict is not None:
            where = tensordict.get("_reset", where)
        drawn = torch.rand(self._shape, generator=self._generator).to(self._start)
        self._count = torch.where(where, 0, self._count)
        self._start = torch.where(where, drawn, self._start)
        return self._values(observation=self._count.to(self._dtype), start=self._start)

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        action = tensordict.get(self._key("action"))
        self.steps_made += 1
        self._count = self._count + 1
        result = self._values(observation=self._count.to(self._dtype), start=self._start, reward=action.clone())
        result.set("terminated", self._count >= self.limit)
        late = self._count >= self.time_limit if self.time_limit is not None else torch.zeros_like(self._count) > 0
        return result.set("truncated", late)  # done follows from the two

    def _set_seed(self, seed: int | None) -> None:
        if seed is not None:
            self._generator.manual_seed(seed)


class NestedEnv(CountingEnv):
    """A :class:`CountingEnv` whose observation, action and reward stand under ``"agent"``."""

    def __init__(self, limit: int | Sequence[int] = 5, batch_size: Sequence[int] = ()) -> None:
        super().__init__(limit, batch_size, group=("agent",))


class DoubleEnv(CountingEnv):
    """A :class:`CountingEnv` with observation, action and reward of float64."""

    def __init__(self, limit: int | Sequence[int] = 5, batch_size: Sequence[int] = ()) -> None:
        super().__init__(limit, batch_size, dtype=torch.float64)


class StatelessEnv(EnvBase):
    """Remembers nothing: ``position`` moves by the action, and ends where ``goal`` says; both come in with each step.

    ``position`` is observation and state; ``goal`` is state only, and says where it was put by the reset.

    Args:
        goal: where an episode is terminated.
        batch_size: ``[*batch]``.
    """

    def __init__(self, goal: float = 3.0, batch_size: Sequence[int] = ()) -> None:
        super().__init__(batch_size=batch_size)
        self._goal = goal
        self._shape = torch.Size([*self.batch_size, 1])
        number = Unbounded(self._shape)
        self.observation_spec = Composite(position=number, shape=self.batch_size)
        self.state_spec = Composite(position=number, goal=number, shape=self.batch_size)
        self.action_spec = Bounded(0, 1, shape=self._shape, dtype=torch.float32)
        self.reward_spec = number

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        return TensorDict(
            {"position": torch.zeros(self._shape), "goal": torch.full(self._shape, self._goal)},
            batch_size=self.batch_size,
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        position = tensordict["position"] + tensordict["action"]
        return TensorDict(
            {
                "position": position,
                "reward": tensordict["action"].clone(),
                "terminated": position >= tensordict["goal"],
            },
            batch_size=self.batch_size,
        )

    def _set_seed(self, seed: int | None) -> None:
        pass  # nothing is drawn


FAULTS = {
    "accepts_any_action": "steps whatever it is given",
    "changes_root": "writes into the observation that it was given",
    "done_disagrees": "terminated, but not done",
    "forgets_reward": "pays nothing",
    "ignores_seed": "draws from a generator that no seed reaches",
    "keeps_counting": "a partial reset resets every env of the batch",
    "leaves_the_space": "shows numbers outside its observation_spec",
    "shares_memory": "hands the same tensor out again and again",
    "steps_first": "steps before it refuses an action",
    "steps_raise": "fails in every step",
    "stays_done": "is done right after its reset",
    "wrong_dtype": "shows float64 where its spec says float32",
    "wrong_seed": "set_seed returns the seed that it was given",
    "undeclared": "shows an entry that no spec announces",
}
"""What a :class:`BrokenEnv` can do wrong."""


class BrokenEnv(CountingEnv):
    """A :class:`CountingEnv` that breaks the contract in one way, to test what tests envs.

    Args:
        fault: one of :data:`FAULTS`.
        limit, batch_size: see :class:`CountingEnv`.

    Raises:
        ConfigError: there is no such fault.
    """

    def __init__(self, fault: str, limit: int | Sequence[int] = 5, batch_size: Sequence[int] = ()) -> None:
        if fault not in FAULTS:
            raise ConfigError(f"fault: expected one of {', '.join(FAULTS)}, found {fault!r}")
        self.fault = fault
        super().__init__(limit, batch_size)
        self._shared = torch.zeros(self._shape)

    def reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
        """See :class:`CountingEnv`."""
        result = super().reset(tensordict, **options)
        return result.set("done", torch.ones(self._shape, dtype=torch.bool)) if self.fault == "stays_done" else result

    def step(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :class:`CountingEnv`."""
        if self.fault == "steps_first":
            self._count = self._count + 1
        if self.fault == "accepts_any_action" and not self.action_spec.is_in(tensordict["action"]):
            tensordict["action"] = self.action_spec.zero()
        return super().step(tensordict)

    def set_seed(self, seed: int | None = None, static_seed: bool = False) -> int | None:
        """See :class:`CountingEnv`."""
        following = super().set_seed(seed, static_seed)
        return seed if self.fault == "wrong_seed" else following

    def _set_seed(self, seed: int | None) -> None:
        if self.fault == "ignores_seed":
            self._generator.seed()
        else:
            super()._set_seed(seed)

    def _reset(self, tensordict: TensorDictBase | None, **options: Any) -> TensorDictBase:
        if self.fault == "keeps_counting":
            tensordict = None
        return self._spoiled(super()._reset(tensordict, **options))

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        if self.fault == "steps_raise":
            raise ZeroDivisionError("the simulator fell over")
        if self.fault == "changes_root":
            tensordict["observation"] += 1
        result = super()._step(tensordict)
        if self.fault == "forgets_reward":
            del result["reward"]
        if self.fault == "done_disagrees":
            result.set("done", torch.zeros(self._shape, dtype=torch.bool))
        return self._spoiled(result)

    def _spoiled(self, result: TensorDictBase) -> TensorDictBase:
        shown = result["observation"]
        if self.fault == "leaves_the_space":
            result.set("observation", shown - 100)
        elif self.fault == "wrong_dtype":
            result.set("observation", shown.double())
        elif self.fault == "undeclared":
            result.set("surprise", shown.clone())
        elif self.fault == "shares_memory":
            result.set("observation", self._shared.copy_(shown))
        return result
