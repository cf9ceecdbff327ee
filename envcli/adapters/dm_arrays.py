"""The dm_env specs of an env of ours, and the entries behind them."""

from __future__ import annotations

from typing import Any

import dm_env
from dm_env import specs

from envcli.adapters.encoding import Encoding, Numbers, OneHots, Same
from envcli.adapters.entries import Entries, Entry, Nest
from envcli.backends.backend import Backend
from envcli.chain.transformed_env import TransformedEnv
from envcli.dm.specs import dm_spec_to_spec, is_nested, spec_to_dm_spec
from envcli.envs.env import Env
from envcli.keys import Key
from envcli.specs import Bounded, Composite, TensorSpec
from envcli.specs.counts import choice_counts
from envcli.specs.hot import HotSpec

__all__ = ["DmArrays"]

_BARE = ("observation", "pixels")  # an observation that is one of these alone is an array, and no dict

# A dm spec is a leaf or a mapping or a sequence of them, and so is a value: hence Any throughout this file.


class DmArrays:
    """The specs of a single env.

    Those that the simulator itself has are kept where they say the same as ours: a scalar keeps its shape, an array its
    name. Anything else comes from our spec (:func:`~envcli.dm.specs.spec_to_dm_spec`).

    Attributes:
        shown, taken, reward: dm_env's specs of observation, action and reward.
        observed, acted: the entries behind the first two.

    Raises:
        ConfigError: an entry that numpy cannot hold.
    """

    def __init__(self, env: Env) -> None:
        native = _simulator(env)
        left = env._roles().writes_back
        leaves = {key: leaf for key, leaf in env.observation_spec.items() if (key,) not in left}
        shown, path = _only(Composite(leaves, shape=()), _BARE)
        taken, acted = _only(env.full_action_spec, ("action",))
        self.shown = _kept(None if native is None else native.observation_spec(), shown, ".".join(path))
        self.taken = _kept(None if native is None else native.action_spec(), taken, ".".join(acted))
        self.reward = _reward(env.reward_spec.to("cpu"))
        self.observed: Entries = _entries(self.shown, shown, path)
        self.acted: Entries = _entries(self.taken, taken, acted)


def _simulator(env: Env) -> Any:
    """The ``dm_env.Environment`` that is at the bottom of ``env``, if there is one."""
    base = env.base_env if isinstance(env, TransformedEnv) else env
    native = base._env if isinstance(base, Backend) else None
    return native if isinstance(native, dm_env.Environment) else None


def _only(spec: Composite, bare: tuple[str, ...]) -> tuple[TensorSpec, Key]:
    """The only leaf of ``spec`` and its path, if it has a name in ``bare``; else all of it, and no path."""
    names = list(spec.keys())
    if len(names) == 1 and names[0] in bare:
        return spec[names[0]].to("cpu"), (str(names[0]),)
    return spec.to("cpu"), ()


def _kept(native: Any, spec: TensorSpec, name: str) -> Any:
    """``native``, if it says the same as ``spec``; else what ``spec`` says."""
    if native is not None and any(_says(native, spec, categorical) for categorical in (False, True)):
        return native
    return spec_to_dm_spec(spec, name)


def _says(native: Any, spec: TensorSpec, categorical: bool) -> bool:
    said = dm_spec_to_spec(native, categorical=categorical)
    if isinstance(said, Composite) and isinstance(spec, Composite):
        return said.leaves() == spec.leaves()  # whatever device the two Composites name
    return said == spec


def _reward(leaf: TensorSpec) -> Any:
    dtype = leaf.zero().numpy().dtype
    if isinstance(leaf, Bounded):
        return specs.BoundedArray((), dtype, leaf.low.item(), leaf.high.item(), name="reward")
    return specs.Array((), dtype, name="reward")


def _entries(native: Any, spec: TensorSpec, path: Key) -> Entries:
    if is_nested(native):
        assert isinstance(spec, Composite)
        if isinstance(native, list | tuple):
            parts = enumerate(native)
            return Nest([(i, _entries(inner, spec[str(i)], (*path, str(i)))) for i, inner in parts], type(native))
        return Nest([(key, _entries(inner, spec[key], (*path, key))) for key, inner in native.items()], dict)
    return Entry(path, _encoding(native, spec))


def _encoding(native: Any, spec: TensorSpec) -> Encoding:
    ours, dtype = tuple(spec.shape), spec.zero().numpy().dtype
    counts = choice_counts(spec)
    if counts is None:
        return Same(ours, tuple(native.shape), dtype, native.dtype)
    kind = OneHots if isinstance(spec, HotSpec) else Numbers
    return kind(ours, dtype, native.dtype, counts)
