"""The action nearest to zero."""

from __future__ import annotations

from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.keys import as_user_key
from envcli.policies.policy import BoundPolicy, Policy

__all__ = ["ZeroPolicy"]


class ZeroPolicy(Policy):
    """Always ``action_spec.zero()``: zeros, or the nearest the space holds (the first action of a discrete one)."""

    def bind(self, env: Env) -> BoundPolicy:
        """A policy that reads nothing."""
        return _Constant(env)


class _Constant:
    in_keys: tuple[str, ...] = ()

    def __init__(self, env: Env) -> None:
        self._actions = [(as_user_key(path), leaf.zero()) for path, leaf in env.full_action_spec.leaves().items()]

    def __call__(self, tensordict: TensorDictBase) -> TensorDictBase:
        for key, value in self._actions:
            tensordict.set(key, value)
        return tensordict
