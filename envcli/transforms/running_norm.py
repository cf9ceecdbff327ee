"""Normalises values by a mean and a standard deviation that it keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_path, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.moments.running_statistics import RunningStatistics
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.compose import Compose
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.transform import Transform

__all__ = ["RunningNorm"]


class RunningNorm(Transform, ABC):
    """``(x - mean) / std`` of what was seen so far, this value included.

    A subclass says what is kept of an entry (``_fresh``), how that is named (``_name``), and what the least variance is
    (``_least``); ``shared_statistics`` and ``adopt`` are how several processes keep one set.

    Args:
        in_keys: which entries; None: ``"observation"`` and ``"reward"``.
        out_keys: what they are called after; None: the same.
        lock: held during each update.
        decay: the weight of what was seen before, above 0, at most 1.
        eps: above 0.
        shared: for whoever builds a batch of envs: they are to keep one set of statistics.
        given: statistics in the memory of others, by their names.

    Raises:
        ConfigError: ``decay`` or ``eps`` is out of range.
        TransformError: the keys are not equally many.
    """

    _resets_by_call = True
    _stepped: Array | None = None  # [*batch] bool: who makes steps, where others wait; None: all

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None,
        out_keys: Sequence[NestedKey] | None,
        lock: AbstractContextManager[Any] | None,
        decay: float,
        eps: float,
        shared: bool,
        given: Mapping[str, Any],  # Any: what the user says are tensors
    ) -> None:
        super().__init__(["observation", "reward"] if in_keys is None else in_keys, out_keys)
        name = type(self).__name__
        if not 0 < decay <= 1 or not eps > 0:
            raise ConfigError(f"{name}: expected 0 < decay <= 1 and eps > 0, found decay={decay} and eps={eps}")
        self._require_pairs()
        self.decay, self.eps, self.lock, self.shared = decay, eps, lock, shared
        self.frozen = False
        self._begun: torch.Tensor | None = None  # during a reset of some envs: which, [*batch] bool
        self._statistics: dict[NestedKey, RunningStatistics] = {}
        self._dtypes: dict[NestedKey, torch.dtype] = {}  # of the values, once they are normalised
        self._adopted = dict(given)  # name -> memory to use
        self._loaded: dict[str, torch.Tensor] = {}  # name -> values to begin with

    # -- what is kept ---------------------------------------------------------------------------------------------

    @abstractmethod
    def _fresh(self, batch: torch.Size, shape: torch.Size) -> RunningStatistics:
        """Statistics of values ``[*shape]`` of a TensorDict ``[*batch]``."""

    @abstractmethod
    def _name(self, key: NestedKey, part: str) -> str:
        """What this part of the statistics of ``key`` is called outside."""

    @property
    @abstractmethod
    def _least(self) -> float:
        """What a variance is taken for at least."""

    def _value_shape(self, i: int, shape: torch.Size) -> torch.Size:
        """The shape that statistics of entry ``i`` have where its values are ``[*shape]``."""
        return shape

    def shared_statistics(self) -> dict[str, torch.Tensor]:
        """Move the statistics to shared memory, and return them, by name: for :meth:`adopt` of another one."""
        for statistics in self._statistics.values():
            statistics.share()
        return self._tensors()

    def adopt(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Use these statistics from now on, in their memory. Raises TransformError if they do not fit."""
        for key, statistics in self._statistics.items():
            statistics.adopt({part: tensors[self._name(key, part)] for part in statistics.PARTS})

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {self._name(key, part): s.tensors[part] for key, s in self._statistics.items() for part in s.PARTS}

    def _require(self, i: int, lead: torch.Size, shape: torch.Size, dtype: torch.dtype) -> RunningStatistics:
        """The statistics of entry ``i`` of a TensorDict ``[*lead]``, whose values are ``[*shape]``."""
        key, shape = self.in_keys[i], self._value_shape(i, shape)
        found = self._statistics.get(key)
        if found is None:
            found = self._fresh(lead, shape)
            names = {part: self._name(key, part) for part in found.PARTS}
            if all(name in self._adopted for name in names.values()):
                found.adopt({part: self._adopted[name] for part, name in names.items()})
            self._fit(key, found, self._loaded)
            self._fill(key, found, self._loaded)
            self._statistics[key] = found
            self._dtypes[key] = dtype if dtype.is_floating_point else torch.float32
        if found.shape != shape or lead[: len(found.batch)] != found.batch:
            raise TransformError(
                f"{type(self).__name__}: {key!r} has shape {[*lead, *shape]}, but its statistics are of "
                f"{[*found.batch, *found.shape]}"
            )
        return found

    def _fit(self, key: NestedKey, statistics: RunningStatistics, loaded: Mapping[str, torch.Tensor]) -> None:
        for part, tensor in statistics.tensors.items():
            found = loaded.get(self._name(key, part), tensor)
            if not statistics.fits(part, found.shape):
                raise TransformError(
                    f"{type(self).__name__}: {self._name(key, part)} is {list(tensor.shape)} here, but "
                    f"{list(found.shape)} in the loaded state"
                )

    def _fill(self, key: NestedKey, statistics: RunningStatistics, loaded: Mapping[str, torch.Tensor]) -> None:
        for part, tensor in statistics.tensors.items():
            tensor.copy_(loaded.get(self._name(key, part), tensor))

    def _load(self, loaded: Mapping[str, Any]) -> None:  # Any: a state has more than tensors
        """Begin with these values, those that there are; they are copied to the memory that is there already.

        Raises TransformError, and changes nothing, if one of them is of another shape.
        """
        tensors = {name: tensor for name, tensor in loaded.items() if isinstance(tensor, torch.Tensor)}
        for change in (self._fit, self._fill):
            for key, statistics in self._statistics.items():
                change(key, statistics, tensors)
        known = self._tensors()
        self._loaded = {name: tensor.clone() for name, tensor in tensors.items() if name not in known}

    def freeze(self) -> Self:
        """Learn nothing from now on. Returns the transform itself."""
        self.frozen = True
        return self

    def unfreeze(self) -> Self:
        """Learn again. Returns the transform itself."""
        self.frozen = False
        return self

    def frozen_copy(self) -> Self:
        """A copy with statistics of its own that learns nothing."""
        return self.clone().freeze()

    def clone(self) -> Self:
        """See :class:`Transform`. The copy has statistics of its own, and so no lock."""
        lock, self.lock = self.lock, None
        try:
            return super().clone()
        finally:
            self.lock = lock

    @property
    def loc(self) -> TensorDict:
        """The means, by ``in_keys``, in the dtypes that normalised values have."""
        return self._moments(0)

    @property
    def scale(self) -> TensorDict:
        """The standard deviations, by ``in_keys``, in the dtypes that normalised values have."""
        return self._moments(1)

    @property
    def standard_normal(self) -> bool:
        """True: values are shifted by ``loc`` and divided by ``scale``."""
        return True

    def _moments(self, which: int) -> TensorDict:
        batches = {statistics.batch for statistics in self._statistics.values()}
        moments = {
            key: torch.from_numpy(statistics.moments(self._least, self.decay)[which]).to(self._dtypes[key])
            for key, statistics in self._statistics.items()
        }
        return TensorDict(moments, batches.pop() if len(batches) == 1 else torch.Size())

    def to_observation_norm(self) -> Transform:
        """What this one does now, and does not learn further: an ``ObservationNorm``, or several in a ``Compose``."""
        loc, scale = self.loc, self.scale
        norms = [
            ObservationNorm(loc.get(i), scale.get(i), [i], [o], standard_normal=True)
            for i, o in zip(self.in_keys, self.out_keys, strict=True)
            if i in self._statistics
        ]
        return norms[0] if len(norms) == 1 else Compose(*norms)

    def denorm(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A shallow copy with ``in_keys`` as they were: ``out_keys * scale + loc``, by the averages of now.

        Of a rollout the entries under ``"next"`` too. (TorchRL: only the root's.) Exact for what was normalised since
        the last update, or frozen. Raises TransformError if there are no averages yet.
        """
        self._require_any("denorm")
        tensordict = tensordict.copy()
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            statistics = self._statistics.get(in_key)
            for own, shown in self._places(in_key, out_key):
                value = tensordict.get(shown, None)
                if value is not None and statistics is not None:
                    moments = statistics.moments(self._least, self.decay)
                    mean, std = (self._beside(value, statistics, moment) for moment in moments)
                    tensordict.set(own, (value * std + mean).to(value.dtype))
        return tensordict

    def _require_any(self, asked: str) -> None:
        if not self._statistics:
            raise TransformError(f"{type(self).__name__}: {asked} before any averages exist. Add it to an env first")

    # -- values ---------------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Learn from and normalise a TensorDict, in place; see the class."""
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        lead = next_tensordict.batch_size
        for i, (in_key, out_key) in enumerate(zip(self.in_keys, self.out_keys, strict=True)):
            places = self._places(in_key, out_key)
            found = [(value, path) for own, path in places if (value := next_tensordict.get(own, None)) is not None]
            if found:
                first = found[0][0]
                statistics = self._require(i, lead, first.shape[len(lead) :], first.dtype)
                with self._alone():
                    where = None if self._begun is None else self._begun.cpu().numpy()
                    values = first if self._begun is None else first[self._begun]
                    self._learn(statistics, values.detach().cpu().numpy(), where)
                    moments = statistics.moments(self._least, self.decay)
                for value, path in found:
                    mean, std = (self._beside(value, statistics, part) for part in moments)
                    next_tensordict.set(path, _as_float((value - mean) / std, value.dtype))
        return next_tensordict

    def _places(self, in_key: NestedKey, out_key: NestedKey) -> list[tuple[Key, Key]]:
        """The two paths at the root, and those under ``"next"``."""
        own, shown = as_path(in_key), as_path(out_key)
        return [(own, shown), (under_next(own), under_next(shown))]

    def _beside(self, value: torch.Tensor, statistics: RunningStatistics, moment: Array) -> torch.Tensor:
        """``moment``, such that it can be computed with ``value``, ``[*batch, *more, *shape]``."""
        more = value.dim() - moment.ndim
        return torch.from_numpy(moment).reshape(*statistics.batch, *[1] * more, *statistics.shape).to(value.device)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        self._begun = None if mask is None else mask.reshape(tensordict_reset.batch_size)
        try:
            return super()._reset(tensordict, tensordict_reset)
        finally:
            self._begun = None

    def _learn(self, statistics: RunningStatistics, values: Array, where: Array | None) -> None:
        """From ``[*lead, *value]``, or from ``[k, *value]`` of those in a batch that ``where`` names, if it does."""
        if not self.training or self.frozen:
            return
        if not statistics.batch:
            statistics.update(values.reshape(-1, *statistics.shape), self.decay)
        elif where is not None:
            statistics.update(values[None], self.decay, where)
        elif values.ndim == len(statistics.batch) + len(statistics.shape):
            statistics.update(values[None], self.decay)
        else:
            apart = values.reshape(*statistics.batch, -1, *statistics.shape)
            statistics.update(np.moveaxis(apart, len(statistics.batch), 0), self.decay)

    def _alone(self) -> AbstractContextManager[Any]:
        """While it lasts, no other process changes the statistics."""
        return nullcontext() if self.lock is None else self.lock

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """Without bounds; the statistics get their shapes here."""
        lead = output_spec.shape
        for family in ("observation", "reward"):
            leaves = output_spec[f"full_{family}_spec"].leaves()
            for i, key in enumerate(self.in_keys):
                if as_path(key) in leaves:
                    leaf = leaves[as_path(key)]
                    self._require(i, lead, leaf.shape[len(lead) :], leaf.dtype)
        return super().transform_output_spec(output_spec)

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        self._require_numbers(leaf)
        dtype = leaf.dtype if leaf.dtype.is_floating_point else torch.float32
        return Unbounded(leaf.shape, device=leaf.device, dtype=dtype)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        raise TransformError(
            f"{type(self).__name__} works on TensorDicts and in an env; "
            "a bare value does not say which statistics apply"
        )

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._root_rows = self._pairs(inner, outer, ())
        self._next_rows = self._pairs(inner, outer, ("next",))

    def _pairs(
        self, inner: RolloutBuffer, outer: RolloutBuffer, prefix: Key
    ) -> list[tuple[RunningStatistics, Array, Array]]:
        pairs = [
            ((*prefix, *as_path(i)), (*prefix, *as_path(o))) for i, o in zip(self.in_keys, self.out_keys, strict=True)
        ]
        kept = [self._statistics[key] for key in self.in_keys]
        return [
            (statistics, inner.array(i), outer.array(o))
            for statistics, (i, o) in zip(kept, pairs, strict=True)
            if i in inner and o in outer
        ]

    def _wait(self, where: Array | None) -> None:
        self._stepped = None if where is None else ~where

    def _step_row(self, t: int) -> None:
        for statistics, source, target in self._next_rows:
            self._show(statistics, source[t, ...], target[t, ...], self._stepped)

    def _reset_row(self, t: int, where: Array | None) -> None:
        for statistics, source, target in self._root_rows:
            self._show(statistics, source[t, ...], target[t, ...], where)

    def _show(self, statistics: RunningStatistics, source: Array, target: Array, where: Array | None) -> None:
        at: Any = ... if where is None else where  # Any: an index of numpy
        value = source[at]
        if self.lock is None:
            self._learn(statistics, value, where)
            mean, std = statistics.moments(self._least, self.decay)
        else:
            with self.lock:
                self._learn(statistics, value, where)
                mean, std = statistics.moments(self._least, self.decay)
        if where is not None and statistics.batch:
            mean, std = mean[where], std[where]
        target[at] = (value - mean) / std

    def extra_repr(self) -> str:
        """Decay, eps and keys, for ``repr``."""
        return f"decay={self.decay:.4f}, eps={self.eps}, in_keys={self.in_keys}, out_keys={self.out_keys}"


def _as_float(value: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return value.to(dtype if dtype.is_floating_point else torch.float32)
