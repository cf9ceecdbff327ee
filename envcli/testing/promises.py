"""What every env promises: one function for each promise, which returns if it is kept and raises if it is not.

The first line of a docstring is the promise in plain words; ``envcli check`` shows it. An env is reset and stepped here,
never closed. Random numbers come from torch's global generator, which the caller holds (``torch.random.fork_rng``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.env import Env
from envcli.env_specs import leaf_specs
from envcli.errors import SpecError
from envcli.keys import Key, as_path, as_user_key
from envcli.mdp import leaf_paths
from envcli.seeding import seed_chain
from envcli.specs import Composite, TensorSpec

__all__ = ["PROMISES", "Promise"]

Promise = Callable[[Env], None]

PROMISES: dict[str, Promise] = {}
"""Name -> promise, in the order in which they are worth reading."""

_STEPS = 20


def _promise(function: Promise) -> Promise:
    PROMISES[function.__name__.removeprefix("_").replace("_", " ")] = function
    return function


# -- what specs say ---------------------------------------------------------------------------------------------------


@_promise
def _specs_agree(env: Env) -> None:
    """every spec begins with batch_size, is on the env's device, and no key is used twice"""
    lead = env.batch_size
    for family in ("observation", "action", "reward", "done", "state"):
        for path, leaf in leaf_specs(getattr(env, f"full_{family}_spec")).items():
            name = f"full_{family}_spec {_dotted(path)}"
            _require(leaf.shape[: len(lead)] == lead, f"{name} has shape {list(leaf.shape)}, batch_size is {list(lead)}")
            _require(path[0] != "next" and path[-1] != "_reset", f"{name}: 'next' and '_reset' are taken")
            if env.device is not None:
                _require(leaf.device == env.device, f"{name} is on {leaf.device}, the env on {env.device}")
    observation, action, reward, done = map(set, map(_leaves, _families(env)))
    for one, other in ((observation, action), (observation, reward), (observation, done), (action, done), (reward, done)):
        _require(not one & other, f"used in two families: {', '.join(map(_dotted, one & other))}")


@_promise
def _done_is_declared(env: Env) -> None:
    """the done family is bool, and holds a 'done'"""
    leaves = leaf_specs(env.full_done_spec)
    _require(any(path[-1] == "done" for path in leaves), f"no 'done' among {list(map(_dotted, leaves))}")
    for path, leaf in leaves.items():
        _require(leaf.dtype == torch.bool, f"{_dotted(path)} is {leaf.dtype}")


# -- reset ------------------------------------------------------------------------------------------------------------


@_promise
def _reset_keeps_to_the_specs(env: Env) -> None:
    """reset shows what the specs announce, no more and no less, and nothing is done yet"""
    shown = env.reset()
    _require_members(shown, [env.observation_spec, env.state_spec, env.full_done_spec], "reset")
    _require(shown.batch_size == env.batch_size, f"reset: batch_size {list(shown.batch_size)}, the env's is {list(env.batch_size)}")
    _require(shown.device == env.device, f"reset: device {shown.device}, the env's is {env.device}")
    for key in env.done_keys:
        _require(not shown.get(key).any(), f"reset: {key!r} is true")


@_promise
def _reset_fills_what_it_is_given(env: Env) -> None:
    """reset(tensordict) returns that same tensordict and leaves other entries alone"""
    given = TensorDict({"note": torch.ones(env.batch_size)}, batch_size=env.batch_size, device=env.device)
    _require(env.reset(given) is given, "reset returned another object")
    _require("note" in given, "reset removed an entry that is not its own")


