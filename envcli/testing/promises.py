"""What every env promises: one function for each promise, which returns if it is kept and raises if it is not.

It returns None, or words for what did not happen meanwhile, so that a part of the promise was not seen.

The first line of a docstring is the promise in plain words; ``envcli check`` shows it. An env is reset and stepped
here, never closed. Random numbers come from torch's global generator, which the caller holds.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from tensordict import TensorDictBase

from envcli.envs.env import Env
from envcli.keys import DONE_FAMILY, as_path, as_user_key, under_next
from envcli.mdp import leaf_paths
from envcli.rows.env_specs import FAMILIES
from envcli.rows.parts import flag_parts, over_part
from envcli.seeding import drawing_from, seed_chain
from envcli.testing.requirements import (
    abridged,
    dotted,
    require,
    require_equal,
    require_inside,
    require_keys,
    require_members,
    same_bits,
)
from envcli.testing.trials import (
    acting,
    any_done,
    drawn_seed,
    learns,
    learnt,
    offered,
    refuses,
    repeats,
    started,
    wrong_values,
)

__all__ = ["PROMISES", "Promise", "rollouts_begin_there"]

Promise = Callable[[Env], str | None]

PROMISES: dict[str, Promise] = {}
"""Name -> promise, in the order in which they are worth reading."""

_STEPS = 20

_FREE = "an env that takes TensorDicts of any batch size may take any action too, as in TorchRL"

_UNREPEATED = "equal seeds do not repeat the env, which leaves nothing to compare with"


def _unended(seen: torch.Tensor | bool) -> str | None:
    """What to say unless the end of an episode was ``seen``."""
    return None if bool(seen) else f"no episode ended before step {_STEPS}"


def _promise(function: Promise) -> Promise:
    PROMISES[function.__name__.removeprefix("_").replace("_", " ")] = function
    return function


# -- what specs say ---------------------------------------------------------------------------------------------------


@_promise
def _specs_agree(env: Env) -> None:
    """all specs begin with batch_size and are on the env's device, and no key is used twice"""
    lead = env.batch_size
    for family in FAMILIES:
        for path, leaf in getattr(env, f"full_{family}_spec").leaves().items():
            name = f"full_{family}_spec {dotted(path)}"
            require(leaf.shape[: len(lead)] == lead, f"{name} has shape {list(leaf.shape)}, batch_size is {list(lead)}")
            require(path[0] != "next" and path[-1] != "_reset", f"{name}: 'next' and '_reset' are taken")
            if env.device is not None:
                require(leaf.device == env.device, f"{name} is on {leaf.device}, the env on {env.device}")
    observation, action, reward, done = (
        set(spec.leaves())
        for spec in (env.observation_spec, env.full_action_spec, env.full_reward_spec, env.full_done_spec)
    )
    for one, other in (
        (observation, action - env._roles().recurrent),  # a TensorDictPrimer may show the last action
        (observation, reward),
        (observation, done),
        (action, done),
        (reward, done),
    ):
        require(not one & other, f"used in two families: {', '.join(map(dotted, one & other))}")


@_promise
def _done_is_declared(env: Env) -> None:
    """all end-of-episode flags are bool, and 'done', 'terminated' or 'truncated' is among them"""
    leaves = env.full_done_spec.leaves()
    require(any(path[-1] in DONE_FAMILY for path in leaves), f"no 'done' among {list(map(dotted, leaves))}")
    for path, leaf in leaves.items():
        require(leaf.dtype == torch.bool, f"{dotted(path)} is {leaf.dtype}")


# -- reset ------------------------------------------------------------------------------------------------------------


