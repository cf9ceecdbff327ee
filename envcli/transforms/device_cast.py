"""Hands tensors out on another device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import NestedKey
from envcli.rows.env_shape import found_here
from envcli.specs import Composite
from envcli.transforms.transform import Transform

__all__ = ["DeviceCastTransform"]


class DeviceCastTransform(Transform):
    """The user's tensors are on ``device``; actions come back to where the simulator is.

    In an env nothing is copied step by step: rows stay on the host, and what is handed out is moved as a whole, as with
    ``env.to(device)``. All entries of an env are on one device, so ``in_keys`` are for TensorDicts outside an env only.

    Args:
        device: the user's, or its name.
        orig_device: where ``inv`` brings tensors back to, outside an env; None: they stay where they are.
        in_keys: the entries to move, outside an env; None: all.
        out_keys: what they are called after; None: the same.
        in_keys_inv, out_keys_inv: the same for ``inv``.

    Raises:
        ConfigError: there is no such device.
        TransformError: keys are named, and it stands in an env.
    """

    _resets_by_call = True

    def __init__(
        self,
        device: torch.device | str,
        orig_device: torch.device | str | None = None,
        *,
        in_keys: Sequence[NestedKey] | None = None,
        out_keys: Sequence[NestedKey] | None = None,
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        self.orig_device = None if orig_device is None else _found("orig_device", orig_device)
        self._all, self._all_inv = in_keys is None, in_keys_inv is None
        self.register_buffer("_place", torch.empty(0, device=_found("device", device)), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the user's tensors are. ``to`` changes it."""
        place = self._place
        assert isinstance(place, torch.Tensor)
        return place.device

    # -- outside an env -------------------------------------------------------------------------------------------

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return obs.to(self.device)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        return state if self.orig_device is None else state.to(self.orig_device)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """A TensorDict on the device; with ``in_keys`` the same one with these moved, and no device of its own."""
        if self._all:
            return tensordict.to(self.device)
        return super().forward(tensordict.clear_device_())

    def inv(self, tensordict: TensorDictBase) -> TensorDictBase:
        """The way back, to ``orig_device``."""
        if self._all_inv:
            return tensordict.copy() if self.orig_device is None else tensordict.to(self.orig_device)
        return super().inv(tensordict.copy().clear_device_())

    # -- in an env ------------------------------------------------------------------------------------------------

    def transform_env_device(self, device: torch.device | None) -> torch.device | None:
        """``device``, whatever it was."""
        if self.in_keys or self.in_keys_inv:
            raise TransformError(
                "DeviceCastTransform: all entries of an env are on one device. Leave in_keys and in_keys_inv out, "
                "or move single entries outside the env"
            )
        return self.device

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """The same on the device."""
        return output_spec.to(self.device)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """The same on the device."""
        return input_spec.to(self.device)

    def extra_repr(self) -> str:
        """The devices and the keys, for ``repr``."""
        return f"device={str(self.device)!r}, orig_device={self.orig_device}, {super().extra_repr()}"


def _found(name: str, device: torch.device | str) -> torch.device:
    return found_here(device, f"DeviceCastTransform: {name} is {device!r}")
