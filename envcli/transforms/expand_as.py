"""Repeats an entry over the dimensions of another."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
import torch
from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import DONE_FAMILY, Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.specs import Composite, TensorSpec
from envcli.transforms.transform import Transform

__all__ = ["ExpandAs"]


class ExpandAs(Transform):
    """``in_key`` in the shape of ``ref_key``: with dimensions added at its end, and repeated along them.

    So the flag of an env becomes one for each of its agents: ``[*batch, 1]`` is ``[*batch, agents, 1]`` if that is the
    shape of their rewards. It stays what it is: an observation, a reward or a flag; a flag under another name becomes
    an observation. Under its own name it takes the flags beside it along, as they are read together. (TorchRL changes
    it alone.)

    A rollout is changed at the root and under ``"next"``, as in an env. (TorchRL changes its root alone; and what a
    reset shows not at all, where ``out_key`` is ``in_key``.)

    >>> import torch
    >>> from tensordict import TensorDict
    >>> data = TensorDict({"done": torch.tensor([[True]]), "agents": {"reward": torch.zeros(1, 2, 1)}}, [1])
    >>> ExpandAs("done", ("agents", "reward"))(data)["done"].tolist()
    [[[True], [True]]]

    Args:
        in_key: what is repeated. Its dimensions are those that the other begins with, or 1.
        ref_key: whose shape it gets.
        out_key: what it is called after; None: the same.

    Raises:
        TransformError: a shape that cannot become the other; in an env: no such entry.
    """

    def __init__(self, in_key: NestedKey, ref_key: NestedKey, out_key: NestedKey | None = None) -> None:
        super().__init__([in_key], [in_key if out_key is None else out_key])
        self.ref_key: NestedKey = ref_key
        self._shape: torch.Size | None = None  # [*value] of ref_key in an env
        self._flags: Collection[Key] = _beside(as_path(in_key), DONE_FAMILY)

    @property
    def in_key(self) -> NestedKey:
        """See the class."""
        return self.in_keys[0]

    @property
    def out_key(self) -> NestedKey:
        """See the class."""
        return self.out_keys[0]

    def _pairs(self) -> list[tuple[NestedKey, NestedKey]]:
        """What is repeated, and what it is called after."""
        own = as_path(self.in_key)
        along = own == as_path(self.out_key) and own in self._flags
        others = [as_user_key(path) for path in self._flags if path != own] if along else []
        return [(self.in_key, self.out_key), *zip(others, others, strict=True)]

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """See the class; what is missing is left out."""
        following = tensordict.get("next", None)
        if following is None or as_path(self.in_key)[0] == "next":
            return self._call(tensordict)
        self._call(following)
        at_root = tensordict.get(self.ref_key, None)
        return self._expanded(tensordict, following.get(self.ref_key, None) if at_root is None else at_root)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._expanded(next_tensordict, next_tensordict.get(self.ref_key, None))

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        if self._shape is None:
            return self._call(tensordict_reset)
        return self._expanded(tensordict_reset, torch.empty(*tensordict_reset.batch_size, *self._shape, device="meta"))

    def _expanded(self, tensordict: TensorDictBase, ref: torch.Tensor | None) -> TensorDictBase:
        for in_key, out_key in self._pairs():
            value = tensordict.get(in_key, None)
            if value is not None and ref is not None:
                self._require_room(in_key, value.shape, ref.shape)
                wide = value.reshape(*value.shape, *[1] * (ref.ndim - value.ndim))
                tensordict.set(out_key, wide.expand(ref.shape).clone())
        return tensordict

    def _require_room(self, key: NestedKey, own: torch.Size, other: torch.Size) -> None:
        fits = len(own) <= len(other) and all(a in (1, b) for a, b in zip(own, other, strict=False))
        if not fits:
            raise TransformError(
                f"ExpandAs: {key!r}, {list(own)}, cannot become {list(other)}, the shape of {self.ref_key!r}, "
                "by new dimensions at its end and by repeating those of size 1"
            )

    # -- specs ----------------------------------------------------------------------------------------------------

    def _required_keys(self) -> tuple[list[NestedKey], list[NestedKey]]:
        return [self.in_key, self.ref_key], []

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the wider entry."""
        families = {name: output_spec[f"full_{name}_spec"] for name in ("observation", "reward", "done")}
        self._flags = _beside(as_path(self.in_key), [path[-1] for path in families["done"].leaves()])
        leaves = {path: (name, leaf) for name, spec in families.items() for path, leaf in spec.leaves().items()}
        if not {as_path(self.in_key), as_path(self.ref_key)} <= leaves.keys():
            return output_spec  # which is said where it is put into an env
        shape = leaves[as_path(self.ref_key)][1].shape
        self._shape = shape[output_spec.ndim :]
        for in_key, out_key in self._pairs():
            name, leaf = leaves.get(as_path(in_key), ("", None))
            if leaf is not None:
                spec = families["observation" if name == "done" and out_key != in_key else name]
                spec[out_key] = self._wide(in_key, leaf, shape)
        output_spec.update({f"full_{name}_spec": spec for name, spec in families.items()})
        return output_spec

    def _wide(self, key: NestedKey, leaf: TensorSpec, shape: torch.Size) -> TensorSpec:
        self._require_room(key, leaf.shape, shape)
        for _ in range(len(shape) - leaf.ndim):
            leaf = leaf.unsqueeze(-1)
        return leaf.expand(*shape)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        pairs = [(as_path(before), as_path(after)) for before, after in self._pairs()]
        self._roots = _moves(inner, outer, pairs)
        self._followed = _moves(inner, outer, [(under_next(before), under_next(after)) for before, after in pairs])

    def _step_row(self, t: int) -> None:
        for source, target in self._followed:
            target[t, ...] = source[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        for source, target in self._roots:
            if where is None:
                target[t, ...] = source[t]
            else:
                target[t][where] = source[t][where]

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"in_key={self.in_key!r}, ref_key={self.ref_key!r}, out_key={self.out_key!r}"


def _beside(path: Key, names: Iterable[str]) -> Collection[Key]:
    """``names`` in the group of ``path``."""
    return [(*path[:-1], name) for name in names]


def _moves(inner: RolloutBuffer, outer: RolloutBuffer, pairs: list[tuple[Key, Key]]) -> list[tuple[Array, Array]]:
    """Rows of each pair that both sides have: the first with as many dimensions as the second."""
    found = []
    for before, after in pairs:
        if before in inner and after in outer:
            given, wide = inner.array(before), outer.array(after)
            found.append((given[(..., *[np.newaxis] * (wide.ndim - given.ndim))], wide))
    return found
