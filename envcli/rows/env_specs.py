"""What an env says about its values: five specs, the views on them, and the keys they name."""

from __future__ import annotations

from typing import Self

import torch

from envcli.errors import SpecError
from envcli.keys import DONE_FAMILY, Key, NestedKey, as_path, as_user_key
from envcli.memory.buffer import Layout
from envcli.rows.done_family import completed, require_flags
from envcli.rows.env_shape import EnvShape
from envcli.rows.roles import Roles
from envcli.rows.row_layout import group_parts, leaf_layout, row_layout
from envcli.rows.unbatched import Unbatched
from envcli.specs import Categorical, Composite, TensorSpec, Unbounded

__all__ = ["FAMILIES", "EnvSpecs"]

FAMILIES = ("observation", "action", "reward", "done", "state")

_A_COPY = (
    "this is a copy, and changing it would not change the env (TorchRL writes through it). "
    "Assign a spec instead: env.action_spec = ..., env.full_done_spec = ..., or another."
)
_IN_USE = (
    "the env is laid out by these specs. Assign a new one, such as env.observation_spec = spec.clone().set(...), "
    "or unlock them: env.set_spec_lock_(False)."
)


class EnvSpecs(EnvShape):
    """The specs of an env.

    Five composites hold everything: observation, action, reward, done family, state. All their leaves begin with
    ``batch_size``, and are on the env's ``device``, to which they are moved, if it has one. An env assigns them in its
    constructor, before ``super().__init__()`` or after it; a bare leaf gets the standard key (``"action"``,
    ``"reward"``, ``"done"``). What is not assigned is: no observation, no action, no state, a reward ``[*batch, 1]`` of
    float32, and the flags ``done`` and ``terminated``, ``[*batch, 1]`` of bool. Flags that are assigned are completed,
    in each group: ``done`` without ``terminated`` gets it, and the other way round, and where there is none both are
    made.

    Change a spec by assigning it: who stands on this env (a ``TransformedEnv``) notices that at its next call. Once
    there are rows the composites are locked, so that they cannot be changed in place. TorchRL's
    ``env.input_spec[...] = spec`` is an error here: what is gathered from the five is a copy, and locked.

    Raises:
        ConfigError: there is no such device here.
    """

    _governing: tuple[Composite, list[Key]] | None = None  # flags, and the spec that they were found in
    _parted: tuple[Composite, dict[Key, torch.Size], bool] | None = None  # see envcli.rows.parts, and that spec
    _specs: dict[str, Composite] = {}  # noqa: RUF012  # stays empty: an env has its own from the first spec on
    _specs_version = 0  # counts the changes, for whoever derived something from the specs

    def __init__(self, device: torch.device | str | None = None, batch_size: object = ()) -> None:
        super().__init__(device, batch_size)
        early = self._specs
        self._specs = {}
        for family, spec in early.items():
            self._assign(family, spec)

    # -- the five -------------------------------------------------------------------------------------------------

    @property
    def observation_spec(self) -> Composite:
        """What ``reset`` and ``step`` show. A leaf is that of ``"observation"``, when it is assigned."""
        return self._spec("observation")

    @observation_spec.setter
    def observation_spec(self, spec: TensorSpec) -> None:
        self._assign("observation", spec)

    full_observation_spec = observation_spec

    @property
    def full_action_spec(self) -> Composite:
        """What ``step`` takes, always as a Composite."""
        return self._spec("action")

    @full_action_spec.setter
    def full_action_spec(self, spec: Composite) -> None:
        self._assign("action", spec)

    @property
    def action_spec(self) -> TensorSpec:
        """What ``step`` takes: the leaf itself if ``"action"`` is all there is, else the Composite."""
        return self._leaf_or_all("action")

    @action_spec.setter
    def action_spec(self, spec: TensorSpec) -> None:
        self._assign("action", spec, ["action"])

    @property
    def full_reward_spec(self) -> Composite:
        """What ``step`` pays, always as a Composite."""
        return self._spec("reward")

    @full_reward_spec.setter
    def full_reward_spec(self, spec: Composite) -> None:
        self._assign("reward", spec)

    @property
    def reward_spec(self) -> TensorSpec:
        """What ``step`` pays: the leaf itself if ``"reward"`` is all there is, else the Composite."""
        return self._leaf_or_all("reward")

    @reward_spec.setter
    def reward_spec(self, spec: TensorSpec) -> None:
        self._assign("reward", spec, ["reward"])

    @property
    def full_done_spec(self) -> Composite:
        """The flags of the end of an episode, always as a Composite."""
        return self._spec("done")

    @full_done_spec.setter
    def full_done_spec(self, spec: Composite) -> None:
        self._assign_flags(spec)

    @property
    def done_spec(self) -> TensorSpec:
        """``full_done_spec`` by its shorter name."""
        return self._spec("done")

    @done_spec.setter
    def done_spec(self, spec: TensorSpec) -> None:
        self._assign_flags(spec)

    @property
    def state_spec(self) -> Composite:
        """What ``step`` reads from the TensorDict besides the action. Empty for an env that keeps its own state."""
        return self._spec("state")

    @state_spec.setter
    def state_spec(self, spec: Composite | None) -> None:
        self._assign("state", Composite(shape=self.batch_size) if spec is None else spec)

    full_state_spec = state_spec

    @property
    def input_spec(self) -> Composite:
        """``full_state_spec`` and ``full_action_spec`` in one; a locked copy.

        TorchRL's can be written into; here assign ``action_spec`` or ``state_spec`` of the env instead.
        """
        return self._gather("state", "action")._set_lock(_A_COPY, True)

    @property
    def output_spec(self) -> Composite:
        """``full_observation_spec``, ``full_reward_spec`` and ``full_done_spec`` in one; a locked copy.

        TorchRL's can be written into; here assign ``observation_spec``, ``reward_spec`` or ``full_done_spec`` of the
        env instead.
        """
        return self._gather("observation", "reward", "done")._set_lock(_A_COPY, True)

    @property
    def specs(self) -> Composite:
        """``input_spec`` and ``output_spec`` in one; a locked copy."""
        return Composite(
            {"input_spec": self.input_spec, "output_spec": self.output_spec},
            shape=self.batch_size,
            device=self.device,
        )._set_lock(_A_COPY, True)

    # -- for TorchRL's sake ---------------------------------------------------------------------------------------

    action_spec_unbatched = Unbatched()
    done_spec_unbatched = Unbatched()
    full_action_spec_unbatched = Unbatched()
    input_spec_unbatched = Unbatched()
    output_spec_unbatched = Unbatched()
    full_done_spec_unbatched = Unbatched()
    full_observation_spec_unbatched = Unbatched()
    full_reward_spec_unbatched = Unbatched()
    full_state_spec_unbatched = Unbatched()
    observation_spec_unbatched = Unbatched()
    reward_spec_unbatched = Unbatched()
    state_spec_unbatched = Unbatched()

    is_spec_locked = True
    """Are specs locked once there are rows? Others can be assigned at any time."""

    def set_spec_lock_(self, mode: bool = True) -> Self:
        """Unlock the specs, to change them in place, or lock them again: then the changes count.

        Returns the object itself.
        """
        self.is_spec_locked = mode
        for family in FAMILIES:
            self._spec(family)._set_lock(_IN_USE if mode else "", True)
        self._specs_changed()
        return self

    def _lock_specs(self) -> None:
        """Rows have been laid out by them: nobody may change them unnoticed."""
        for family in FAMILIES if self.is_spec_locked else ():
            if self._spec(family)._locked != _IN_USE:
                self._spec(family)._set_lock(_IN_USE, True)

    def cardinality(self, tensordict: object = None) -> float:
        """How many actions there are; ``tensordict``, from which an env of TorchRL's may see that, is ignored."""
        return self.full_action_spec.cardinality()

    # -- the keys -------------------------------------------------------------------------------------------------

    @property
    def observation_keys(self) -> list[NestedKey]:
        """The keys of all observations, nested ones as tuples, in the order of the spec.

        So are those of the other specs. (TorchRL sorts them all, by depth and then by name.)
        """
        return self._keys("observation")

    @property
    def state_keys(self) -> list[NestedKey]:
        """The keys of all states."""
        return self._keys("state")

    @property
    def action_keys(self) -> list[NestedKey]:
        """The keys of all actions."""
        return self._keys("action")

    @property
    def reward_keys(self) -> list[NestedKey]:
        """The keys of all rewards."""
        return self._keys("reward")

    @property
    def done_keys(self) -> list[NestedKey]:
        """The keys of all flags of the done family."""
        return self._keys("done")

    @property
    def action_key(self) -> NestedKey:
        """The key of the only action. Raises KeyError if there are several, or none."""
        return self._only_key("action")

    @property
    def reward_key(self) -> NestedKey:
        """The key of the only reward. Raises KeyError if there are several, or none."""
        return self._only_key("reward")

    @property
    def done_key(self) -> NestedKey:
        """The key of the only flag. Raises KeyError if there are several, or none."""
        return self._only_key("done")

    @property
    def reset_keys(self) -> list[NestedKey]:
        """The masks that ``reset`` understands: one ``"_reset"`` beside each ``"done"``."""
        groups = {as_path(key)[:-1] for key in self.done_keys}
        return [as_user_key((*group, "_reset")) for group in sorted(groups)]

    @property
    def done_keys_groups(self) -> list[list[NestedKey]]:
        """``done_keys``, those beside each of ``reset_keys`` in a list."""
        groups: dict[Key, list[NestedKey]] = {}
        for key in self.done_keys:
            groups.setdefault(as_path(key)[:-1], []).append(key)
        return [groups[group] for group in sorted(groups)]

    def _governing_flags(self) -> list[Key]:
        """The flags that say that an episode is over; as in TorchRL, flags beneath others say it of a part alone."""
        spec = self.full_done_spec
        if self._governing is None or self._governing[0] is not spec:  # every step of a loop of one's own asks
            leaves, loose = list(spec.leaves()), self._roles().end_flags
            flags = [path for path in leaves if path[-1] in DONE_FAMILY or path in loose] or leaves
            groups = {path[:-1] for path in flags}
            found = [path for path in flags if not any(path[:n] in groups for n in range(len(path) - 1))]
            self._governing = spec, found
        return self._governing[1]

    def _end_flags(self) -> list[Key]:
        """Those of them that are enough to look at: ``done``, where it is beside the others and follows from them."""
        flags, loose = self._governing_flags(), self._roles().end_flags
        return [path for path in flags if path[-1] == "done" or path in loose or (*path[:-1], "done") not in flags]

    # -- what a buffer needs --------------------------------------------------------------------------------------

    def _row_layout(self) -> Layout:
        """Path -> (shape, dtype) of everything one row holds, the root first, then ``next``.

        Raises SpecError if two families want the same entry, or one of ours is called ``"next"``.
        """
        specs = {family: self._spec(family) for family in FAMILIES}
        return row_layout(specs, self._title(), shown=self._roles().recurrent)

    def _title(self) -> str:
        """Whose entries these are, for messages."""
        return type(self).__name__

    def _leaves(self, family: str) -> Layout:
        return leaf_layout(self._spec(family))

    def _group_parts(self) -> dict[Key, torch.Size]:
        """Nested Composites that count more than the batch, and what: ``[*part]``; see :func:`group_parts`."""
        return group_parts({family: self._spec(family) for family in FAMILIES}, self.ndim)

    # -- what entries are for -------------------------------------------------------------------------------------

    def _roles(self) -> Roles:
        """None, unless a subclass knows better."""
        return Roles()

    # -- the private side -----------------------------------------------------------------------------------------

    def _spec(self, family: str) -> Composite:
        spec = self._specs.get(family)
        if spec is None:
            spec = self._default(family)
            self._specs = {**self._specs, family: spec}
        return spec

    def _default(self, family: str) -> Composite:
        shape = torch.Size([*self.batch_size, 1])
        leaves: dict[str, TensorSpec] = {}
        if family == "reward":
            leaves = {"reward": Unbounded(shape, device=self.device)}
        elif family == "done":
            leaves = {
                name: Categorical(2, shape=shape, dtype=torch.bool, device=self.device)
                for name in ("done", "terminated")
            }
        return Composite(leaves, shape=self.batch_size, device=self.device)

    def _assign(self, family: str, spec: TensorSpec, standard: list[str] | None = None) -> None:
        if not isinstance(spec, TensorSpec):
            raise SpecError(f"{type(self).__name__}.{family}_spec must be a spec, found a {type(spec).__name__}")
        if not isinstance(spec, Composite):
            names = standard or [family]
            if spec.shape[: len(self.batch_size)] != self.batch_size:
                raise SpecError(
                    f"{type(self).__name__}.{family}_spec has shape {list(spec.shape)}, which does not begin with the "
                    f"env's batch_size {list(self.batch_size)}. "
                    f"Expand it: spec.expand({[*self.batch_size, *spec.shape]})"
                )
            spec = Composite(dict.fromkeys(names, spec), shape=self.batch_size, device=self.device)
        elif spec.shape != self.batch_size:
            raise SpecError(
                f"{type(self).__name__}.{family}_spec has shape {list(spec.shape)}, but the env's batch_size is "
                f"{list(self.batch_size)}. Write: Composite(..., shape=self.batch_size)"
            )
        if family == "done":
            require_flags(spec, self._title())
        if self.device is not None and any(leaf.device != self.device for leaf in spec.leaves().values()):
            spec = spec.to(self.device)
        self._specs = {**self._specs, family: spec}
        self._specs_changed()

    def _assign_flags(self, spec: TensorSpec) -> None:
        # not in _assign: what a transform made of the flags is taken at its word
        flags = completed(spec, self.device) if isinstance(spec, Composite) else spec
        self._assign("done", flags, ["done", "terminated"])

    def _specs_changed(self) -> None:
        """Called after a spec was assigned: who keeps memory laid out by it lets go of that here."""
        self._specs_version += 1

    def _keys(self, family: str) -> list[NestedKey]:
        return [as_user_key(path) for path in self._spec(family).leaves()]

    def _leaf_or_all(self, family: str) -> TensorSpec:
        spec = self._spec(family)
        leaves = spec.leaves()
        return leaves[family,] if len(leaves) == 1 and (family,) in leaves else spec

    def _only_key(self, family: str) -> NestedKey:
        keys = self._keys(family)
        if len(keys) != 1:
            raise KeyError(f"{type(self).__name__} has {len(keys)} {family} keys: {keys}. Use {family}_keys")
        return keys[0]

    def _gather(self, *families: str) -> Composite:
        parts = {f"full_{family}_spec": self._spec(family).clone() for family in families}
        return Composite(parts, shape=self.batch_size, device=self.device)
