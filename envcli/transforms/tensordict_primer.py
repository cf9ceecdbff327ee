"""New entries that begin with a value at every reset."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import FAMILIES, EnvSpecs
from envcli.rows.roles import Roles
from envcli.seeding import drawing_from, next_seed
from envcli.specs import Bounded, Categorical, Composite, TensorSpec, Unbounded
from envcli.specs.dtype_names import dtype_named
from envcli.transforms.episode_starts import begun
from envcli.transforms.transform import Transform

__all__ = ["TensorDictPrimer"]

Default = float | Callable[..., Any]  # Any: a tensor, or a TensorDict


class TensorDictPrimer(Transform):
    """Entries of one's own, such as the hidden state of a recurrent policy: set at a reset, led on by the policy.

    A policy reads ``hidden`` and writes ``("next", "hidden")`` before the step, which the next step begins with; where
    it writes nothing, the value stays for the whole episode.

    A primer that is an action of the env, ``TensorDictPrimer(env.full_action_spec)``, shows it as an observation:
    ``("next", "action")`` is the one that led there, and the next step begins with it until another is chosen. Later
    transforms read it (``CatFrames``), as decision transformers need.

    Args:
        primers: key -> spec, also nested, or a Composite. From YAML a spec is ``{shape: [64], dtype: float32}``, with
            ``low`` and ``high`` for bounds or ``n`` for choices.
        random: draw the first value from the spec (normal where there are no bounds). It follows from the seed of the
            env; until that is seeded, and outside an env, from torch's global generator.
        default_value: the first value, if it is not drawn: a number, a function that returns a tensor, or a dict of
            them with a key for each primer. 0 if left out (TorchRL); where a spec does not hold that, its nearest
            member.
        reset_key: the mask that says whom a reset is for. Ours is always the env's own, so that this may only name it.
        expand_specs: put the env's batch in front of the specs. None: unless they came in a Composite of that shape.
            False: never, and a spec that does not begin with the batch is an error.
        single_default_value: ``default_value`` is one function that returns a TensorDict with all entries. It is given
            ``reset``, the mask ``[*batch]`` (None: all), if it takes an argument of that name, and returns as many rows
            as the mask has true ones.
        call_before_env_reset: not offered here; only False.
        **primer_specs: more primers, by name.

    Raises:
        ConfigError: something that is no spec, ``random`` with a ``default_value``, or a dict of defaults with other
            keys.
        TransformError: in an env: a name that is taken, a shape that does not begin with the batch, or an action of
            another shape or dtype than the env's.
    """

    def __init__(
        self,
        primers: Mapping[Any, Any] | Composite | None = None,
        random: bool | None = None,
        default_value: Default | Mapping[Any, Default] | None = None,
        reset_key: NestedKey | None = None,
        expand_specs: bool | None = None,
        single_default_value: bool = False,
        call_before_env_reset: bool = False,
        **primer_specs: TensorSpec,
    ) -> None:
        super().__init__()
        if random and default_value is not None:
            raise ConfigError("default_value: random=True draws the first value; leave one of them out")
        if call_before_env_reset:
            raise ConfigError("call_before_env_reset: expected false: an env's reset here reads its own state only")
        if single_default_value and not callable(default_value):
            raise ConfigError(f"default_value: single_default_value needs a function, found {default_value!r}")
        given = {**dict(_leaves(primers or {}, ())), **dict(_leaves(primer_specs, ()))}
        self._given: dict[Key, TensorSpec] = {path: _spec(path, value) for path, value in given.items()}
        self._lead = primers.shape if isinstance(primers, Composite) else torch.Size()
        self._specs = dict(self._given)  # with the env's batch, once there is one
        self._batch = torch.Size()
        self._actions: Set[Key] = set()  # those of the primers that are actions of the env
        self.random, self.default_value = bool(random), default_value
        self._seed: int | None = None  # of the next draw
        self.reset_key, self.expand_specs, self.single_default_value = reset_key, expand_specs, single_default_value
        self._defaults = {} if single_default_value else self._default_of_each(default_value)

    def _default_of_each(self, default: Any) -> dict[Key, Default]:  # Any: as the constructor takes it
        if not isinstance(default, (Mapping, TensorDictBase)):
            return dict.fromkeys(self._given, 0.0 if default is None else default)
        found = dict(_leaves(default, ()))
        if found.keys() != self._given.keys():
            names = [sorted(map(".".join, paths)) for paths in (self._given, found)]
            raise ConfigError(f"default_value: expected a value for each of {names[0]}, found {names[1]}")
        return found

    @property
    def primers(self) -> Composite:
        """The specs, as the env that it is in shows them."""
        spec = Composite()
        for path, leaf in self._specs.items():
            spec[as_user_key(path)] = leaf
        return spec

    # -- values ---------------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Set the entries that are missing, in place, ``[*lead, *value]``; outside an env a spec is that of one value.

        (TorchRL overwrites those that are there.)
        """
        lead = tensordict.batch_size
        fresh = self._first(self._specs, None)
        for path, value in fresh.items():
            key = as_user_key(path)
            if tensordict.get(key, None) is None:
                value = value if value.shape[: len(lead)] == lead else value.expand(*lead, *value.shape).clone()
                tensordict.set(key, value)
        return tensordict

    def _first(self, specs: Mapping[Key, TensorSpec], where: Array | None) -> dict[Key, torch.Tensor]:
        """The first value of each entry, ``[*batch, *value]``; rows outside ``where`` are not looked at."""
        if self.single_default_value:
            return self._together(specs, where)
        with self._drawing():
            return {path: self._first_of(path, spec) for path, spec in specs.items()}

    def _drawing(self) -> AbstractContextManager[None]:
        """Inside, torch's global generator draws what follows from the seed, if there is one."""
        if not self.random or self._seed is None:
            return nullcontext()
        self._seed = next_seed(self._seed)  # first of all, as the env draws from the seed itself
        return drawing_from(self._seed)

    def _set_seed(self, seed: int | None) -> None:
        self._seed = self._seed if seed is None else seed

    def _first_of(self, path: Key, spec: TensorSpec) -> torch.Tensor:
        value: Any = None if self.random else self._defaults[path]
        if self.random:
            drawn: torch.Tensor = spec.rand()
            return drawn
        value = value() if callable(value) else value
        filled: torch.Tensor = torch.as_tensor(value, dtype=spec.dtype, device=spec.device).expand(spec.shape)
        nearest: torch.Tensor = spec.project(filled)
        return nearest

    def _together(self, specs: Mapping[Key, TensorSpec], where: Array | None) -> dict[Key, torch.Tensor]:
        assert callable(self.default_value)
        mask = None if where is None else torch.from_numpy(where)
        takes = "reset" in inspect.signature(self.default_value).parameters
        made = self.default_value(reset=mask) if takes else self.default_value()
        values = {}
        for path, spec in specs.items():
            value = made.get(as_user_key(path))
            values[path] = spec.zero()
            values[path][... if mask is None else mask] = value
        return values

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        actions = before.full_action_spec.leaves()
        self._actions = self._given.keys() & actions.keys()
        taken = {path for family in FAMILIES if family != "action" for path in before._spec(family).leaves()}
        for path in self._given.keys() & taken:
            raise TransformError(f"TensorDictPrimer: {as_user_key(path)!r} already exists. Choose another name")
        if self.reset_key is not None and self.reset_key not in before.reset_keys:
            raise TransformError(f"TensorDictPrimer: no reset_key {self.reset_key!r}. The env has {before.reset_keys}")
        self._batch = batch = before.batch_size
        for path, spec in self._given.items():
            if self.expand_specs is False and spec.shape[: len(batch)] != batch:
                raise TransformError(
                    f"TensorDictPrimer: {as_user_key(path)!r} {list(spec.shape)} does not begin with the env's batch "
                    f"{list(batch)}. Give it that shape, or expand_specs=True"
                )
            known = path in actions and spec.shape == actions[path].shape
            expand = self.expand_specs or (self.expand_specs is None and self._lead != batch and not known)
            spec = spec.expand(*batch, *spec.shape) if expand and len(batch) else spec
            self._specs[path] = spec.to(before.device) if before.device is not None else spec
            if path in actions and (self._specs[path].shape, spec.dtype) != (actions[path].shape, actions[path].dtype):
                raise TransformError(
                    f"TensorDictPrimer: {as_user_key(path)!r} is {spec.dtype} {list(self._specs[path].shape)}, the "
                    f"action of that name {actions[path].dtype} {list(actions[path].shape)}. Prime it as it is"
                )

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With the entries."""
        return self._with(self._specs, observation_spec)

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """With the entries that are no actions: a step begins with them."""
        return self._with({path: leaf for path, leaf in self._specs.items() if path not in self._actions}, state_spec)

    def _with(self, leaves: Mapping[Key, TensorSpec], spec: Composite) -> Composite:
        for path, leaf in leaves.items():
            spec[as_user_key(path)] = leaf
        return spec

    # -- rows -----------------------------------------------------------------------------------------------------

    def _roles(self) -> Roles:
        return Roles(recurrent=set(self._given))

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._roots = {path: outer[path] for path in self._given}

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else torch.from_numpy(where)
        for path, value in self._first(self._specs, where).items():
            rows = self._roots[path]
            rows[t][mask] = value[mask].to(rows.device)

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        batch = tensordict_reset.batch_size
        mask = None if tensordict is None else tensordict.get("_reset", None)
        where = None if mask is None else mask.reshape(batch).cpu().numpy()
        for path, value in self._first(self._specs_for(batch), where).items():
            given = None if tensordict is None else tensordict.get(path, None)
            tensordict_reset.set(path, begun(tensordict, given, value))
        return tensordict_reset

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        following = super()._step(tensordict, next_tensordict)
        if following.batch_size == self._batch:  # the env's rows have led the entries on
            return following
        for path in self._given:
            value = tensordict.get(under_next(path), None)
            value = tensordict.get(path, None) if value is None else value
            if value is not None and following.get(path, None) is None:
                following.set(path, value)
        return following

    def _specs_for(self, batch: torch.Size) -> dict[Key, TensorSpec]:
        """The specs of a TensorDict ``[*batch]``, which may be another one than the env's."""
        if batch == self._batch:
            return self._specs
        singles = {path: spec[(0,) * len(self._batch)] for path, spec in self._specs.items()}
        return {path: spec.expand(*batch, *spec.shape) for path, spec in singles.items()}

    def extra_repr(self) -> str:
        """The entries, for ``repr``."""
        entries = ", ".join(f"{'.'.join(path)}={list(spec.shape)}" for path, spec in self._specs.items())
        return f"{entries}, random={self.random}, default_value={self.default_value}"


