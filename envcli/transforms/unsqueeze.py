"""Adds a dimension of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from tensordict import TensorDictBase

from envcli.errors import ConfigError, TransformError
from envcli.keys import NestedKey
from envcli.specs import Composite
from envcli.transforms.shape import ShapeTransform

__all__ = ["UnsqueezeTransform"]


class UnsqueezeTransform(ShapeTransform):
    """A dimension of one at ``dim``; an action loses it again on the way to the simulator.

    Args:
        dim: where, counted from the end of the result: -1 is the last.
        allow_positive_dim: let ``dim`` count from 0, after the batch dimensions: of the env, or, on a TensorDict
            outside an env, of that.
        in_keys, out_keys: which values, and what they are called after.
        in_keys_inv, out_keys_inv: which actions or states the user gives with the dimension.

    Raises:
        ConfigError: no ``dim``.
        TransformError: ``dim`` is not negative where it must be; a value has too few dimensions.
    """

    def __init__(
        self,
        dim: int | None = None,
        *,
        allow_positive_dim: bool = False,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        if dim is None:
            raise ConfigError("dim: required but not given. -1 is the last dimension")
        if dim >= 0 and not allow_positive_dim:
            raise TransformError(
                f"dim: expected a negative number, counted from the end, found {dim}. allow_positive_dim=True counts "
                "from the first dimension after the batch"
            )
        self.dim, self.allow_positive_dim = dim, allow_positive_dim
        self._lead = 0

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return self._with(obs)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return self._without(state)

    def _with(self, value: torch.Tensor) -> torch.Tensor:
        return value.unsqueeze(self._place())

    def _without(self, value: torch.Tensor) -> torch.Tensor:
        place = self._place()
        if value.shape[place] != 1:
            raise TransformError(
                f"dimension {self.dim} of {list(value.shape)} has size {value.shape[place]}, and only one of size 1 "
                "can be removed"
            )
        return value.squeeze(place)

    def _place(self) -> int:
        return self.dim if self.dim < 0 else self._lead + self.dim

    # -- how many dimensions are the batch's ----------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :class:`Transform`."""
        with self._among(tensordict.batch_dims):
            return super().forward(tensordict)

    def inv(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See :class:`Transform`."""
        with self._among(tensordict.batch_dims):
            return super().inv(tensordict)

    @contextmanager
    def _among(self, lead: int) -> Iterator[None]:
        before, self._lead = self._lead, lead
        try:
            yield
        finally:
            self._lead = before

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """See :class:`ShapeTransform`."""
        self._lead = output_spec.ndim
        return super().transform_output_spec(output_spec)

    def extra_repr(self) -> str:
        """Where, and the keys."""
        return f"dim={self.dim}, {super().extra_repr()}"
