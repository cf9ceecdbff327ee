"""A function of one value as a transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from envcli.errors import TransformError
from envcli.keys import NestedKey
from envcli.specs import Composite, TensorSpec, Unbounded
from envcli.transforms.given_function import given_function
from envcli.transforms.transform import Transform

__all__ = ["UnaryTransform"]


class UnaryTransform(Transform):
    """``out_keys`` are ``fn`` of ``in_keys``, each of one; the simulator's ``in_keys_inv`` are ``inv_fn`` of what the
    user gives as ``out_keys_inv``.

    >>> import torch
    >>> from tensordict import TensorDict
    >>> squared = UnaryTransform(["x"], ["y"], fn=torch.square)
    >>> squared(TensorDict(x=torch.tensor([2.0, 3.0])))["y"]
    tensor([4., 9.])

    Specs are found by calling ``fn`` on zeros: an entry is Unbounded with the shape and dtype that came out. What the
    user gives is Unbounded with those of ``fn`` of what the simulator takes, and takes its place. (TorchRL asks the
    user for both, and overwrites the one.)

    Args:
        in_keys: what is read on the way to the user.
        out_keys: what is written there.
        in_keys_inv: what the simulator takes.
        out_keys_inv: the names by which the user gives it; None: the same.
        fn: takes a tensor ``[*batch, *value]`` and gives one; the batch dimensions stay. From YAML ``module:function``,
            with ``allow_imports=true``.
        inv_fn: the same on the way to the simulator; None: ``fn``.
        use_raw_nontensor: taken for TorchRL's sake. Entries are tensors here, and what is no tensor is refused.
        allow_imports: functions may be given by name, whose module is imported.

    Raises:
        ConfigError: ``fn`` or ``inv_fn`` is no function, nor the name of one.
        TransformError: ``in_keys`` and ``out_keys`` are not equally many, or the inverse ones; a function gives
            anything but a tensor, or changes the batch dimensions.
    """

    def __init__(
        self,
        in_keys: Sequence[NestedKey],
        out_keys: Sequence[NestedKey],
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        *,
        fn: Callable[[torch.Tensor], torch.Tensor] | str,
        inv_fn: Callable[[torch.Tensor], torch.Tensor] | str | None = None,
        use_raw_nontensor: bool = False,
        allow_imports: bool = False,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        self._require_pairs()
        self.fn = given_function(fn, "fn", "a tensor", allow_imports)
        self.inv_fn = None if inv_fn is None else given_function(inv_fn, "inv_fn", "a tensor", allow_imports)
        self.use_raw_nontensor = use_raw_nontensor

    # -- values ---------------------------------------------------------------------------------------------------

    def _apply_transform(self, obs: torch.Tensor) -> torch.Tensor:
        return self._tensor(self.fn, "fn", obs)

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        if self.inv_fn is None:
            return self._tensor(self.fn, "fn", state)
        return self._tensor(self.inv_fn, "inv_fn", state)

    def _tensor(self, function: Callable[[torch.Tensor], Any], name: str, value: Any) -> torch.Tensor:
        made = function(value) if isinstance(value, torch.Tensor) else value
        if not isinstance(made, torch.Tensor):
            verb = "gave" if isinstance(value, torch.Tensor) else "is to take"
            raise TransformError(
                f"UnaryTransform: {name} {verb} a {type(made).__name__}, expected a tensor. Entries of an env are "
                "tensors here: convert text and the like to numbers"
            )
        return made

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_action_spec(self, action_spec: Composite) -> Composite:
        """What the user gives for ``in_keys_inv``, under the names of ``out_keys_inv``."""
        return self._outside(action_spec, partial(self._entry_after, lead=action_spec.ndim))

    def transform_state_spec(self, state_spec: Composite) -> Composite:
        """The same for the state."""
        return self._outside(state_spec, partial(self._entry_after, lead=state_spec.ndim))

    def _entry_after(self, leaf: TensorSpec, key: NestedKey, lead: int) -> Unbounded:
        made = self._apply_transform(leaf.zero())
        if made.shape[:lead] != leaf.shape[:lead]:
            raise TransformError(
                f"UnaryTransform: fn makes {list(made.shape)} of {key!r} {list(leaf.shape)}, expected a value for each "
                f"env of the batch {list(leaf.shape[:lead])}. Let it change the last dimensions only, as sum(-1) does"
            )
        return Unbounded(made.shape, device=leaf.device, dtype=made.dtype)

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        pairs = f"in_keys={self.in_keys}, out_keys={self.out_keys}"
        inverse = f", in_keys_inv={self.in_keys_inv}, out_keys_inv={self.out_keys_inv}" if self.in_keys_inv else ""
        return pairs + inverse
