"""Random actions."""

from __future__ import annotations

from envcli.envs.env import Env
from envcli.policies.policy import Policy

__all__ = ["Random"]


class Random(Policy):
    """Every action drawn from the action spec, by torch's global generator, many steps at a time."""

    def bind(self, env: Env) -> None:
        """None: that is what ``env.rollout`` does by itself."""
        return None
