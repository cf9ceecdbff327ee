"""Normalises values by their running mean and standard deviation, from sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path
from envcli.moments.running_statistics import RunningStatistics
from envcli.moments.running_sums import RunningSums
from envcli.transforms.running_norm import RunningNorm
from envcli.transforms.vec_norm_v2 import VecNormV2

__all__ = ["VecNorm"]


class VecNorm(RunningNorm):
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
            :class:`~envcli.EnvCreator` makes them. Several workers update them in no fixed order, so the same seed
            gives other numbers each time. Of itself it does nothing, and a single env has nothing to share.
        new_api: make a :class:`VecNormV2` of the other arguments; it has no ``shared_td`` and no ``shapes``. (TorchRL
            warns where it is not given.)

    Raises:
        ConfigError: ``decay`` or ``eps`` is out of range, ``shapes`` are not as many as ``in_keys``, or there are
            arguments that ``new_api`` does not have.
        TransformError: an entry is not there, or its shape does not end as ``shapes`` says.
    """

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
        new_api: bool | None = None,
    ) -> None:
        given: dict[str, Any] = {} if shared_td is None else dict(shared_td.items())
        super().__init__(in_keys, out_keys, lock, decay, eps, shared, given)
        if shapes is not None and len(shapes) != len(self.in_keys):
            raise ConfigError(f"VecNorm: {len(shapes)} shapes for in_keys {self.in_keys}, expected one for each")
        self._shapes = None if shapes is None else [torch.Size(shape) for shape in shapes]

    @wraps(__init__)  # type: ignore[misc]  # whoever asks what may be given finds the arguments of __init__
    def __new__(cls, *args: Any, new_api: bool | None = None, **kwargs: Any) -> Any:  # Any: as for __init__
        if not new_api:
            return super().__new__(cls)
        for name in ("shared_td", "shapes"):
            if kwargs.pop(name, None) is not None:
                raise ConfigError(f"VecNorm: new_api=True does not support {name}. Leave it out, or see VecNormV2")
        return VecNormV2(*args, **kwargs)

    def shared_sums(self) -> dict[str, torch.Tensor]:
        """Move the sums to shared memory, and return them: for ``shared_td`` or :meth:`adopt` of another one."""
        return self.shared_statistics()

    def _fresh(self, batch: torch.Size, shape: torch.Size) -> RunningStatistics:
        return RunningSums(shape)

    def _name(self, key: NestedKey, part: str) -> str:
        """``observation_sum``; a nested key is joined by dots."""
        return f"{'.'.join(as_path(key))}_{part}"

    @property
    def _least(self) -> float:
        return self.eps

    def _value_shape(self, i: int, shape: torch.Size) -> torch.Size:
        if self._shapes is None:
            return shape
        wanted = self._shapes[i]
        if shape[len(shape) - len(wanted) :] != wanted:
            raise TransformError(
                f"VecNorm: {self.in_keys[i]!r} has shape {list(shape)}, which does not end with {list(wanted)}"
            )
        return wanted

    def get_extra_state(self) -> dict[str, Any]:  # Any: torch's own hook
        """For ``state_dict``: the sums themselves, and what they are read with."""
        return {"td": self._tensors(), "decay": self.decay, "eps": self.eps}

    def set_extra_state(self, state: Any) -> None:  # Any: torch's own hook
        """From ``state_dict``: the sums are changed in place where they are there already.

        Raises TransformError, and changes nothing, if one of them is of another shape.
        """
        self._load((state or {}).get("td", state or {}))