@_promise
def _reset_resets_only_whom_it_names(env: Env) -> None:
    """reset with a "_reset" mask leaves the other envs where they are"""
    if env.numel() < 2:
        return
    mask = torch.zeros(env.batch_size, dtype=torch.bool, device=env.device)
    mask.view(-1)[0] = True
    states: list[TensorDictBase] = []
    for partial in (False, True):  # twice the same two steps, once with a reset of the first env between them
        state, actions = _started(env), _actions(env, 2)
        state = env.step_mdp(env.step(state.update(actions[0])))
        if partial:
            for key in env.reset_keys:
                state.set(key, mask.unsqueeze(-1))
            env.reset(state)
            _require(not any(key in state.keys(True) for key in env.reset_keys), "'_reset' was left in the tensordict")
        states.append(env.step(state.update(actions[1]))["next"])
    for key in env.observation_keys:
        _require(_same(states[0].get(key)[~mask], states[1].get(key)[~mask]), f"{key!r} of an env that was not named changed")


# -- step -------------------------------------------------------------------------------------------------------------


@_promise
def _step_keeps_to_the_specs(env: Env) -> None:
    """step writes what the specs announce under "next", no more and no less, into the tensordict it was given"""
    given = env.rand_action(env.reset())
    before = given.clone()
    _require(env.step(given) is given, "step returned another object")
    _require_members(given["next"], [env.observation_spec, env.full_reward_spec, env.full_done_spec], "step: next")
    for path in leaf_paths(before):
        key = as_user_key(path)
        _require(_same(before.get(key), given.get(key)), f"step changed {key!r} at the root")


@_promise
def _done_is_either(env: Env) -> None:
    """done is terminated or truncated, in every step"""
    following = env.rollout(_STEPS, break_when_any_done=False)["next"]
    manual = env.rand_step(env.reset())["next"]
    for shown in (following, manual):
        for key in env.done_keys:
            if as_path(key)[-1] == "done":
                group = [k for k in env.done_keys if as_path(k)[:-1] == as_path(key)[:-1] and k != key]
                either = torch.stack([shown.get(k) for k in group]).any(0) if group else shown.get(key)
                _require(_same(shown.get(key), either), f"{key!r} is not what {group} say")


@_promise
def _every_step_is_fresh_memory(env: Env) -> None:
    """what was handed out does not change when the env goes on"""
    kept: list[tuple[TensorDictBase, TensorDictBase]] = []

    def keep(shown: TensorDictBase) -> TensorDictBase:
        kept.append((shown, shown.clone()))
        return shown

    state = keep(env.reset())
    for _ in range(3):
        state = env.step_mdp(keep(env.rand_step(state.copy())))
    keep(env.rollout(3))
    env.rollout(3)
    env.rand_step(env.reset())
    for shown, copied in kept:
        for path in leaf_paths(copied):
            _require(_same(shown.get(as_user_key(path)), copied.get(as_user_key(path))), f"{_dotted(path)} changed later")


@_promise
def _step_mdp_moves_next_to_the_root(env: Env) -> None:
    """step_mdp gives what the next step takes: next without the reward, and what else stood at the root"""
    stepped = env.rand_step(env.reset().set("note", torch.ones(env.batch_size, device=env.device)))
    moved = env.step_mdp(stepped)
    _require("next" not in moved, "'next' was not moved")
    _require("note" in moved, "an entry of the root was lost")
    for key in env.reward_keys:
        _require(moved.get(key, None) is None, f"{key!r} describes the step that was made, and must not stay")
    for key in (*env.observation_keys, *env.done_keys):
        _require(_same(moved.get(key), stepped["next"].get(key)), f"{key!r} is not that of 'next'")


# -- actions ----------------------------------------------------------------------------------------------------------


@_promise
def _random_actions_are_allowed(env: Env) -> None:
    """rand_action writes a member of the action spec"""
    for _ in range(_STEPS):
        _require_members(env.rand_action(), [env.full_action_spec], "rand_action")


@_promise
def _wrong_actions_are_refused(env: Env) -> None:
    """an action of a wrong shape or outside its spec is refused before it reaches the simulator"""
    for path, leaf in leaf_specs(env.full_action_spec).items():
        for wrong in _wrong(leaf, env.ndim):
            following = []
            for first in (None, wrong):
                state, action = _started(env), _actions(env, 1)[0]
                if first is not None:
                    attempt = state.clone().update(action.clone()).set(as_user_key(path), first)
                    _require(_refuses(env, attempt), f"{_dotted(path)}: {_abridged(first)} was taken")
                following.append(env.step(state.update(action))["next"])
            _require_equal(following[0], following[1], f"after {_abridged(wrong)} was refused, the env had moved")