@_promise
def _reset_keeps_to_the_specs(env: Env) -> None:
    """reset returns exactly the entries in the specs, and nothing is done yet"""
    shown = env.reset()
    begun_with = env.state_spec.clone()  # without what a step leaves behind
    for path in env._roles().writes_back:
        del begun_with[as_user_key(path)]
    require_members(shown, [env.observation_spec, begun_with, env.full_done_spec], "reset")
    require(
        shown.batch_size == env.batch_size,
        f"reset: batch_size {list(shown.batch_size)}, the env's is {list(env.batch_size)}",
    )
    on_host = shown.device is None and str(env.device) == "cpu"
    require(on_host or shown.device == env.device, f"reset: device {shown.device}, the env's is {env.device}")
    for key in env.done_keys:
        require(not shown.get(key).any(), f"reset: {key!r} is true")


@_promise
def _reset_fills_what_it_is_given(env: Env) -> None:
    """reset(tensordict) returns the same tensordict, and leaves its other entries unchanged"""
    given = env.reset()  # an env may read its own parameters from it, as the one of TorchRL's pendulum tutorial does
    given.set("note", torch.ones(env.batch_size, device=env.device))
    require(env.reset(given) is given, "reset returned another object")
    require("note" in given, "reset removed an entry that is not its own")


@_promise
def _reset_resets_only_whom_it_names(env: Env) -> str | None:
    """reset with a "_reset" mask does not touch the other envs"""
    known = learnt(env)
    if env.numel() < 2:
        return None
    if learns(env, known):
        return "the env learns, so what it learns of one shows in the others"
    if not repeats(env, known, 2):
        return _UNREPEATED
    mask = torch.zeros(env.batch_size, dtype=torch.bool, device=env.device)
    mask.view(-1)[0] = True
    states: list[TensorDictBase] = []
    for partial in (False, True):  # twice the same two steps, once with a reset of the first env between them
        act = acting(env)
        state = env.step_mdp(env.step(act(started(env, known))))
        if partial:
            for group, part in flag_parts(env).items():
                named = over_part(mask.cpu().numpy(), part)
                state.set(as_user_key((*group, "_reset")), torch.tensor(named, device=env.device))
            with drawing_from(13):  # or the others, if they draw from torch's global generator, went on elsewhere in it
                env.reset(state)
            require(not any(key in state.keys(True) for key in env.reset_keys), "'_reset' was left in the tensordict")
        states.append(env.step(act(state))["next"])
    for key in env.observation_keys:
        require(
            same_bits(states[0].get(key)[~mask], states[1].get(key)[~mask]),
            f"{key!r} of an env that was not named changed",
        )
    return None


# -- step -------------------------------------------------------------------------------------------------------------


@_promise
def _step_keeps_to_the_specs(env: Env) -> None:
    """step writes exactly the entries in the specs under "next", into the tensordict it is given

    A state that no spec of the outputs shows may be there too, as it was.
    """
    given = env.rand_action(env.reset())
    before = given.clone()
    require(env.step(given) is given, "step returned another object")
    following = _without_states(env, given)["next"]
    require_members(following, [env.observation_spec, env.full_reward_spec, env.full_done_spec], "step: next")
    for path in leaf_paths(before):
        key = as_user_key(path)
        require(same_bits(before.get(key), given.get(key)), f"step changed {key!r} at the root")


def _without_states(env: Env, stepped: TensorDictBase) -> TensorDictBase:
    """``stepped`` without the states under "next" that are no outputs: a rollout has no room for them."""
    shown = {path for spec in (env.observation_spec, env.full_reward_spec) for path in spec.leaves()}
    left = [as_user_key(path) for path in env.state_spec.leaves() if path not in shown]
    again = [key for key in left if stepped["next"].get(key, None) is not None]
    for key in again:
        same = same_bits(stepped["next"].get(key), stepped.get(key))
        require(same, f"step changed the state {key!r}. Add it to observation_spec, or a rollout keeps the old value")
    return stepped.exclude(*(under_next(as_path(key)) for key in again))


