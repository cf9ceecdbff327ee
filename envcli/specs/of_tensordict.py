"""A spec of what a TensorDict holds."""

from __future__ import annotations

import torch
from tensordict import TensorDictBase

from envcli.errors import SpecError
from envcli.specs.composite import Composite
from envcli.specs.unbounded import Unbounded

__all__ = ["make_composite_from_td"]


def make_composite_from_td(data: TensorDictBase, *, unsqueeze_null_shapes: bool = True) -> Composite:
    """The keys, shapes, dtypes and device of ``data``, any number being a member; nested as it is.

    For the specs of an :class:`~envcli.EnvBase` whose first TensorDict is at hand.

    Args:
        data: ``[*batch]``, of tensors.
        unsqueeze_null_shapes: a single number, ``[]``, becomes ``[1]``.

    Raises:
        SpecError: an entry is no tensor.

    >>> from tensordict import TensorDict
    >>> data = TensorDict({"observation": torch.zeros(3), "agent": {"done": torch.tensor(True)}})
    >>> spec = make_composite_from_td(data)
    >>> spec["observation"].shape, spec["agent", "done"].shape, spec["agent", "done"].dtype
    (torch.Size([3]), torch.Size([1]), torch.bool)
    """
    found: dict[str, Composite | Unbounded] = {}
    for key, value in data.items():
        if isinstance(value, TensorDictBase):
            found[key] = make_composite_from_td(value, unsqueeze_null_shapes=unsqueeze_null_shapes)
        elif isinstance(value, torch.Tensor):
            shape = value.shape or torch.Size([1] if unsqueeze_null_shapes else [])
            found[key] = Unbounded(shape, value.device, value.dtype)
        else:
            raise SpecError(f"{key!r} is a {type(value).__name__}, expected a tensor.")
    return Composite(found, shape=data.batch_size, device=data.device)
