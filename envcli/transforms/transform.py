"""The contract of a transform: what happens to values between an env and its user."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from inspect import signature
from types import MethodType
from typing import Any, Self

import torch
from tensordict import TensorDictBase

from envcli.errors import EnvcliError, TransformError
from envcli.keys import Key, NestedKey, as_keys, as_path, under_next
from envcli.memory.buffer import Array, Recolour, RolloutBuffer
from envcli.rows.bound_to_rows import BoundToRows
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.private_names import refuse_assigned
from envcli.rows.roles import Roles
from envcli.rows.row_hooks import RowHooks
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.hooks import SHORTCUTS, HookPlan, hook_plan
from envcli.transforms.inner_env import InnerEnv
from envcli.transforms.overriding import cached_on_class, is_written_for, writer

__all__ = ["KEYS", "Transform"]

KEYS = ("in_keys", "out_keys", "in_keys_inv", "out_keys_inv")
"""The attributes of a transform that name entries."""


class Transform(BoundToRows, torch.nn.Module):
    """A change of some entries.

    A subclass implements ``_apply_transform`` (value to value, on any leading dimensions); rows, specs and the use on a
    TensorDict follow from it. Towards the simulator it implements ``_inv_apply_transform`` and
    ``transform_input_spec``.

    A transform that needs more than one value at a time implements the row hooks ``_bind``, ``_step_row``,
    ``_reset_row`` and ``_inv_row``, or, as for TorchRL, the TensorDict hooks ``_call``, ``_step``, ``_reset`` and
    ``_inv_call``, which cost some TensorDicts a step. If a class implements both, they must do the same, and the row
    hooks are run.

    A rollout has memory for what the specs declare: a TensorDict hook that writes another entry raises a SpecError.
    (TorchRL keeps the entry, although no spec declares it.) Declare it in ``transform_observation_spec``, or name it in
    ``out_keys`` if ``_apply_transform`` makes it.

    The root that a TensorDict hook is given, the first argument of ``_step``, ``_reset`` and ``_inv_call``, is memory
    of the env: read its values, but do not change them in place. It holds the entries that the specs declare. (TorchRL
    shows whatever the user put into the TensorDict.)

    A subclass of any transform may override any of these methods, as in TorchRL. A faster form of what it overrides,
    such as ``_step_row`` beside ``_apply_transform``, is then not run. Where a row hook does something that cannot be
    done on a TensorDict, ``super()._step`` and the like raise a TransformError.

    Args:
        in_keys: what is read on the way to the user. A string is one key, here and below, a tuple of them a nested one.
        out_keys: what is written there; None: the same keys.
        in_keys_inv: what the simulator takes, by its own names.
        out_keys_inv: the names by which the user gives it; None: the same.

    Raises:
        TransformError: ``in_keys_inv`` and ``out_keys_inv`` are not equally many.
    """

    # What ``_bind`` found to do. They stay empty in a subclass that binds rows of its own.
    _root_moves: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()
    _next_moves: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()
    _inverse_moves: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()
    _onwards: Callable[[torch.Tensor], torch.Tensor]  # what the row hooks do to a value, both ways
    _inwards: Callable[[torch.Tensor], torch.Tensor]
    in_keys: list[NestedKey]
    out_keys: list[NestedKey]
    in_keys_inv: list[NestedKey]
    out_keys_inv: list[NestedKey]
    _container: Any  # the Compose or TransformedEnv that holds this; a floor above

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__()
        self._take_keys(
            in_keys=(shown := as_keys(in_keys)),
            out_keys=list(shown) if out_keys is None else as_keys(out_keys),
            in_keys_inv=(taken := as_keys(in_keys_inv)),
            out_keys_inv=list(taken) if out_keys_inv is None else as_keys(out_keys_inv),
        )
        self._hold(None)
        self._require_pairs("in_keys_inv", "out_keys_inv")

    def _require_pairs(self, taken: str = "in_keys", named: str = "out_keys") -> None:
        """Raise TransformError unless these keys go in pairs."""
        before, after = getattr(self, taken), getattr(self, named)
        if len(before) != len(after):
            raise TransformError(
                f"{type(self).__name__}: {taken} {before} and {named} {after} must have the same length, one pair for "
                "each entry"
            )

    # -- values ---------------------------------------------------------------------------------------------------

    _keeps_values = True
    """May ``_apply_transform`` or ``_inv_apply_transform`` keep a value that it is given?

    If so, an env passes copies of values in memory that is written again. A class that keeps none says False,
    which saves the copies.
    """

    _resets_by_call = False
    """Does a reset call a ``_call`` that a subclass overrides, as TorchRL's class of the same name does?"""

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        """``[*lead, *value]`` -> ``[*lead, *new value]``, for one pair of ``in_keys`` and ``out_keys``."""
        raise TransformError(
            f"{type(self).__name__} works on the steps of an env only; it cannot be applied to a value"
        )

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        """The user's ``[*lead, *value]`` -> the simulator's, for one pair of ``in_keys_inv`` and ``out_keys_inv``."""
        return state

    # -- TensorDicts, as in TorchRL -------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The transform on its own, on any TensorDict ``[*lead]``, in place; what is missing is left out.

        Of a rollout the entries under ``"next"`` are changed too, as in an env (TorchRL: only if ``in_keys`` name them;
        then it is only these here).
        """
        following = tensordict.get("next", None)
        named = any(as_path(key)[0] == "next" for key in self.in_keys)
        if following is not None and not named and "_call" not in self._hook_plan.own:
            self._call(following)
        return self._call(tensordict)

    def inv(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The way to the simulator on its own, on a shallow copy of ``tensordict``; what is missing is left out."""
        return self._inv_call(tensordict.copy())

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        self._require_twin("_call", "_step_row", "_call", "_step")
        return self._by_values(next_tensordict)

    def _by_values(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=False):
            value = next_tensordict.get(in_key, None)
            if value is not None:
                next_tensordict.set(out_key, self._apply_transform(value))
        return next_tensordict

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        self._require_twin("_step", "_step_row", "_call")
        return self._call(next_tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        """What a reset shows. As in TorchRL, a subclass that writes ``_call`` says here if a reset calls it too."""
        self._require_twin("_reset", "_reset_row", "_call")
        if "_call" not in self._hook_plan.own:
            return self._by_values(tensordict_reset)
        return self._call(tensordict_reset) if self._resets_by_call else tensordict_reset

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        self._require_twin("_inv_call", "_inv_row")
        for in_key, out_key in zip(self.in_keys_inv, self.out_keys_inv, strict=True):
            value = tensordict.get(out_key, None)
            if value is not None:
                tensordict.set(in_key, self._inv_apply_transform(value))
        return tensordict

    def _require_twin(self, asked: str, row_hook: str, *twins: str) -> None:
        """Raise TransformError if only ``row_hook`` does the work, and neither a method on values nor ``twins``."""
        kind, rule = writer(type(self), row_hook), SHORTCUTS[row_hook]
        if kind is Transform or getattr(type(self), rule) is not getattr(Transform, rule):
            return
        if all(getattr(kind, twin, None) is getattr(Transform, twin) for twin in twins):
            raise TransformError(
                f"{kind.__name__} works on the steps of an env only: its {asked} cannot do on a TensorDict what "
                f"{row_hook} does. In a subclass override {row_hook} instead, or put a transform of your own next to it"
            )

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """``full_observation_spec``, ``full_reward_spec`` and ``full_done_spec`` as they are after this transform."""
        for family, change in (
            ("observation", self.transform_observation_spec),
            ("reward", self.transform_reward_spec),
            ("done", self.transform_done_spec),
        ):
            output_spec[f"full_{family}_spec"] = change(output_spec[f"full_{family}_spec"])
        return output_spec

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """``full_action_spec`` and ``full_state_spec`` as the user of this transform sees them."""
        input_spec["full_action_spec"] = self.transform_action_spec(input_spec["full_action_spec"])
        input_spec["full_state_spec"] = self.transform_state_spec(input_spec["full_state_spec"])
        return input_spec

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """The observations after this transform; found by running it on zeros."""
        return self._derived(observation_spec)

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        """The rewards after this transform; found by running it on zeros."""
        return self._derived(reward_spec)

    def transform_done_spec(self, done_spec: Composite) -> Composite:
        """The done family after this transform; found by running it on zeros."""
        return self._derived(done_spec)

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """The actions before this transform; a subclass with ``in_keys_inv`` says what they are."""
        return action_spec

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """The state before this transform."""
        return state_spec

    missing_tolerance = False
    """May the env lack what ``in_keys`` and ``in_keys_inv`` name? On a TensorDict entries may always be missing."""

    def set_missing_tolerance(self, mode: bool = False) -> None:
        """Set ``missing_tolerance``. What an env lacks is then left out, for a transform of one entry at a time."""
        self.missing_tolerance = mode
        self.empty_cache()

    def _inspect(self, before: EnvSpecs) -> None:
        """Look at the env before this transform, when the chain is built, before the specs are transformed."""

    def _take_keys(self, **keys: list[NestedKey]) -> None:
        """Set these keys, ``in_keys`` and so on, from within the transform; ``_keys_given`` is not called."""
        self.__dict__.update(keys)

    def _keys_given(self, name: str) -> None:
        """Called after a user set the keys ``name``: a transform that finds its keys itself keeps these instead."""

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        """The entries that the env before this transform must show, and those that it must accept."""
        return self.in_keys, self.in_keys_inv

    def _derived(self, spec: Composite) -> Composite:
        if "_apply_transform" not in self._hook_plan.own:  # on TensorDicts: the same, unless it says
            return spec
        return self._each_after(spec)

    def _each_after(self, spec: Composite) -> Composite:
        """``spec`` with what becomes of those of its leaves that are among ``in_keys``."""
        present = spec.leaves()
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=False):
            leaf = present.get(as_path(in_key))
            if leaf is not None:
                spec[out_key] = self._entry_after(leaf, in_key, spec.ndim)
        return spec

    def _entry_after(self, leaf: TensorSpec, key: NestedKey, lead: int) -> TensorSpec:
        """What becomes of ``leaf``, the entry ``key``, of which ``lead`` dimensions are the batch's."""
        return self._spec_after(leaf)

    def _outside(self, spec: Composite, change: Callable[[TensorSpec, NestedKey], TensorSpec]) -> Composite:
        """``spec``, of actions or states, with ``change(leaf, key)`` for ``in_keys_inv``, named by ``out_keys_inv``."""
        present, pairs = spec.leaves(), list(zip(self.in_keys_inv, self.out_keys_inv, strict=True))
        there = [(as_path(in_key), in_key, out_key) for in_key, out_key in pairs if as_path(in_key) in present]
        outside = {out_key: change(present[path], in_key) for path, in_key, out_key in there}  # names may be swapped
        for _, in_key, _ in there:
            if in_key not in outside:
                del spec[in_key]
        for out_key, leaf in outside.items():
            spec[out_key] = leaf
        return spec

    def _spec_after(self, leaf: TensorSpec) -> TensorSpec:
        """``_leaf_after``; Unbounded if a subclass overrides ``_apply_transform`` and not ``_leaf_after``."""
        known = is_written_for(type(self), "_leaf_after", "_apply_transform")
        return self._leaf_after(leaf) if known else Transform._leaf_after(self, leaf)

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        """The spec of ``_apply_transform`` of a value of ``leaf``. Unbounded, unless a subclass knows better."""
        value = self._apply_transform(leaf.zero())
        return Unbounded(value.shape, device=leaf.device, dtype=value.dtype)

    def _require_numbers(self, leaf: TensorSpec) -> None:
        """For rows that are computed with as arrays: raise TransformError if ``leaf`` is bfloat16.

        numpy has no such type. Its rows are bits there, which can be moved and nothing else.
        """
        if leaf.dtype == torch.bfloat16:
            raise TransformError(f"{type(self).__name__} cannot compute with bfloat16. Put it before the cast")

    def transform_env_device(self, device: torch.device | None) -> torch.device | None:
        """Where tensors are handed out after this transform, if it is ``device`` before it."""
        return device

    def transform_env_batch_size(self, batch_size: torch.Size) -> torch.Size:
        """The batch size after this transform, if it is ``batch_size`` before it: as many envs, in the same order."""
        return batch_size

    def _recolour(self) -> Recolour | None:
        """What becomes of each colour, if that is all that happens to the images in ``in_keys``; None: it is not.

        Where it can, the simulator then draws these images so, and this transform finds one channel.
        """
        return None

    def _widens_to(self) -> torch.Size | None:
        """The batch size that an env which takes any is to be run at, with its whole chain; None: its own."""
        return None

    @property
    def _steps_per_step(self) -> int:
        """How many steps of the env before it make one step behind it: the clock of an env counts them."""
        return 1

    # -- rows -----------------------------------------------------------------------------------------------------

    _heeds_only_keys = False
    """Of all values, does it look at none but those that ``in_keys`` name? Others it may still carry along."""

    def _rewrites(self) -> set[Key]:
        """The paths whose memory on the two sides of this transform must not be the same."""
        shown = [as_path(key) for key in self.out_keys]
        return {*shown, *map(under_next, shown), *map(as_path, self.in_keys_inv)}

    def _renames(self) -> dict[Key, Key]:
        """The simulator's path -> the user's, of entries that are the same memory under two names."""
        return {}

    def _roles(self) -> Roles:
        """What this transform adds to the roles of entries, by the names on the user's side."""
        return Roles()

    def _attach(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        """``_bind``, and where a row hook is left aside, the ``_bind`` that plain rows need."""
        self._bound_by(self._bind, inner, outer)
        if self._hook_plan.stale:
            self._bound_by(MethodType(Transform._bind, self), inner, outer)

    def _attach_inner(self, inner: InnerEnv) -> None:
        """``_bind_inner``."""
        self._bound_by(self._bind_inner, inner)

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        """Remember the rows towards the simulator (``inner``) and towards the user (``outer``)."""
        self._root_moves = self._moves(inner, outer, ())
        self._next_moves = self._moves(inner, outer, ("next",))
        self._inverse_moves = [
            (outer[as_path(out_key)], inner[as_path(in_key)])
            for in_key, out_key in zip(self.in_keys_inv, self.out_keys_inv, strict=True)
        ]
        self._onwards, self._inwards = self._apply_transform, self._inv_apply_transform
        if self._hook_plan.keeps_values and self._sees_passing(inner, outer):
            self._onwards, self._inwards = _of_copies(self._onwards), _of_copies(self._inwards)

    def _sees_passing(self, inner: RolloutBuffer, outer: RolloutBuffer) -> bool:
        roots = [as_path(key) for key in self.in_keys]
        shown = (path for path in (*roots, *map(under_next, roots)) if path in inner)
        taken = map(as_path, self.out_keys_inv)
        return any(map(inner.is_passing, shown)) or any(map(outer.is_passing, taken))

    def _moves(
        self, inner: RolloutBuffer, outer: RolloutBuffer, prefix: Key
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        pairs = [
            ((*prefix, *as_path(i)), (*prefix, *as_path(o))) for i, o in zip(self.in_keys, self.out_keys, strict=False)
        ]
        return [(inner[i], outer[o]) for i, o in pairs if i in inner and o in outer]

    def _step_row(self, t: int) -> None:
        """After the step: from ``inner`` next ``[t]`` to ``outer`` next ``[t]``."""
        for source, target in self._next_moves:
            target[t] = self._onwards(source[t])

    def _reset_row(self, t: int, where: Array | None) -> None:
        """After a reset: from ``inner`` root ``[t]`` to ``outer`` root ``[t]``, in the envs ``where`` names."""
        mask: Any = ... if where is None else torch.from_numpy(where)
        for source, target in self._root_moves:
            target[t][mask] = self._onwards(source[t])[mask]

    def _begin_reset(self) -> None:
        """Before a reset, whichever env it is for."""

    def _inv_row(self, t: int) -> None:
        """Before the step: from ``outer`` root ``[t]`` to ``inner`` root ``[t]``."""
        for source, target in self._inverse_moves:
            target[t] = self._inwards(source[t])

    def _row_hooks(self) -> RowHooks:
        """Those of the hooks above that have something to do. Called after ``_bind``."""
        plan = self._hook_plan
        return RowHooks(
            self._hook("_inv_row", self._inverse_moves, plan),
            self._hook("_step_row", self._next_moves, plan),
            self._hook("_reset_row", self._root_moves, plan),
        )

    def _hook(self, name: str, moves: Sequence[object], plan: HookPlan) -> Any:  # Any: three kinds of functions
        if name in plan.stale:
            return MethodType(getattr(Transform, name), self) if moves else None
        return getattr(self, name) if moves or name in plan.own else None

    @property
    def _hook_plan(self) -> HookPlan:
        """Which of the methods of its classes are run."""
        return hook_plan(type(self))

    # -- beyond its own rows --------------------------------------------------------------------------------------

    def _bind_inner(self, inner: InnerEnv) -> None:
        """Remember the env before this transform, to step and reset it from the row hooks. Called after ``_bind``."""

    def _wait(self, where: Array | None) -> None:
        """The envs in ``where``, ``[*batch]`` bool, make no step for now, and what is kept of them stays; None: all do.

        For a transform that remembers, other than in rows. Called once it is bound.
        """

    def _skips(self) -> bool:
        """Is the step left out of all that stands before this? Asked after ``_inv_row``, and before ``_step_row``.

        That one then writes what the step leads to.
        """
        return False

    def _set_seed(self, seed: int | None) -> None:
        """Make what is drawn here after the next reset follow from ``seed``, that of the env."""

    def _fused(self, following: Transform) -> Transform | None:
        """One transform that does what this one and then ``following`` do, at less cost; None: there is none.

        It is used on rows only, and does not write the values between the two, which therefore nobody else may read.
        """
        return None

    def _runs(self, transform: Transform) -> bool:
        """Is ``transform`` this one, or one of those that this one runs in one go?"""
        return self is transform

    def _added_later(self) -> None:
        """Called before the transform is added to a chain that stands in an env already."""

    # -- its place ------------------------------------------------------------------------------------------------

    @property
    def container(self) -> Any:
        """The env that this transform is part of, or else the outermost ``Compose``; None if it stands alone."""
        found = self._container
        while isinstance(found, Transform) and found._container is not None:
            found = found._container
        return found

    @property
    def parent(self) -> Any:
        """The env that this transform acts on: the base env with the transforms before it. None outside an env."""
        return None if self._container is None else self._container._env_before(self)

    def set_container(self, container: Any) -> None:
        """Set who holds this transform. Raises TransformError if another chain or env does already."""
        if self._container is not None and container is not None and self._container is not container:
            raise TransformError(
                f"{type(self).__name__} is already part of another chain. Use a copy: transform.clone()"
            )
        self._hold(container)

    def __setattr__(self, name: str, value: Any) -> None:
        """As any module's. Attributes that a constructor takes have effect from the next step on, in specs and rows.

        Raises TransformError where the value does not fit the env that this is part of; all stays as it was then.

        Other attributes are the transform's own: it may set them at every step, at no more cost than this.
        """
        if name[0] == "_":
            refuse_assigned(self, name, value)
        if name in KEYS:
            self._take_keys(**{name: as_keys(value)})
            self._keys_given(name)  # an env looks at them before it does anything else
            return
        if name[0] == "_" or self.__dict__.get("_container") is None or name not in _given(type(self), "__init__"):
            super().__setattr__(name, value)
            return
        before: Any = getattr(self, name, None)
        super().__setattr__(name, value)
        try:
            self._container._attribute_set(self)
        except EnvcliError:  # it does not fit the env, which must stay usable
            super().__setattr__(name, before)
            raise

    def _set_silently(self, **attributes: Any) -> None:
        """Set several attributes that belong together; the caller informs the env."""
        for name, value in attributes.items():
            super().__setattr__(name, value)

    def _hold(self, container: Any) -> None:
        # Past torch's __setattr__: a Compose would become a submodule of its own transforms, and `to` would never end.
        self.__dict__["_container"] = container

    def reset_parent(self) -> None:
        """Stand alone from now on; the chain or env that held this keeps a copy in its place."""
        if self._container is not None:
            self._container._exchange(self, self.clone())

    def empty_cache(self) -> None:
        """Have the env that this is part of work out its specs anew, if there is one."""
        if self._container is not None:
            self._container._changed()

    def dump(self, suffix: str | None = None, step: int | None = None) -> None:
        """Write down what a recorder such as :class:`~envcli.VideoRecorder` holds; other transforms hold nothing."""

    def close(self) -> None:
        """Let go of what a subclass holds; there is nothing here. An env does not call it."""

    def clone(self) -> Self:
        """A copy with memory of its own, outside any chain."""
        container = self._container
        self._hold(None)
        try:
            return copy.deepcopy(self)
        finally:
            self._hold(container)

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"keys={self.in_keys}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.extra_repr()})"


@cached_on_class
def _given(kind: type[Transform], *names: str) -> frozenset[str]:
    """The names of the constructors' arguments, besides the keys: specs follow from them, and rows from specs."""
    below = kind.__mro__[: kind.__mro__.index(Transform)]
    given = [signature(vars(above)["__init__"]).parameters for above in below if "__init__" in vars(above)]
    return frozenset[str]().union(*given) - signature(Transform.__init__).parameters.keys()


def _of_copies(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda value: change(value.clone())
