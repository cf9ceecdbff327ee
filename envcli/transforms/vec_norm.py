"""Normalises values by their running mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Self

import torch
from tensordict import TensorDict, TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_path, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import leaf_specs
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.compose import Compose
from envcli.transforms.observation_norm import ObservationNorm
from envcli.transforms.running_sums import PARTS, RunningSums
from envcli.transforms.transform import Transform

__all__ = ["VecNorm"]


class VecNorm(Transform):
    """``(x - mean) / std`` of what was seen so far, this value included.

    Each step, and each reset of observations, is one update: sums times ``decay``, then the new values added, one for
    each env of a batch (after a partial reset, of those that were reset). See :class:`RunningSums` for the formulas.
    Floats keep their dtype, other numbers become float32. Nothing is learned while frozen or after ``eval()``.

    ``state_dict()["_extra_state"]["td"]`` holds the sums themselves, float64 (``observation_sum``, ``observation_ssq``,
    ``observation_count``): changing them in place changes the transform. TorchRL's flat layout is loaded too.

    On a TensorDict ``[*lead]`` all of it is one update: the root's entry, or else that under ``"next"``; then both are
    normalised.

    Args:
        in_keys: which entries; None: ``"observation"`` and ``"reward"``.
        out_keys: what they are called after; None: the same.
        shared_td: sums that others use too, as :meth:`shared_sums` of another one gives them.
        lock: held during each update, where several processes share the sums; it is let go of whatever happens.
        decay: the weight of an update in the next one, above 0, at most 1.
        eps: the least the variance is taken for. (TorchRL says the standard deviation, and does this.)
        shapes: of one value of each entry; None: all dimensions but the batch's. Those before it are averaged over.
        shared: in a configuration: the envs of a batch, in whatever process, keep one set of sums, as
            :class:`~envcli.EnvCreator` makes them. Of itself it does nothing, and a single env has nothing to share.

    Raises:
        ConfigError: ``decay`` or ``eps`` is out of range, or ``shapes`` are not as many as ``in_keys``.
        TransformError: an entry is not there, or its shape does not end as ``shapes`` says.
    """

    _resets_by_call = True

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        shared_td: Mapping[str, torch.Tensor] | TensorDictBase | None = None,
        lock: AbstractContextManager[Any] | None = None,
        decay: float = 0.9999,
        eps: float = 1e-4,
        shapes: Sequence[Sequence[int]] | None = None,
        shared: bool = False,
    ) -> None:
        super().__init__(["observation", "reward"] if in_keys is None else in_keys, out_keys)
        if not 0 < decay <= 1 or not eps > 0:
            raise ConfigError(f"VecNorm: expected 0 < decay <= 1 and eps > 0, found decay={decay} and eps={eps}")
        if shapes is not None and len(shapes) != len(self.in_keys):
            raise ConfigError(f"VecNorm: {len(shapes)} shapes for in_keys {self.in_keys}, expected one for each")
        if len(self.in_keys) != len(self.out_keys):
            raise TransformError(f"VecNorm: in_keys {self.in_keys} and out_keys {self.out_keys} must be equally many")
        self.decay, self.eps, self.lock, self.shared = decay, eps, lock, shared
        self.frozen = False
        self._begun: torch.Tensor | None = None  # during a reset of some envs: which, [*batch] bool
        self._shapes = None if shapes is None else [torch.Size(shape) for shape in shapes]
        self._sums: dict[NestedKey, RunningSums] = {}
        self._waiting: dict[str, Any] = dict(shared_td.items()) if shared_td is not None else {}  # name -> sum

    # -- the sums -------------------------------------------------------------------------------------------------

    def shared_sums(self) -> dict[str, torch.Tensor]:
        """Move the sums to shared memory, and return them: for ``shared_td`` or :meth:`adopt` of another one."""
        for sums in self._sums.values():
            sums.share()
        return self._tensors()

    def adopt(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Use these sums from now on, in their memory. Raises TransformError if they do not fit."""
        for key, sums in self._sums.items():
            sums.adopt({part: tensors[_name(key, part)] for part in PARTS})

    def _tensors(self) -> dict[str, torch.Tensor]:
        return {_name(key, part): sums.tensors[part] for key, sums in self._sums.items() for part in PARTS}

    def _require_sums(self, i: int, shape: torch.Size) -> RunningSums:
        """The sums of entry ``i``, whose values are ``shape`` unless ``shapes`` says so."""
        key = self.in_keys[i]
        if self._shapes is not None:
            wanted = self._shapes[i]
            if shape[len(shape) - len(wanted) :] != wanted:
                raise TransformError(
                    f"VecNorm: {key!r} has shape {list(shape)}, which does not end with {list(wanted)}"
                )
            shape = wanted
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = RunningSums(shape)
            if _name(key, "sum") in self._waiting:
                sums.adopt({part: self._waiting[_name(key, part)] for part in PARTS})
        if sums.shape != shape:
            raise TransformError(f"VecNorm: {key!r} has shape {list(shape)}, but its sums are of {list(sums.shape)}")
        return sums

    def _learns(self) -> bool:
        return self.training and not self.frozen

    def freeze(self) -> Self:
        """Learn nothing from now on. Returns the transform itself."""
        self.frozen = True
        return self

    def unfreeze(self) -> Self:
        """Learn again. Returns the transform itself."""
        self.frozen = False
        return self

    def frozen_copy(self) -> Self:
        """A copy with sums of its own that learns nothing."""
        return self.clone().freeze()

    def clone(self) -> Self:
        """See :class:`Transform`. The copy has sums of its own, and so no lock."""
        lock, self.lock = self.lock, None
        try:
            return super().clone()
        finally:
            self.lock = lock

    @property
    def loc(self) -> TensorDict:
        """The means, by ``in_keys``, float32."""
        return self._moments(0)

    @property
    def scale(self) -> TensorDict:
        """The standard deviations, by ``in_keys``, float32."""
        return self._moments(1)

    @property
    def standard_normal(self) -> bool:
        """True: values are shifted by ``loc`` and divided by ``scale``."""
        return True

    def _moments(self, which: int) -> TensorDict:
        moments = {key: torch.from_numpy(sums.moments(self.eps)[which]).float() for key, sums in self._sums.items()}
        return TensorDict(moments)

    def to_observation_norm(self) -> Transform:
        """What this one does now, and does not learn further: an ``ObservationNorm``, or several in a ``Compose``."""
        loc, scale = self.loc, self.scale
        norms = [
            ObservationNorm(loc.get(i), scale.get(i), [i], [o], standard_normal=True)
            for i, o in zip(self.in_keys, self.out_keys, strict=True)
            if i in self._sums
        ]
        return norms[0] if len(norms) == 1 else Compose(*norms)

    # -- state ----------------------------------------------------------------------------------------------------

    def get_extra_state(self) -> dict[str, Any]:  # Any: torch's own hook
        """For ``state_dict``: the sums themselves, and what they are read with."""
        return {"td": self._tensors(), "decay": self.decay, "eps": self.eps}

    def set_extra_state(self, state: Any) -> None:  # Any: torch's own hook
        """From ``state_dict``: the sums are changed in place where they are there already.

        Raises TransformError, and changes nothing, if one of them is of another shape.
        """
        loaded = (state or {}).get("td", state or {})
        own = {name: tensor for name, tensor in self._tensors().items() if name in loaded}
        for name, tensor in own.items():
            if loaded[name].shape != tensor.shape:
                raise TransformError(
                    f"VecNorm: {name} is {list(tensor.shape)} here, and {list(loaded[name].shape)} in what is loaded"
                )
        for name, tensor in own.items():
            tensor.copy_(loaded[name])
        self._waiting = {
            name: tensor.to(torch.float64, copy=True)
            for name, tensor in loaded.items()
            if isinstance(tensor, torch.Tensor) and name not in self._tensors()
        }

    # -- values ---------------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Learn from and normalise a TensorDict, in place; see the class."""
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        lead = next_tensordict.batch_dims
        for i, (in_key, out_key) in enumerate(zip(self.in_keys, self.out_keys, strict=True)):
            both = [(as_path(in_key), as_path(out_key)), (under_next(as_path(in_key)), under_next(as_path(out_key)))]
            found = [(value, path) for own, path in both if (value := next_tensordict.get(own, None)) is not None]
            if found:
                sums = self._require_sums(i, found[0][0].shape[lead:])
                with self._alone():
                    self._learn(sums, self._news(found[0][0]).detach().cpu().numpy())
                    moments = sums.moments(self.eps)
                for value, path in found:
                    next_tensordict.set(path, _normal(value, *moments))
        return next_tensordict

    def _news(self, value: torch.Tensor) -> torch.Tensor:
        return value if self._begun is None else value[self._begun]

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        mask = None if tensordict is None else tensordict.get("_reset", None)
        self._begun = None if mask is None else mask.reshape(tensordict_reset.batch_size)
        try:
            return super()._reset(tensordict, tensordict_reset)
        finally:
            self._begun = None

    def _learn(self, sums: RunningSums, values: Array) -> None:
        if self._learns():
            sums.update(values.reshape(-1, *sums.shape), self.decay)

    def _alone(self) -> AbstractContextManager[Any]:
        """While it lasts, no other process changes the sums."""
        return nullcontext() if self.lock is None else self.lock

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """Without bounds; the sums get their shapes here."""
        lead = len(output_spec.shape)
        for family in ("observation", "reward"):
            leaves = leaf_specs(output_spec[f"full_{family}_spec"])
            for i, key in enumerate(self.in_keys):
                if as_path(key) in leaves:
                    self._require_sums(i, leaves[as_path(key)].shape[lead:])
        return super().transform_output_spec(output_spec)

    def _leaf_after(self, leaf: TensorSpec) -> TensorSpec:
        self._require_numbers(leaf)
        dtype = leaf.dtype if leaf.dtype.is_floating_point else torch.float32
        return Unbounded(leaf.shape, device=leaf.device, dtype=dtype)

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        raise TransformError(
            "VecNorm works on TensorDicts and in an env; a single value does not say which sums it goes to"
        )

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        self._root_rows = self._pairs(inner, outer, ())
        self._next_rows = self._pairs(inner, outer, ("next",))

    def _pairs(self, inner: RolloutBuffer, outer: RolloutBuffer, prefix: Key) -> list[tuple[RunningSums, Array, Array]]:
        pairs = [
            ((*prefix, *as_path(i)), (*prefix, *as_path(o))) for i, o in zip(self.in_keys, self.out_keys, strict=True)
        ]
        sums = [self._sums[key] for key in self.in_keys]
        return [(s, inner.array(i), outer.array(o)) for s, (i, o) in zip(sums, pairs, strict=True) if i in inner]

    def _step_row(self, t: int) -> None:
        for sums, source, target in self._next_rows:
            self._show(sums, source[t, ...], target[t, ...], ...)

    def _reset_row(self, t: int, where: Array | None) -> None:
        for sums, source, target in self._root_rows:
            self._show(sums, source[t, ...], target[t, ...], ... if where is None else where)

    def _show(self, sums: RunningSums, source: Array, target: Array, mask: Any) -> None:  # Any: an index of numpy
        value = source[mask]
        if self.lock is None:
            self._learn(sums, value)
            mean, std = sums.moments(self.eps)
        else:
            with self.lock:
                self._learn(sums, value)
                mean, std = sums.moments(self.eps)
        target[mask] = (value - mean) / std

    def extra_repr(self) -> str:
        """Decay, eps and keys, for ``repr``."""
        return f"decay={self.decay:.4f}, eps={self.eps}, in_keys={self.in_keys}, out_keys={self.out_keys}"


def _normal(value: torch.Tensor, mean: Array, std: Array) -> torch.Tensor:
    normal = (value - torch.from_numpy(mean).to(value.device)) / torch.from_numpy(std).to(value.device)
    return normal.to(value.dtype if value.is_floating_point() else torch.float32)


def _name(key: NestedKey, part: str) -> str:
    """``observation_sum``; a nested key is joined by dots."""
    return f"{'.'.join(as_path(key))}_{part}"