@_promise
def _done_is_either(env: Env) -> str | None:
    """done is true exactly when terminated or truncated is; flags set to leave done alone are exempt"""
    following = env.rollout(_STEPS, break_when_any_done=False)["next"]
    manual = env.rand_step(env.reset())["next"]
    for shown in (following, manual):
        for key in (key for key in env.done_keys if as_path(key)[-1] == "done"):
            done, apart = shown.get(key), env._roles().independent_ends
            group = [k for k in env.done_keys if as_path(k)[:-1] == as_path(key)[:-1] and k != key]
            most = torch.stack([shown.get(k) for k in group]).any(0) if group else done
            binding = [shown.get(k) for k in group if as_path(k) not in apart]
            least = most if len(binding) == len(group) else torch.stack([torch.zeros_like(done), *binding]).any(0)
            require(bool(((least <= done) & (done <= most)).all()), f"{key!r} is not what {group} say")
    return _unended(any_done(env, following).any())


@_promise
def _every_step_is_fresh_memory(env: Env) -> None:
    """returned data does not change when the env steps on"""
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
            require(
                same_bits(shown.get(as_user_key(path)), copied.get(as_user_key(path))), f"{dotted(path)} changed later"
            )


@_promise
def _step_mdp_moves_next_to_the_root(env: Env) -> None:
    """step_mdp returns the input of the next step: "next" without the reward, and the other root entries"""
    states = env.state_keys
    stepped = env.rand_step(env.reset().set("note", torch.ones(env.batch_size, device=env.device)))
    moved = env.step_mdp(stepped)
    require("next" not in moved, "'next' was not moved")
    require("note" in moved, "an entry of the root was lost")
    for key in set(env.reward_keys) - set(states):
        require(moved.get(key, None) is None, f"{key!r} describes the step that was made, and must not stay")
    for key in (*env.observation_keys, *env.done_keys):
        require(same_bits(moved.get(key), stepped["next"].get(key)), f"{key!r} is not that of 'next'")


# -- actions ----------------------------------------------------------------------------------------------------------


@_promise
def _random_actions_are_allowed(env: Env) -> None:
    """rand_action samples an action that is within the action spec"""
    for _ in range(_STEPS):
        require_members(env.rand_action(), [env.full_action_spec], "rand_action")


@_promise
def _wrong_actions_are_refused(env: Env) -> str | None:
    """an action of the wrong shape or outside its spec is refused before it reaches the simulator"""
    known = learnt(env)
    comparable = repeats(env, known, 1)  # before any wrong action, which might be to blame
    for path, leaf in env.full_action_spec.leaves().items():
        for wrong in wrong_values(leaf, env.ndim):
            following = []
            for first in (None, wrong):
                state = acting(env)(started(env, known))
                if first is not None and not refuses(env, offered(state.clone(), path, first)):
                    require(not env.batch_locked, f"{dotted(path)}: {abridged(first)} was taken")
                    return _FREE
                following.append(env.step(state)["next"])
            if comparable:
                require_equal(following[0], following[1], f"after {abridged(wrong)} was refused, the env had moved")
    return None if comparable else _UNREPEATED


# -- rollouts ---------------------------------------------------------------------------------------------------------


@_promise
def _rollouts_have_the_layout(env: Env) -> None:
    """rollout returns [*batch, time], laid out as fake_tensordict, with values within the specs and no NaN rewards"""
    _require_layout(env, env.rollout(_STEPS))


def rollouts_begin_there(env: Env, tensordict: TensorDictBase) -> None:
    """a rollout that begins from ``tensordict``, without a reset, has the layout of any other"""
    _require_layout(env, env.rollout(_STEPS, auto_reset=False, tensordict=tensordict))


