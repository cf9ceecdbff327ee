"""Normalises values by their running mean and standard deviation, from moving averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, Self

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey, as_path
from envcli.moments.running_averages import RunningAverages
from envcli.moments.running_statistics import RunningStatistics
from envcli.transforms.running_norm import RunningNorm
from envcli.transforms.stated import Stated

__all__ = ["VecNormV2"]

_BETWEEN = ".-|-."  # the parts of a name in TorchRL's state


class VecNormV2(RunningNorm, Stated):
    """``(x - mean) / std`` of what was seen so far, this value included; each value ages those before it.

    Each step, and each reset of observations, is one update. See :class:`RunningAverages` for the formulas; mean and
    variance are both corrected for the averages' beginning at 0 (TorchRL takes off the square of a mean that is not,
    so that its early deviations are root mean squares). Of nothing they are 0 and 1 (TorchRL: NaN). Floats keep their
    dtype, other numbers become float32. Nothing is learned while frozen or after ``eval()`` (which TorchRL ignores).

    In a batch every env has averages of its own, ``[*batch, *shape]``, and with ``reduce_batch_dims`` all have one set,
    which every env adds a value to. Either way a partial reset is learned from by those that were reset (TorchRL: by
    all of the batch).

    ``state_dict()["_extra_state"]`` holds the averages themselves, under TorchRL's names (``"loc.-|-.observation"``,
    ``"var.-|-.observation"``, ``"count.-|-.observation"``; ``var`` is of squares) but in float64: changing them in
    place changes the transform. TorchRL's state is loaded too; its own takes ours once that is made float32.

    On a TensorDict ``[*lead]`` all of it is one update: the root's entry, or else that under ``"next"``; then both are
    normalised. (TorchRL's works in an env only.) Where every env has averages of its own, ``lead`` is that of the first
    TensorDict, or begins with the batch of the env; what follows it, such as the time of a rollout, is averaged over.

    Args:
        in_keys: which entries; None: ``"observation"`` and ``"reward"``. (TorchRL wants them named.)
        out_keys: what they are called after; None: the same.
        lock: held during each update, where several processes share the averages.
        stateful: only True. (TorchRL's False keeps the averages in the TensorDict, where each reset begins them anew.)
        decay: the weight of the average where one value is added, above 0, at most 1.
        eps: the least a standard deviation is taken for.
        shared_data: averages that others use too: ``{"loc": {"observation": ...}, "var": ..., "count": ...}``, or as
            ``shared_statistics()`` of another one gives them; float64, and int64 for ``count``.
        reduce_batch_dims: one set of averages for all of a batch.
        shared: in a configuration: the envs of a batch, in whatever process, keep one set of averages, as
            :class:`~envcli.EnvCreator` makes them. Several workers update them in no fixed order, so the same seed
            gives other numbers each time. Of itself it does nothing, and a single env has nothing to share.

    Raises:
        ConfigError: ``decay`` or ``eps`` is out of range, ``stateful`` is False, or something of ``in_keys`` is not in
            ``shared_data``.
        TransformError: an entry is not there, or its shape is not that of its averages.
    """

    _stated: ClassVar[tuple[str, ...]] = ("initialized",)

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        *,
        lock: AbstractContextManager[Any] | None = None,
        stateful: bool = True,
        decay: float = 0.9999,
        eps: float = 1e-4,
        shared_data: Mapping[str, Any] | TensorDictBase | None = None,  # Any: tensors, or groups of them
        reduce_batch_dims: bool = False,
        shared: bool = False,
    ) -> None:
        if not stateful:
            raise ConfigError(
                f"stateful: found {stateful}, expected true: with false the averages live in TensorDicts, and a reset "
                "drops them. Leave it out, and use state_dict()"
            )
        given = {} if shared_data is None else _flat(shared_data)
        super().__init__(in_keys, out_keys, lock, decay, eps, shared, given)
        self.stateful, self.reduce_batch_dims = stateful, reduce_batch_dims
        if shared_data is not None:
            self._require_all(given, self.in_keys, "shared_data", ConfigError)

    def _fresh(self, batch: torch.Size, shape: torch.Size) -> RunningStatistics:
        return RunningAverages(shape, torch.Size() if self.reduce_batch_dims else batch)

    def _name(self, key: NestedKey, part: str) -> str:
        return _BETWEEN.join([part, *as_path(key)])

    @property
    def _least(self) -> float:
        return self.eps**2

    @property
    def initialized(self) -> torch.Tensor:
        """Whether shapes are known, and so there are averages: since it stands in an env, or saw a TensorDict."""
        return torch.tensor(bool(self._statistics))

    def frozen_copy(self) -> Self:
        """A copy with averages of its own that learns nothing. Raises TransformError if there are none yet."""
        self._require_any("frozen_copy")
        return super().frozen_copy()

    # -- state ----------------------------------------------------------------------------------------------------

    def _state(self) -> dict[str, torch.Tensor]:
        return {"initialized": self.initialized}

    def get_extra_state(self) -> dict[str, torch.Tensor]:
        """For ``state_dict``: the averages themselves; nothing before there are any."""
        return self._tensors()

    def set_extra_state(self, state: Any) -> None:  # Any: torch's own hook
        """From ``state_dict``: the averages are changed in place where they are there already.

        Raises TransformError, and changes nothing, if one of them is missing or of another shape.
        """
        self._require_all(state or {}, self._statistics, "the loaded state", TransformError)
        self._load(state or {})

    def _require_all(
        self, found: Mapping[str, Any], keys: Sequence[NestedKey] | Mapping[NestedKey, Any], where: str, kind: Any
    ) -> None:
        wanted = [self._name(key, part) for key in keys for part in RunningAverages.PARTS]
        if missing := [name for name in wanted if name not in found]:
            raise kind(f"VecNormV2: no {missing[0]} in {where}, which has {list(found)}")

    def extra_repr(self) -> str:
        """Decay, eps, keys and ``reduce_batch_dims``, for ``repr``."""
        return f"{super().extra_repr()}, reduce_batch_dims={self.reduce_batch_dims}"


def _flat(tree: Mapping[str, Any] | TensorDictBase) -> dict[str, Any]:  # Any: tensors, or groups of them
    """Name -> tensor, of groups in groups; the tensors themselves."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, (Mapping, TensorDictBase)):
            flat |= {f"{name}{_BETWEEN}{rest}": tensor for rest, tensor in _flat(value).items()}
        else:
            flat[name] = value
    return flat
