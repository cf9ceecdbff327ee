"""The dict half of a Composite: specs under nested keys."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, TypeAlias, TypeGuard

import torch

from envcli.errors import LockedError, SpecError, nearest
from envcli.keys import Key, NestedKey, as_path, as_user_key, groups_above
from envcli.specs.spec import TensorSpec

__all__ = ["SpecTree"]

IsLeaf: TypeAlias = Callable[[type], bool]
_MISSING = object()
_LOCKED = "the Composite is locked. Call unlock_() first."


class SpecTree(TensorSpec):
    """A dict of specs, whose keys are strings and whose values are leaves or further trees.

    Everywhere a key may be a tuple that leads into the tree. The shape of each value must begin with the tree's own,
    and where the tree has a device each value is moved there. An inner tree whose shape is no more than the beginning
    of the tree's own is taken up in that one, as in TorchRL, where its leaves allow it.
    """

    def __init__(self, shape: torch.Size, device: torch.device | None) -> None:
        super().__init__(shape, None, device, None, None)
        self._specs: dict[str, TensorSpec] = {}
        self._locked = ""  # why entries cannot be changed, and the cure; empty where they can
        self._changes = 0
        self._found: tuple[list[tuple[SpecTree, int]], Mapping[Key, TensorSpec]] = [], {}  # the trees then, the leaves

    @abstractmethod
    def empty(self) -> Self:
        """A tree without entries, of the same shape and device."""

    # Reading.

    def get(self, item: NestedKey, default: Any = None) -> Any:
        """The spec at the key ``item``, or ``default``."""
        node: Any = self
        for part in as_path(item):
            node = node._specs.get(part, _MISSING) if isinstance(node, SpecTree) else _MISSING
        return default if node is _MISSING else node

    def __getitem__(self, index: Any) -> Any:
        """The spec at a key, or the tree indexed along its leading dimensions. Raises KeyError for an unknown key."""
        if not _is_key(index):
            return super().__getitem__(index)
        found = self.get(index, _MISSING)
        if found is _MISSING:
            raise KeyError(f"no spec {index!r}. {nearest(str(as_path(index)[-1]), self._names())}".rstrip())
        return found

    def __contains__(self, key: object) -> bool:
        return _is_key(key) and self.get(key, _MISSING) is not _MISSING

    def __iter__(self) -> Iterator[str]:
        return iter(self._specs)

    def __len__(self) -> int:
        return len(self._specs)

    def keys(
        self, include_nested: bool = False, leaves_only: bool = False, *, is_leaf: IsLeaf | None = None
    ) -> KeysView[NestedKey]:
        """The keys; ``include_nested`` those of inner trees too, before their tree's, ``leaves_only`` no trees.

        ``is_leaf`` says of the type of a spec whether it counts as a leaf; None: all do that are no trees.
        """
        return self._flat(include_nested, leaves_only, is_leaf).keys()

    def values(
        self, include_nested: bool = False, leaves_only: bool = False, *, is_leaf: IsLeaf | None = None
    ) -> ValuesView[TensorSpec]:
        """The specs, in the order of :meth:`keys`."""
        return self._flat(include_nested, leaves_only, is_leaf).values()

    def items(
        self, include_nested: bool = False, leaves_only: bool = False, *, is_leaf: IsLeaf | None = None
    ) -> ItemsView[NestedKey, TensorSpec]:
        """The pairs of key and spec, in the order of :meth:`keys`."""
        return self._flat(include_nested, leaves_only, is_leaf).items()

    def leaves(self) -> Mapping[Key, TensorSpec]:
        """Path -> leaf, however deep, in the order of :meth:`keys`. They are looked for again only after a change."""
        trees, _ = self._found
        if not trees or any(tree._changes != changes for tree, changes in trees):
            trees, found = [(self, self._changes)], dict[Key, TensorSpec]()
            for name, spec in self._specs.items():
                if isinstance(spec, SpecTree):
                    found.update({(name, *path): leaf for path, leaf in spec.leaves().items()})
                    trees += spec._found[0]
                else:
                    found[name,] = spec
            self._found = trees, found
        return self._found[1]

    def is_empty(self, recurse: bool = False) -> bool:
        """Whether there is no entry; with ``recurse``, whether there is no leaf, however deep."""
        return not self._flat(recurse, recurse)

    @property
    def is_locked(self) -> bool:
        """Whether entries can neither be set nor removed."""
        return bool(self._locked)

    # Writing.

    def set(self, name: NestedKey, spec: TensorSpec | Mapping[Any, Any]) -> Self:
        """Put ``spec`` (a spec, or a dict of specs) at ``name``, making the trees on the way; returns the tree itself.

        Raises SpecError, naming the key, where the tree is locked or the shape does not begin with the tree's.
        """
        path = as_path(name)
        if not path or not all(isinstance(part, str) for part in path):
            raise SpecError(f"a key is a string or a tuple of strings, found {name!r}.")
        node: SpecTree = self
        for depth, part in enumerate(path[:-1]):
            if part not in node._specs:
                node._put(part, node.empty(), path[: depth + 1])
            inner = node._specs[part]
            if not isinstance(inner, SpecTree):
                raise SpecError(f"{name!r} cannot be set: {as_user_key(path[: depth + 1])!r} is a leaf.")
            node = inner
        node._put(path[-1], spec, path)
        return self

    def __setitem__(self, name: NestedKey, spec: TensorSpec | Mapping[Any, Any]) -> None:
        self.set(name, spec)

    def __delitem__(self, name: NestedKey) -> None:
        self.pop(name)

    def pop(self, key: NestedKey, default: Any = _MISSING) -> Any:
        """Remove and return the spec at ``key``, or return ``default``; without one, raises KeyError."""
        path = as_path(key)
        holder = self.get(path[:-1], self)
        if key not in self:
            return self[key] if default is _MISSING else default
        holder._check_unlocked(key)
        holder._changes += 1
        return holder._specs.pop(path[-1])

    def update(self, dict_or_spec: SpecTree | Mapping[Any, Any]) -> Self:
        """Set every entry of it, joining inner trees rather than replacing them; returns the tree itself."""
        for key, spec in dict_or_spec.items():
            present = self.get(key)
            if isinstance(present, SpecTree) and isinstance(spec, (SpecTree, Mapping)):
                present.update(spec)
            else:
                self.set(key, spec)
        return self

    def separates(self, *keys: NestedKey, default: Any = None) -> Self | Any:
        """Take ``keys`` out of this tree, as a tree of their own; ``default`` where none of them was there."""
        out = self.select(*(key for key in keys if key in self))
        for key in keys:
            self.pop(key, None)
        return default if out.is_empty() else out

    def select(self, *keys: NestedKey) -> Self:
        """A new tree with these entries only, in groups of the same shape. Raises KeyError for an unknown key."""
        return self.of_leaves((as_path(key), self[key]) for key in keys)

    def exclude(self, *keys: NestedKey) -> Self:
        """A new tree without these entries, of which unknown ones are ignored."""
        out = self.clone()
        for key in keys:
            out.pop(key, None)
        return out

    def of_leaves(self, leaves: Iterable[tuple[Key, TensorSpec]]) -> Self:
        """A new tree of these leaves or trees; a group that is in this tree, too, has its shape and device from it."""
        out = self.empty()
        for path, leaf in leaves:
            for group in groups_above(path):
                had = self.get(group)
                if group not in out and isinstance(had, SpecTree):
                    out.set(group, had.empty())
            out.set(path, leaf)
        return out

    def lock_(self, recurse: bool = True) -> Self:
        """Refuse changes from now on, also of inner trees if ``recurse``; returns the tree itself."""
        return self._set_lock(_LOCKED, recurse)

    def unlock_(self, recurse: bool = True) -> Self:
        """Allow changes again; returns the tree itself."""
        return self._set_lock("", recurse)

    __hash__ = TensorSpec.__hash__  # which a class that writes __eq__ does not inherit

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return super().__eq__(other) and isinstance(other, SpecTree) and self._specs == other._specs

    def _put(self, name: str, spec: TensorSpec | Mapping[Any, Any], path: tuple[str, ...]) -> None:
        self._check_unlocked(as_user_key(path))
        if isinstance(spec, Mapping):
            spec = self._tree_of(spec, path)
        if not isinstance(spec, TensorSpec):
            raise SpecError(f"{as_user_key(path)!r} must be a spec, found {type(spec).__name__}. Leave it out.")
        if isinstance(spec, SpecTree) and spec.ndim < self.ndim and self._shape[: spec.ndim] == spec.shape:
            spec = spec._in_shape(self._shape, path)
        if spec.shape[: self.ndim] != self._shape:
            raise SpecError(
                f"the shape of {as_user_key(path)!r}, {list(spec.shape)}, must begin with that of the Composite, "
                f"{list(self._shape)}. Write spec.expand({[*self._shape, *spec.shape]}), or Composite(..., shape=())."
            )
        moves = self._device is not None and spec.device != self._device
        self._changes += 1
        self._specs[name] = spec.to(self._device) if moves else spec

    def _in_shape(self, shape: torch.Size, path: tuple[str, ...]) -> Self:
        """A tree of ``shape`` with the same entries, of the tree at ``path``."""
        out = self.empty()
        out._shape = shape
        for name, spec in self._specs.items():
            out._put(name, spec, (*path, name))
        return out

    def _tree_of(self, specs: Mapping[Any, Any], path: tuple[str, ...]) -> Self:
        try:
            return self.empty().update(specs)
        except SpecError as error:
            raise SpecError(f"in {as_user_key(path)!r}: {error}") from error

    def _check_unlocked(self, key: NestedKey) -> None:
        if self._locked:
            raise LockedError(f"{key!r} cannot be changed: {self._locked}")

    def _set_lock(self, locked: str, recurse: bool) -> Self:
        self._locked = locked
        for inner in self._specs.values() if recurse else ():
            if isinstance(inner, SpecTree):
                inner._set_lock(locked, True)
        return self

    def _flat(
        self, include_nested: bool, leaves_only: bool, is_leaf: IsLeaf | None = None
    ) -> dict[NestedKey, TensorSpec]:
        if include_nested and leaves_only and is_leaf is None:
            return {as_user_key(path): leaf for path, leaf in self.leaves().items()}
        is_leaf = is_leaf or _is_no_tree
        flat: dict[NestedKey, TensorSpec] = {}
        for name, spec in self._specs.items():
            if isinstance(spec, SpecTree) and include_nested:
                deeper = spec._flat(True, leaves_only, is_leaf).items()
                flat.update({(name, *as_path(key)): leaf for key, leaf in deeper})
            if not leaves_only or is_leaf(type(spec)):
                flat[name] = spec
        return flat

    def _names(self) -> list[str]:
        return [str(key) if isinstance(key, str) else ".".join(key) for key in self.keys(True)]


def _is_no_tree(kind: type) -> bool:
    return not issubclass(kind, SpecTree)


def _is_key(index: object) -> TypeGuard[NestedKey]:
    """Whether ``index`` is a key rather than an index of tensors."""
    if isinstance(index, tuple):
        return bool(index) and all(isinstance(part, str) for part in index)
    return isinstance(index, str)