def _require_layout(env: Env, data: TensorDictBase) -> None:
    fake = env.fake_tensordict()
    require(data.batch_size[:-1] == env.batch_size, f"rollout: batch_size {list(data.batch_size)}")
    require(data.names[-1] == "time", f"rollout: the last dimension is named {data.names[-1]!r}")
    require_keys(data, leaf_paths(fake), "rollout")
    for path in leaf_paths(fake):
        made, zero = data.get(as_user_key(path)), fake.get(as_user_key(path))
        described = (made.dtype, made.shape[env.ndim + 1 :]), (zero.dtype, zero.shape[env.ndim :])
        require(
            described[0] == described[1],
            f"rollout: {dotted(path)} is {described[0]}, fake_tensordict says {described[1]}",
        )
    steps = data.movedim(env.ndim, 0)  # a spec takes leading dimensions, and time is one
    for family in (env.observation_spec, env.full_action_spec, env.full_done_spec):
        require_inside(steps, family, "rollout")
    require_inside(steps["next"], env.full_reward_spec, "rollout: next")
    for key in env.reward_keys:
        lost = steps["next"].get(key).isnan().reshape(len(steps), -1).any(-1)
        require(not lost.any(), f"rollout: next {key!r} is NaN in step {int(lost.int().argmax())}")


@_promise
def _rollouts_are_chains(env: Env) -> str | None:
    """each step starts from the "next" of the step before, or from a reset if the episode ended"""
    data = env.rollout(_STEPS, break_when_any_done=False)
    require(data.batch_size[-1] == _STEPS, f"rollout: {data.batch_size[-1]} steps where {_STEPS} were asked for")
    data = data.movedim(env.ndim, 0)
    ended = any_done(env, data["next"][:-1])
    for key in [*(key for key in env.observation_keys if key not in env.action_keys), *env.done_keys]:
        later, before = data.get(key)[1:], data["next"].get(key)[:-1]
        require(same_bits(later[~ended], before[~ended]), f"{key!r} of a step is not the 'next' of the step before")
    require(not any_done(env, data).any(), "a step begins with an env that is done")
    return _unended(ended.any())


@_promise
def _rollouts_stop_at_done(env: Env) -> str | None:
    """rollout stops as soon as one env is done"""
    data = env.rollout(_STEPS).movedim(env.ndim, 0)
    ended = any_done(env, data["next"]).reshape(len(data), -1).any(-1)
    require(not ended[:-1].any(), "it went on after a step that was done")
    require(bool(ended[-1]) or len(data) == _STEPS, f"it stopped after {len(data)} of {_STEPS} steps without a reason")
    return _unended(len(data) < _STEPS)


@_promise
def _rollouts_are_steps(env: Env) -> str | None:
    """rollout and step give bit-identical results for the same seed and actions"""
    known = learnt(env)
    if not repeats(env, known, _STEPS):
        return _UNREPEATED
    data = env.rollout(_STEPS, acting(env), auto_reset=False, tensordict=started(env, known)).movedim(env.ndim, 0)
    state, act = started(env, known), acting(env)
    for t in range(len(data)):
        stepped = env.step(act(state))
        require_equal(data[t], _without_states(env, stepped), f"step {t}")
        state = env.step_mdp(stepped)
    return None


# -- seeds ------------------------------------------------------------------------------------------------------------


@_promise
def _seeds_repeat(env: Env) -> str | None:
    """equal seeds give bit-identical results"""
    seed, known = drawn_seed(), learnt(env)
    clocks = [as_user_key(path) for time in env._roles().clocks for path in (time, under_next(time))]
    runs = []
    for _ in range(2):
        with drawing_from(seed):
            if known:
                env.load_state_dict(known)
            env.set_seed(seed)
            runs.append(env.rollout(_STEPS, break_when_any_done=False).exclude(*clocks))
    require_equal(runs[0], runs[1], "the second run")
    if clocks:
        return "the env measures times, which no seed repeats"
    require(repeats(env, known, _STEPS), "reset and step: the second run differs")
    return None


@_promise
def _seeds_are_a_chain(env: Env) -> None:
    """set_seed returns the seed for the next env, or the same seed with static_seed"""
    seed = drawn_seed()
    following = env.set_seed(seed)
    chain = seed_chain(seed, max(env.numel(), 1))[1:]
    require(following in chain, f"set_seed({seed}) returned {following}, expected {chain[0]}")
    require(env.set_seed(seed, static_seed=True) == seed, "set_seed(seed, static_seed=True) returned another seed")
