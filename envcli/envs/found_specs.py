"""The specs of an env, found by making one step of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase

from envcli.errors import EnvError
from envcli.keys import DONE_FAMILY, Key, NestedKey, as_keys, as_path, as_user_key
from envcli.mdp import leaf_paths
from envcli.specs import Categorical, Composite
from envcli.specs.of_tensordict import make_composite_from_td

__all__ = ["FoundSpecs"]

Keys = NestedKey | Sequence[NestedKey]


class FoundSpecs:
    """What a step looks like: ``acted``, the root with an action, and ``following``, what ``_step`` made of it.

    Args:
        acted, following: ``[*lead, *batch]``.
        ndim: how many dimensions the batch of the env has; those before it are none of the specs'.
        action, reward, observation: the keys of each; what else is in ``acted`` is state.
        done: the keys of the flags; None: the entries that are called ``done``, ``terminated`` or ``truncated``.

    Raises:
        EnvError: an entry of ``following`` is none of these.
    """

    def __init__(
        self,
        acted: TensorDictBase,
        following: TensorDictBase,
        ndim: int,
        *,
        action: Keys,
        reward: Keys,
        observation: Keys,
        done: Keys | None,
    ) -> None:
        first = (0,) * (acted.ndim - ndim)
        acted, following = acted[first], following[first]
        flags = [path for path in leaf_paths(following) if path[-1] in DONE_FAMILY] if done is None else done
        chosen = list(map(as_path, as_keys(action)))
        given = {"reward": reward, "observation": observation, "done": flags}
        named = {family: list(map(as_path, as_keys(keys))) for family, keys in given.items()}
        loose = [path for path in leaf_paths(following) if not any(path in paths for paths in named.values())]
        if loose:
            raise EnvError(
                f"auto_specs_: _step returned {[as_user_key(path) for path in loose]}, which no argument names. Name "
                "it, such as observation_key=[...]"
            )
        self.action = _composite(acted, chosen)
        self.observation = _composite(following, named["observation"])
        self.reward = _composite(following, named["reward"])
        self.done = _composite(following, named["done"])
        for path, leaf in self.done.leaves().items():
            self.done[as_user_key(path)] = Categorical(2, leaf.shape, dtype=torch.bool, device=leaf.device)
        others = {*chosen, *named["reward"], *named["done"]}
        self.state = _composite(acted, [p for p in leaf_paths(acted) if p not in others and p[-1] not in DONE_FAMILY])


def _composite(tensordict: TensorDictBase, paths: Sequence[Key]) -> Composite:
    """The spec of those of ``paths`` that are there."""
    return make_composite_from_td(
        tensordict.select(*map(as_user_key, paths), strict=False), unsqueeze_null_shapes=False
    )
