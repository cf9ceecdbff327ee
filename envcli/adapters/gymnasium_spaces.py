"""The gymnasium spaces of an env of ours, and the entries behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
from gymnasium import spaces

from envcli.adapters.encoding import Encoding, Numbers, OneHots, Same
from envcli.adapters.entries import Entries, Entry, Nest
from envcli.batch.gathered import of_first
from envcli.envs.env import Env
from envcli.errors import ConfigError, UnknownName
from envcli.gym.spaces import space_to_spec, spec_to_space
from envcli.keys import Key
from envcli.specs import Bounded, Composite, TensorSpec
from envcli.specs.hot import HotSpec

__all__ = ["GymnasiumSpaces"]

_BARE = ("observation", "pixels")  # an observation that is one of these alone is no Dict

Space = spaces.Space[Any]  # Any: whatever the values of a space are


class GymnasiumSpaces:
    """The spaces of a single env, or of each env of a batch ``[n]``.

    A simulator's own space is kept where it says the same as our spec: a ``Discrete`` keeps its start, a ``Tuple``
    stays one. Anything else comes from the spec (:func:`~envcli.gym.spaces.spec_to_space`).

    Attributes:
        observation, action: the spaces.
        shown, taken: the entries behind them.
        info: key -> the entries that are shown beside the observation.
        native: the simulator is gymnasium's, and its resets take ``options``.

    Args:
        env: of batch size ``[]`` or ``[n]``.
        observation: the key, or keys, that make the observation; the others are shown as ``info``. None: all of them.
        info_keys: the other way round: the keys that are shown as ``info``; the others are the ``Dict`` that is the
            observation, however many there are.

    Raises:
        UnknownName: there is no such key.
        ConfigError: an entry has no space in gymnasium, or the envs of a batch have bounds of their own; both
            ``observation`` and ``info_keys`` are given.
    """

    def __init__(
        self, env: Env, observation: str | Sequence[str] | None = None, info_keys: Sequence[str] | None = None
    ) -> None:
        shown, action = _single(env, env.observation_spec), _single(env, env.full_action_spec)
        if info_keys is not None:
            observation = _left_by(shown, observation, info_keys)
        announced = _announced(env, "observation_space")
        self.native = announced is not None
        bare = _chosen(shown, observation)
        if isinstance(observation, Sequence) and not isinstance(observation, str):
            kept = {key: shown[key] for key in observation}
        else:
            kept = shown if bare is None else {bare: shown[bare]}
        self.observation, self.shown = _space(kept, bare, announced)
        rest = {key: leaf for key, leaf in shown.items() if key not in kept}
        self.info: dict[str, Entries] = {
            key: _entries(_as_announced(leaf, key, _within(announced, key)), leaf, (key,)) for key, leaf in rest.items()
        }
        alone = "action" if list(action) == ["action"] else None
        self.action, self.taken = _space(action, alone, _announced(env, "action_space"))


def _single(env: Env, spec: Composite) -> dict[str, TensorSpec]:
    """``spec`` of one env of a batch, on the host: what a step shows or takes, by its first name."""
    for path, leaf in spec.leaves().items() if env.ndim else ():
        if isinstance(leaf, Bounded) and leaf.space.ends is None and not _alike(leaf, env.ndim):
            raise ConfigError(
                f"{'.'.join(path)}: the envs have different bounds, but gymnasium has one space for all of them. "
                "Give them the same bounds, or use as_torchrl, which keeps them"
            )
    one = (spec[(0,) * env.ndim] if env.ndim else spec).to("cpu")
    left = env._roles().writes_back
    return {str(key): leaf for key, leaf in one.items() if (key,) not in left}


def _alike(leaf: Bounded, ndim: int) -> bool:
    """Has every env of a batch the bounds of the first?"""
    return all(bool((bound == bound[(0,) * ndim]).all()) for bound in (leaf.low, leaf.high))


def _left_by(shown: Mapping[str, TensorSpec], observation: Any, info_keys: Sequence[str]) -> list[str]:
    """The keys of an observation without ``info_keys``."""
    if observation is not None:
        raise ConfigError(
            f"observation and info_keys: found {observation!r} and {list(info_keys)}, expected one of them"
        )
    for key in info_keys:
        if key not in shown:
            raise UnknownName("observation", key, shown)
    return [key for key in shown if key not in info_keys]


def _chosen(shown: Mapping[str, TensorSpec], observation: str | Sequence[str] | None) -> str | None:
    """The only key of an observation that is no Dict; None: it is one."""
    for key in [observation] if isinstance(observation, str) else observation or ():
        if key not in shown:
            raise UnknownName("observation", key, shown)
    if isinstance(observation, str):
        return observation
    keys = list(shown)
    return keys[0] if observation is None and len(keys) == 1 and keys[0] in _BARE else None


def _space(leaves: dict[str, TensorSpec], bare: str | None, announced: Space | None) -> tuple[Space, Entries]:
    spec = Composite(leaves, shape=()) if bare is None else leaves[bare]
    path: Key = () if bare is None else (bare,)
    space = _as_announced(spec, bare or "", announced if bare is None else _within(announced, bare))
    return space, _entries(space, spec, path)


def _as_announced(spec: TensorSpec, name: str, announced: Space | None) -> Space:
    """What the simulator announces, as a whole or entry by entry; the space of ``spec`` where that differs."""
    if announced is not None and any(_says(announced, spec, categorical) for categorical in (False, True)):
        return announced
    if not isinstance(spec, Composite):
        return spec_to_space(spec, name)
    return spaces.Dict({str(k): _as_announced(leaf, str(k), _within(announced, str(k))) for k, leaf in spec.items()})


def _within(announced: Space | None, key: str) -> Space | None:
    """What is announced for the entry ``key``: what is no ``Dict`` is one entry, whatever we call it."""
    return announced.spaces.get(key) if isinstance(announced, spaces.Dict) else announced


def _announced(env: Env, name: str) -> Space | None:
    """The space that the simulator itself shows by that name; of a batch, the first env's."""
    found = of_first(env, name)
    return found if isinstance(found, gymnasium.Space) else None


def _says(space: Space, spec: TensorSpec, categorical: bool) -> bool:
    """Does ``space`` make ``spec``?"""
    try:
        said = space_to_spec(space, categorical=categorical)
    except ConfigError:  # it has no fixed shape, or no one-hots: then it is not what the env shows
        return False
    if isinstance(said, Composite) and isinstance(spec, Composite):
        return said.leaves() == spec.leaves()  # whatever device the two Composites name
    return said == spec


def _entries(space: Space, spec: TensorSpec, path: Key) -> Entries:
    if isinstance(space, spaces.Dict):
        assert isinstance(spec, Composite)
        return Nest([(key, _entries(inner, spec[key], (*path, key))) for key, inner in space.items()], dict)
    if isinstance(space, spaces.Tuple):
        assert isinstance(spec, Composite)
        parts = enumerate(space.spaces)
        return Nest([(i, _entries(inner, spec[str(i)], (*path, str(i)))) for i, inner in parts], tuple)
    return Entry(path, _encoding(space, spec))


def _encoding(space: Space, spec: TensorSpec) -> Encoding:
    ours = tuple(spec.shape)
    dtype = spec.zero().numpy().dtype
    if isinstance(space, spaces.Discrete):
        kind = OneHots if ours else Numbers
        return kind(ours, dtype, space.dtype, int(space.n), int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        kind = OneHots if isinstance(spec, HotSpec) else Numbers
        return kind(ours, dtype, space.dtype, space.nvec, space.start)
    assert space.shape is not None
    return Same(ours, tuple(space.shape), dtype, space.dtype)
