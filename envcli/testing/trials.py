"""What a promise is tried with: an env at a known start, actions that come again, and actions that are wrong."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.errors import SpecError
from envcli.keys import Key, as_user_key, groups_above
from envcli.mdp import leaf_paths
from envcli.seeding import draw_from, drawing_from
from envcli.specs import TensorSpec
from envcli.testing.requirements import same_bits

__all__ = [
    "acting",
    "any_done",
    "drawn_seed",
    "learns",
    "learnt",
    "offered",
    "refuses",
    "repeats",
    "started",
    "wrong_values",
]


def drawn_seed() -> int:
    """A seed from torch's global generator."""
    return int(torch.randint(2**31 - 1, ()))


def learnt(env: Env) -> dict[str, Any]:
    """What the env has learnt by now: a copy, which stays as it is."""
    return copy.deepcopy(env.state_dict())


def started(env: Env, known: Mapping[str, Any], seed: int = 7) -> TensorDictBase:
    """A reset after ``set_seed(seed)``, of an env that knows what :func:`learnt` gave.

    Torch's global generator is seeded too: an env may draw from it, as many of TorchRL's do.
    """
    if known:
        env.load_state_dict(known)
    draw_from(seed)
    env.set_seed(seed)
    return env.reset()


def learns(env: Env, known: Mapping[str, Any]) -> bool:
    """Does a step change what the env knows?"""
    if not known:
        return False
    env.rand_step(started(env, known))
    before, after = (list(_tensors(state)) for state in (known, env.state_dict()))
    return len(before) != len(after) or not all(map(same_bits, before, after))


def _tensors(state: Any) -> Iterator[torch.Tensor]:
    """Those of a state dict, however deep."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, Mapping | list | tuple):
        for part in state.values() if isinstance(state, Mapping) else state:
            yield from _tensors(part)


def acting(env: Env, seed: int = 11) -> Callable[[TensorDictBase], TensorDictBase]:
    """A policy of random actions: from the same moments it does the same in every run."""
    seeds = itertools.count(seed)

    def act(tensordict: TensorDictBase) -> TensorDictBase:
        with drawing_from(next(seeds)):
            return env.rand_action(tensordict)

    return act


def repeats(env: Env, known: Mapping[str, Any], steps: int) -> bool:
    """Does the env make the same ``steps``, or those until an episode ends, after :func:`started` as it did before?"""
    runs: list[list[TensorDictBase]] = []
    for _ in range(2):
        state, act = started(env, known), acting(env)
        runs.append([])
        for _ in range(steps):
            runs[-1].append(env.step(act(state)).clone())
            if any_done(env, runs[-1][-1]["next"]).any():
                break
            state = env.step_mdp(runs[-1][-1])
    return len(runs[0]) == len(runs[1]) and all(map(_same, *runs))


def _same(one: TensorDictBase, other: TensorDictBase) -> bool:
    keys = [as_user_key(path) for path in leaf_paths(one)]
    return all(same_bits(one.get(key), other.get(key)) for key in keys)


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
    for group in groups_above(path):
        tensordict.get(group).batch_size = tensordict.batch_size
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