# -- rollouts ---------------------------------------------------------------------------------------------------------


@_promise
def _rollouts_have_the_layout(env: Env) -> None:
    """rollout gives [*batch, time] with the keys, shapes and dtypes of fake_tensordict, and values in the specs"""
    data, fake = env.rollout(_STEPS), env.fake_tensordict()
    _require(data.batch_size[:-1] == env.batch_size, f"rollout: batch_size {list(data.batch_size)}")
    _require(data.names[-1] == "time", f"rollout: the last dimension is named {data.names[-1]!r}")
    _require_keys(data, leaf_paths(fake), "rollout")
    for path in leaf_paths(fake):
        made, zero = data.get(as_user_key(path)), fake.get(as_user_key(path))
        described = (made.dtype, made.shape[env.ndim + 1 :]), (zero.dtype, zero.shape[env.ndim :])
        _require(described[0] == described[1], f"rollout: {_dotted(path)} is {described[0]}, fake_tensordict says {described[1]}")
    steps = data.movedim(env.ndim, 0)  # a spec takes leading dimensions, and time is one
    for family in (env.observation_spec, env.full_action_spec, env.full_done_spec):
        _require_inside(steps, family, "rollout")
    _require_inside(steps["next"], env.full_reward_spec, "rollout: next")


@_promise
def _rollouts_are_chains(env: Env) -> None:
    """within an episode, the root of a step is the next of the step before; where one ended, a new one begins"""
    data = env.rollout(_STEPS, break_when_any_done=False)
    _require(data.batch_size[-1] == _STEPS, f"rollout: {data.batch_size[-1]} steps where {_STEPS} were asked for")
    data = data.movedim(env.ndim, 0)
    ended = _any_done(env, data["next"][:-1])
    for key in (*env.observation_keys, *env.done_keys):
        later, before = data.get(key)[1:], data["next"].get(key)[:-1]
        _require(_same(later[~ended], before[~ended]), f"{key!r} of a step is not the 'next' of the step before")
    _require(not _any_done(env, data).any(), "a step begins with an env that is done")


@_promise
def _rollouts_stop_at_done(env: Env) -> None:
    """rollout ends with the first env that is done"""
    data = env.rollout(_STEPS).movedim(env.ndim, 0)
    ended = _any_done(env, data["next"]).reshape(len(data), -1).any(-1)
    _require(not ended[:-1].any(), "it went on after a step that was done")
    _require(bool(ended[-1]) or len(data) == _STEPS, f"it stopped after {len(data)} of {_STEPS} steps without a reason")


@_promise
def _rollouts_are_steps(env: Env) -> None:
    """rollout and step, given the same seed and actions, give the same bits"""
    state, actions = _started(env), _actions(env, _STEPS)
    data = env.rollout(_STEPS, _replay(actions), auto_reset=False, tensordict=state.clone()).movedim(env.ndim, 0)
    state = _started(env)
    for t in range(len(data)):
        stepped = env.step(state.update(actions[t]))
        _require_equal(data[t], stepped, f"step {t}")
        state = env.step_mdp(stepped)


# -- seeds ------------------------------------------------------------------------------------------------------------


@_promise
def _seeds_repeat(env: Env) -> None:
    """the same seeds give the same bits"""
    seed = _drawn_seed()
    runs = []
    for _ in range(2):
        torch.manual_seed(seed)
        env.set_seed(seed)
        runs.append(env.rollout(_STEPS, break_when_any_done=False))
    _require_equal(runs[0], runs[1], "the second run")


@_promise
def _seeds_are_a_chain(env: Env) -> None:
    """set_seed returns the seed for the next env in line, or the same one if static_seed"""
    seed = _drawn_seed()
    following = env.set_seed(seed)
    chain = seed_chain(seed, max(env.numel(), 1))[1:]
    _require(following in chain, f"set_seed({seed}) returned {following}, expected {chain[0]}")
    _require(env.set_seed(seed, static_seed=True) == seed, "set_seed(seed, static_seed=True) returned another seed")


