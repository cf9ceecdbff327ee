"""What a promise is tried with: an env at a known start, actions that come again, and actions that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.errors import SpecError
from envcli.keys import Key, as_user_key
from envcli.seeding import drawing_from
from envcli.specs import TensorSpec

__all__ = ["any_done", "drawn_seed", "fixed_actions", "offered", "refuses", "replay", "started", "wrong_values"]


def drawn_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.randint(2**31 - 1, ()))


def started(env: Env, seed: int = 7) -> TensorDictBase:
    """A reset after ``set_seed(seed)``."""
    env.set_seed(seed)
    return env.reset()


def fixed_actions(env: Env, steps: int, seed: int = 11) -> list[TensorDictBase]:
    """The same random actions in every call."""
    with drawing_from(seed):
        return [env.rand_action() for _ in range(steps)]


def replay(actions: list[TensorDictBase]) -> Callable[[TensorDictBase], TensorDictBase]:
    """A policy that takes ``actions`` one after the other."""
    left = iter(actions)
    return lambda tensordict: tensordict.update(next(left))


def any_done(env: Env, shown: TensorDictBase) -> torch.Tensor:
    """``[time, *batch]`` bool."""
    flags = [shown.get(key).reshape(*shown.batch_size, -1).any(-1) for key in map(as_user_key, env._governing_flags())]
    return torch.stack(flags).any(0)


def wrong_values(leaf: TensorSpec, lead: int) -> list[torch.Tensor]:
    """Values that ``leaf`` does not hold: another shape, and whichever extremes of its dtype lie outside."""
    right = leaf.rand()
    extremes: list[Any] = [float("nan"), float("inf")] if right.dtype.is_floating_point else [2, -1, 127]
    outside = [right.clone().fill_(extreme) for extreme in extremes if right.dtype != torch.bool]
    return [torch.stack([right, right], lead), *(value for value in outside if not leaf.is_in(value))]


def offered(tensordict: TensorDictBase, path: Key, value: torch.Tensor) -> TensorDictBase:
    """``tensordict`` with ``value`` at ``path``, whatever its shape: what holds it forgets a batch size of its own."""
    for depth in range(1, len(path)):
        tensordict.get(path[:depth]).batch_size = tensordict.batch_size
    return tensordict.set(as_user_key(path), value)


def refuses(env: Env, tensordict: TensorDictBase) -> bool:
    """Does ``step`` refuse ``tensordict``? Whoever takes any batch size may do so in its own way."""
    try:
        env.step(tensordict)
    except SpecError:
        return True
    except Exception:
        if env.batch_locked:
            raise
        return True
    return False
