"""The next observation as its difference from the observation, in half the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.mdp import leaf_paths
from envcli.rows.env_specs import EnvSpecs
from envcli.transforms.transform import Transform

__all__ = ["NextObservationDelta"]

_WHOLE_NUMBERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)


class NextObservationDelta(Transform):
    """Keeps of each ``("next", key)`` only ``("next", "delta", key)``: what it differs from ``key`` by, in float16.

    ``inv(rollout)`` does so, in a shallow copy; calling it brings ``("next", key)`` back, in place, as ``key`` plus the
    difference. That is exact up to the rounding to ``delta_dtype``, also where an episode ends. It is for data of any
    shape, such as what goes into a replay buffer and what is drawn from one.

    >>> import torch
    >>> from tensordict import TensorDict
    >>> short = NextObservationDelta()
    >>> data = TensorDict({"x": torch.tensor([1.0]), "next": {"x": torch.tensor([1.5])}}, [1])
    >>> kept = short.inv(data)
    >>> kept["next", "delta", "x"]
    tensor([0.5000], dtype=torch.float16)
    >>> short(kept)["next", "x"]
    tensor([1.5000])

    In an env it cannot be: the next step begins with the whole observation. (TorchRL's stands around an env, and drops
    what the steps before the last one led to; its ``inv`` changes nothing, and a difference too large for
    ``delta_dtype`` becomes infinite.)

    Args:
        in_keys: which observations; None: what ``"next"`` has too and is of floats.
        delta_dtype: of the differences.
        restore_dtype: of what is brought back; ``"root"``: that of ``key``.
        drop_delta: take the differences out again when it is brought back.
        excluded_dtypes: not to be found by ``in_keys=None``.

    Raises:
        ConfigError: a dtype that is none of floats.
        TransformError: in an env; from ``inv``: a difference is beyond ``delta_dtype``.
    """

    def __init__(
        self,
        in_keys: Sequence[NestedKey] | None = None,
        *,
        delta_dtype: torch.dtype = torch.float16,
        restore_dtype: torch.dtype | Literal["root"] = "root",
        drop_delta: bool = True,
        excluded_dtypes: tuple[torch.dtype, ...] = _WHOLE_NUMBERS,
    ) -> None:
        super().__init__(in_keys)
        _require_floats("delta_dtype", delta_dtype)
        if restore_dtype != "root":
            _require_floats("restore_dtype", restore_dtype)
        self.delta_dtype, self.restore_dtype, self.drop_delta = delta_dtype, restore_dtype, drop_delta
        self.excluded_dtypes = tuple(excluded_dtypes)

    def _inspect(self, before: EnvSpecs) -> None:
        raise TransformError(
            "NextObservationDelta: inside an env the next step begins with the whole observation. Apply it to a "
            "rollout: NextObservationDelta(...).inv(env.rollout(...))"
        )

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        for path in self._paths(tensordict, ("next",)):
            before, after = tensordict.get(path, None), tensordict.get(under_next(path), None)
            if before is not None and after is not None:
                tensordict.set(("next", "delta", *path), self._delta(path, after - before))
                tensordict.pop(under_next(path))
        return tensordict

    def _delta(self, path: Key, exact: torch.Tensor) -> torch.Tensor:
        delta = exact.to(self.delta_dtype)
        beyond = exact[delta.isinf() & ~exact.isinf()].abs()
        if beyond.numel():
            raise TransformError(
                f"NextObservationDelta: {as_user_key(path)!r} changes by {beyond.max():.3g} in a step, which is beyond "
                f"{self.delta_dtype}. Give delta_dtype=torch.bfloat16, or torch.float32"
            )
        return delta

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Bring the next observations back, in place; what is missing is left out."""
        for path in self._paths(tensordict, ("next", "delta")):
            before, delta = tensordict.get(path, None), tensordict.get(("next", "delta", *path), None)
            if before is None or delta is None:
                continue
            dtype = before.dtype if self.restore_dtype == "root" else self.restore_dtype
            tensordict.set(under_next(path), before.to(dtype) + delta.to(dtype))
            if self.drop_delta:
                tensordict.pop(("next", "delta", *path))
        if self.drop_delta and not leaf_paths(tensordict.get(("next", "delta"), tensordict)):
            tensordict.pop(("next", "delta"))
        return tensordict

    def _paths(self, tensordict: TensorDictBase, group: Key) -> list[Key]:
        """The observations: those in ``in_keys``, or else whatever of floats stands at the root and in ``group``."""
        if self.in_keys:
            return [as_path(key) for key in self.in_keys]
        found = tensordict.get(group, None)
        paths = [] if found is None else leaf_paths(found)
        return [path for path in paths if path[0] != "delta" and self._is_meant(tensordict.get(path, None))]

    def _is_meant(self, value: torch.Tensor | None) -> bool:
        return value is not None and value.is_floating_point() and value.dtype not in self.excluded_dtypes

    def extra_repr(self) -> str:
        """The keys and the dtype, for ``repr``."""
        return f"in_keys={self.in_keys or None}, delta_dtype={self.delta_dtype}"


def _require_floats(name: str, dtype: object) -> None:
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ConfigError(f"{name}: expected a dtype of floats, such as torch.float16, found {dtype!r}")