# -- the tools --------------------------------------------------------------------------------------------------------


def _require(kept: bool, complaint: str) -> None:
    if not kept:
        raise SpecError(complaint)


def _families(env: Env) -> tuple[Composite, ...]:
    return env.observation_spec, env.full_action_spec, env.full_reward_spec, env.full_done_spec


def _leaves(spec: Composite) -> Iterable[Key]:
    return leaf_specs(spec)


def _dotted(path: Key) -> str:
    return ".".join(path)


def _abridged(value: torch.Tensor) -> str:
    return f"{value.tolist()}" if value.numel() <= 8 else f"a value of shape {list(value.shape)}"


def _require_keys(shown: TensorDictBase, expected: Iterable[Key], where: str) -> None:
    found, wanted = set(leaf_paths(shown)), set(expected)
    _require(found >= wanted, f"{where}: missing {sorted(map(_dotted, wanted - found))}")
    _require(found <= wanted, f"{where}: no spec announces {sorted(map(_dotted, found - wanted))}")


def _require_members(shown: TensorDictBase, specs: list[Composite], where: str) -> None:
    _require_keys(shown, [path for spec in specs for path in leaf_specs(spec)], where)
    for spec in specs:
        _require_inside(shown, spec, where)
        for path, leaf in leaf_specs(spec).items():
            shape = shown.get(as_user_key(path)).shape
            _require(shape == leaf.shape, f"{where}: {_dotted(path)} has shape {list(shape)}, its spec says {list(leaf.shape)}")


def _require_inside(shown: TensorDictBase, spec: Composite, where: str) -> None:
    for path, leaf in leaf_specs(spec).items():
        value = shown.get(as_user_key(path))
        _require(leaf.is_in(value), f"{where}: {_dotted(path)} is not in its spec. {leaf._complaint(value)}")


def _require_equal(one: TensorDictBase, other: TensorDictBase, where: str) -> None:
    _require_keys(other, leaf_paths(one), where)
    for path in leaf_paths(one):
        _require(_same(one.get(as_user_key(path)), other.get(as_user_key(path))), f"{where}: {_dotted(path)} differs")


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """The same dtype, shape and values, NaN being equal to itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return bool(((one == other) | ((one != one) & (other != other))).all())


def _drawn_seed() -> int:
    return int(torch.randint(2**31 - 1, ()))


def _started(env: Env, seed: int = 7) -> TensorDictBase:
    env.set_seed(seed)
    return env.reset()


def _actions(env: Env, steps: int, seed: int = 11) -> list[TensorDictBase]:
    """The same random actions in every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return [env.rand_action() for _ in range(steps)]


def _replay(actions: list[TensorDictBase]) -> Callable[[TensorDictBase], TensorDictBase]:
    left = iter(actions)
    return lambda tensordict: tensordict.update(next(left))


def _any_done(env: Env, shown: TensorDictBase) -> torch.Tensor:
    """``[time, *batch]`` bool."""
    flags = [shown.get(key).reshape(*shown.batch_size, -1).any(-1) for key in env.done_keys]
    return torch.stack(flags).any(0)


def _wrong(leaf: TensorSpec, lead: int) -> list[torch.Tensor]:
    """Values that ``leaf`` does not hold: another shape, and whichever extremes of its dtype lie outside."""
    right = leaf.rand()
    extremes: list[Any] = [float("nan"), float("inf")] if right.dtype.is_floating_point else [2, -1, 127]
    outside = [right.clone().fill_(extreme) for extreme in extremes if right.dtype != torch.bool]
    return [torch.stack([right, right], lead), *(value for value in outside if not leaf.is_in(value))]


def _refuses(env: Env, tensordict: TensorDictBase) -> bool:
    try:
        env.step(tensordict)
    except SpecError:
        return True
    return False
