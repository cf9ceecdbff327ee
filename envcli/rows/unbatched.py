"""The spec of one env of a batch, beside that of the whole batch."""

from __future__ import annotations

from typing import Any

from envcli.specs import TensorSpec

__all__ = ["Unbatched"]


class Unbatched:
    """``action_spec_unbatched`` and the like: that spec without ``batch_size`` in front.

    What is assigned, where that can be, is the spec of every env of the batch.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name.removesuffix("_unbatched")

    def __get__(self, specs: Any, owner: type) -> Any:  # Any: an EnvSpecs or None; and a leaf, or a Composite
        return self if specs is None else getattr(specs, self._name)[(0,) * specs.ndim]

    def __set__(self, specs: Any, spec: TensorSpec) -> None:
        setattr(specs, self._name, spec.expand(*specs.batch_size, *spec.shape))
