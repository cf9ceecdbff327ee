"""The contract of a world that is nothing but equations."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self, TypeAlias

import torch
from torch import Tensor

from envcli.errors import UnknownName
from envcli.specs import TensorSpec

__all__ = ["Dynamics", "Scalar", "along", "bounds", "clock", "columns", "joined"]

Scalar: TypeAlias = float | Tensor
"""A physical parameter: a number for all envs, or a tensor ``[*lead]``, one for each; gradients reach it."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dynamics(ABC):
    """The laws of one world. Its fields are its physical parameters; nothing else is kept.

    ``step`` is a pure function of its arguments: it works for any leading shape ``[*lead]``, on any device, in any
    floating dtype, under ``torch.vmap``, ``torch.compile`` and autograd. It knows neither episodes nor time limits.

    A subclass is a frozen dataclass and must write everything below that is abstract. It looks at its state by
    :func:`columns`, and leaves out ``addcmul``, ``lerp`` and the like, which round otherwise in the last envs of a
    batch than in the others.
    """

    name: ClassVar[str]
    """What users call it: the id of gymnasium that has the same equations."""

    max_episode_steps: ClassVar[int]
    """Steps after which that id truncates an episode."""

    state_size: ClassVar[int]
    """How many numbers a state is."""

    draws: ClassVar[int]
    """How many random numbers the start of an episode takes."""

    @property
    def step_seconds(self) -> float | None:
        """How long a step takes in the world's own time, in seconds; None without a clock, or where envs differ."""
        return None

    @property
    @abstractmethod
    def observation_spec(self) -> TensorSpec:
        """What ``observe`` gives for one env, ``[numbers]``; where bounds differ, for each, ``[*lead, numbers]``."""

    @property
    @abstractmethod
    def action_spec(self) -> TensorSpec:
        """What ``step`` takes for one env: a ``Categorical`` of shape ``[]``, or a ``Bounded`` of shape ``[size]``.

        Where bounds differ, for each, ``[*lead, size]``.
        """

    @abstractmethod
    def start(self, uniform: Tensor) -> Tensor:
        """A state ``[*lead, state_size]`` that an episode begins with.

        Args:
            uniform: ``[*lead, draws]``, random numbers of [0, 1).
        """

    @abstractmethod
    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What follows ``action`` in ``state``.

        Args:
            state: ``[*lead, state_size]``; it is not changed.
            action: ``[*lead]``, a choice, or ``[*lead, size]``.

        Returns:
            The next state, ``[*lead, state_size]``; the reward, ``[*lead]``; whether that ends the episode, ``[*lead]``
            bool.
        """

    @abstractmethod
    def observe(self, state: Tensor) -> Tensor:
        """What is seen of ``state``, ``[*lead, numbers]``, in its dtype; ``state`` itself where that is all of it."""

    @classmethod
    def parameter(cls, name: str) -> str:
        """``name``, if it is that of a physical parameter; else an UnknownName with the nearest."""
        known = [field.name for field in dataclasses.fields(cls)]
        if name not in known:
            raise UnknownName(f"parameter of {cls.name}", name, known)
        return name

    def replace(self, parameters: Mapping[str, Scalar]) -> Self:
        """The same laws with other parameters."""
        return dataclasses.replace(self, **parameters) if parameters else self


def columns(state: Tensor) -> tuple[Tensor, ...]:
    """The numbers of ``state``, ``[*lead, size]``, as ``size`` tensors ``[*lead]``, each dense.

    Dense, because torch rounds a sine of scattered numbers otherwise than one of numbers side by side, and rows of a
    rollout must be what single steps are.
    """
    return torch.unbind(state.movedim(-1, 0).contiguous())


def joined(*numbers: Tensor) -> Tensor:
    """Tensors ``[*lead]`` as one, ``[*lead, size]``: what :func:`columns` takes apart again.

    In memory they stay one after the other. To interleave 4 times 4,096 numbers takes 60 us, and to part them again 77;
    all the rest of a step of CartPole takes 150.
    """
    return torch.stack(numbers).movedim(0, -1)


def bounds(*numbers: Scalar) -> Tensor:
    """``numbers`` as a bound of a spec, ``[size]``, or of tensors ``[*lead, size]``; on the host, without a graph."""
    tensors = [torch.as_tensor(number, dtype=torch.float32).detach().cpu() for number in numbers]
    return torch.stack(torch.broadcast_tensors(*tensors), -1)  # type: ignore[no-untyped-call]  # torch's own


def clock(seconds: Scalar) -> float | None:
    """``seconds``, if they are the same for all envs."""
    if not isinstance(seconds, Tensor):
        return float(seconds)
    found = set(seconds.flatten().tolist())
    return float(found.pop()) if len(found) == 1 else None


def along(parameter: Scalar) -> Scalar:
    """``parameter``, to be multiplied with a state: ``[*lead]`` becomes ``[*lead, 1]``."""
    return parameter.unsqueeze(-1) if isinstance(parameter, Tensor) else parameter
