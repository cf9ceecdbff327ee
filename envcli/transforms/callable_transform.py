"""A function as a transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase

from envcli.errors import SpecError, TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key
from envcli.mdp import leaf_paths, leaves
from envcli.rows.env_specs import FAMILIES, EnvSpecs
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.given_function import name_of
from envcli.transforms.module_transform import ModuleTransform
from envcli.transforms.transform import Transform

__all__ = ["CallableTransform", "Transforming", "as_transform"]

Function = Callable[[TensorDictBase], TensorDictBase | None]
Values = dict[Key, torch.Tensor]

Transforming = Transform | Function
"""A transform, or a function that takes a TensorDict and gives one, or writes into it and gives None."""


class CallableTransform(Transform):
    """``function`` is called on what each reset and each step shows, ``[*batch]``, and the user sees what it returns.

    A reset shows no reward: a function that changes rewards looks if there is one. What it writes becomes known by a
    trial: an env calls it on zeros, when it is built, of a reset and of a step. New entries of both are observations,
    and shapes and dtypes that it changes count. What the zeros do not show, such as an entry of later steps only, needs
    a :class:`Transform`, which can announce it. (TorchRL announces nothing: what is new stands still between resets.)

    Args:
        function: takes a TensorDict, and returns it or another one; None, where it wrote into the one that it took.

    Raises:
        SpecError: from steps and resets of an env: the function wrote an entry that the trial did not show. (On a
            TensorDict of another batch size than the env's it may.)
    """

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self._batch: torch.Size | None = None  # of the env, whose rows have no room for what the trial did not show
        self._begun: Values = {}  # what the trial gave
        self._followed: Values = {}
        self._added: set[NestedKey] = set()

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``function`` of ``tensordict``, whatever is in it."""
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        result = self.function(next_tensordict)
        return next_tensordict if result is None else result

    def _step(self, tensordict: TensorDictBase, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._within(next_tensordict)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return self._within(tensordict_reset)

    def _within(self, tensordict: TensorDictBase) -> TensorDictBase:
        given = self._added.union(map(as_user_key, leaf_paths(tensordict)))
        result = self._call(tensordict)
        fresh = [key for path in leaf_paths(result) if (key := as_user_key(path)) not in given]
        if fresh and result.batch_size == self._batch:
            raise SpecError(
                f"{self!r} wrote {fresh}, which the env does not have there. If it has it at other times, like a "
                "reward after a step but not after a reset, check for it first. A new entry must be written after "
                "resets and steps alike, of zeros too; else write a Transform, which can declare it"
            )
        return result

    # -- specs ----------------------------------------------------------------------------------------------------

    def _inspect(self, before: EnvSpecs) -> None:
        self._batch = before.batch_size
        self._begun = self._trial(before, "observation", "done")
        self._followed = self._trial(before, "observation", "reward", "done")
        known = {path for family in FAMILIES for path in before._leaves(family)}
        self._added = {as_user_key(path) for path in (self._begun.keys() & self._followed.keys()) - known}

    def _trial(self, before: EnvSpecs, *families: str) -> Values:
        """What the function makes of zeros; nothing, where it cannot do with them."""
        zeros = TensorDict({}, batch_size=before.batch_size, device=before.device)
        for family in families:
            zeros.update(before._spec(family).zero())
        try:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                made = self._call(zeros)
        except Exception:  # whatever it raises, it will say again of true values
            return {}
        return {
            path: value for path, value in leaves(made) if isinstance(value, torch.Tensor) and not value.is_complex()
        }

    def transform_observation_spec(self, observation_spec: Composite) -> Composite:
        """With what the function adds, and in the shapes and dtypes that it gives."""
        for key in self._added:
            value = self._followed[as_path(key)]
            observation_spec[key] = Unbounded(value.shape, device=value.device, dtype=value.dtype)
        return self._as_given(observation_spec)

    def transform_reward_spec(self, reward_spec: Composite) -> Composite:
        """In the shapes and dtypes that the function gives."""
        return self._as_given(reward_spec)

    def _as_given(self, spec: Composite) -> Composite:
        for path, leaf in spec.leaves().items():
            value = self._followed.get(path)
            if value is not None and not _fits(value, leaf):
                spec[as_user_key(path)] = Unbounded(value.shape, device=leaf.device, dtype=value.dtype)
        return spec

    def extra_repr(self) -> str:
        """The name of the function, for ``repr``."""
        return name_of(self.function)


def _fits(value: torch.Tensor, leaf: TensorSpec) -> bool:
    """Is ``value`` of the form of ``leaf``? Dimensions of one may be more or less."""
    sizes, wanted = ([size for size in shape if size != 1] for shape in (value.shape, leaf.shape))
    return sizes == wanted and value.dtype == leaf.dtype


def as_transform(transform: Any, who: str) -> Transform:  # Any: what a user gave
    """``transform``, or a function made one. Raises TransformError, in the name of ``who``, if it is neither.

    A TensorDictModule is a function that says what it writes: it becomes a :class:`ModuleTransform`.
    """
    if isinstance(transform, Transform):
        return transform
    if isinstance(transform, type) and issubclass(transform, Transform):
        raise TransformError(f"{who}: expected a transform, found the class. Write {transform.__name__}(...)")
    if isinstance(transform, TensorDictModuleBase):
        return ModuleTransform(module=transform)
    if not callable(transform):
        raise TransformError(f"{who}: expected a transform, found a {type(transform).__name__}")
    if _is_torchrls(transform):  # called as a function it would, for one, begin a hidden state anew at every step
        name = type(transform).__name__
        primed = ", envcli.TensorDictPrimer(envcli.from_torchrl(its.primers))" if name == "TensorDictPrimer" else ""
        raise TransformError(
            f"{who}: {name} is TorchRL's, which works in envs of TorchRL's only. Take that of envcli{primed}, or put it"
            " around envcli.as_torchrl(env)"
        )
    return CallableTransform(transform)


def _is_torchrls(transform: object) -> bool:
    kinds = type(transform).__mro__
    return any(kind.__name__ == "Transform" and kind.__module__.split(".")[0] == "torchrl" for kind in kinds)