def _leaves(tree: Any, prefix: Key) -> Any:  # Any: nested mappings of whatever the user gave
    """(path, value) of everything in ``tree``, a Composite or nested dicts, that is no group."""
    items = tree.items(include_nested=False) if isinstance(tree, Composite) else tree.items()
    for key, value in items:
        path = (*prefix, *as_path(key))
        if isinstance(value, Composite) or (isinstance(value, Mapping) and not _describes(value)):
            yield from _leaves(value, path)
        else:
            yield path, value


def _describes(value: Mapping[Any, Any]) -> bool:
    """Is this a spec as YAML writes it, and not a group of them?"""
    return "shape" in value and not isinstance(value["shape"], (Mapping, TensorSpec))


def _spec(path: Key, value: Any) -> TensorSpec:  # Any: what the user gave
    if isinstance(value, TensorSpec):
        return value
    known = {"shape", "dtype", "low", "high", "n"}
    if not isinstance(value, Mapping) or value.keys() - known:
        raise ConfigError(
            f"primers.{'.'.join(path)}: expected a spec, or {{shape: [...], dtype: ...}} with low and high, or "
            f"n; found {value!r}"
        )
    given = value.get("dtype") or ("int64" if "n" in value else "float32")
    dtype = dtype_named(f"primers.{'.'.join(path)}.dtype", given)
    shape = torch.Size(value["shape"])
    if "n" in value:
        return Categorical(value["n"], shape=shape, dtype=dtype)
    if "low" in value or "high" in value:
        return Bounded(value.get("low", -torch.inf), value.get("high", torch.inf), shape=shape, dtype=dtype)
    return Unbounded(shape, dtype=dtype)
