"""The contract of a policy that a YAML chooses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

from tensordict import TensorDictBase

from envcli.envs.env import Env

__all__ = ["BoundPolicy", "Policy"]

BoundPolicy: TypeAlias = Callable[[TensorDictBase], TensorDictBase]


class Policy(ABC):
    """A policy that does not know its env yet. In Python, ``env.rollout(n, policy)`` takes any callable."""

    @abstractmethod
    def bind(self, env: Env) -> BoundPolicy | None:
        """What ``env.rollout`` takes: a callable from TensorDict to TensorDict; None for random actions.

        Raises:
            ConfigError: it cannot act in ``env``; says why.
        """
