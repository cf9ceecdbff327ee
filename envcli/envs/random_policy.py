"""Random actions, for code that needs a policy."""

from __future__ import annotations

from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.errors import EnvError
from envcli.keys import NestedKey
from envcli.specs import Composite, TensorSpec

__all__ = ["RandomPolicy"]


class RandomPolicy:
    """Writes an action drawn from ``action_spec`` by torch's global generator, and reads nothing.

    A rollout without a policy does the same, many steps at a time, and draws among the choices that a mask in the data
    allows, which this one does not know.

    >>> from tensordict import TensorDict
    >>> from envcli import Bounded
    >>> RandomPolicy(Bounded(-1, 1, [3]))(TensorDict())["action"].shape
    torch.Size([3])

    Args:
        action_spec: of one entry, or a Composite of all: an env's ``action_spec`` or ``full_action_spec``. None: it
            is set later.
        action_key: where the action is written; of a Composite, its own keys count.
    """

    in_keys: tuple[NestedKey, ...] = ()

    def __init__(self, action_spec: TensorSpec | None = None, action_key: NestedKey = "action") -> None:
        self.action_spec, self.action_key = action_spec, action_key

    def set_action_spec_from_env(self, env: Env) -> None:
        """Take all actions of ``env``, unless there is a spec already."""
        if self.action_spec is None:
            self.action_spec = env.full_action_spec

    def __call__(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``tensordict`` with the action.

        Raises:
            EnvError: there is no spec yet.
        """
        if self.action_spec is None:
            raise EnvError("RandomPolicy has no action_spec. Give it one, or call set_action_spec_from_env(env)")
        if isinstance(self.action_spec, Composite):
            return tensordict.update(self.action_spec.rand())
        return tensordict.set(self.action_key, self.action_spec.rand())

    def __repr__(self) -> str:
        return f"RandomPolicy({self.action_spec!r})"
