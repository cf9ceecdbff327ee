"""Gives entries other names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.memory.buffer import Array, RolloutBuffer
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.row_hooks import RowHooks
from envcli.specs import Composite, TensorSpec
from envcli.transforms.transform import Transform

__all__ = ["RenameTransform"]

_Pairs = list[tuple[Key, Key]]


class RenameTransform(Transform):
    """``in_keys`` are called ``out_keys`` by the user; the simulator's ``in_keys_inv`` are given as ``out_keys_inv``.

    A renamed entry is the same memory under another name: it costs nothing per step. Any entry can be renamed, rewards
    and flags too, into nested groups and out of them; names may be exchanged. An entry that is shown and read by the
    next step as well (a state) is renamed both ways.

    Args:
        in_keys: entries as they are called before.
        out_keys: their names after.
        in_keys_inv: actions and states as the simulator calls them.
        out_keys_inv: as the user calls them.
        create_copy: keep the old name beside the new one, each in memory of its own. Of an action that has two names,
            as in TorchRL, the one in ``out_keys_inv`` counts.

    Raises:
        TransformError: not as many new names as old ones, or one of them twice; in an env: no such entry, a name that
            is taken, or a state that is renamed one way only.
    """

    _resets_by_call = True

    def __init__(
        self,
        in_keys: Sequence[NestedKey],
        out_keys: Sequence[NestedKey],
        in_keys_inv: Sequence[NestedKey] | None = None,
        out_keys_inv: Sequence[NestedKey] | None = None,
        create_copy: bool = False,
    ) -> None:
        super().__init__(in_keys, out_keys, in_keys_inv, out_keys_inv)
        self._require_pairs()
        for name, keys in (
            ("in_keys", self.in_keys),
            ("out_keys", self.out_keys),
            ("in_keys_inv", self.in_keys_inv),
            ("out_keys_inv", self.out_keys_inv),
        ):
            if len(set(map(as_path, keys))) != len(keys):
                raise TransformError(f"RenameTransform: {name} {keys} list an entry twice")
        self.create_copy = create_copy
        self._pairs: _Pairs = [(as_path(i), as_path(o)) for i, o in zip(self.in_keys, self.out_keys, strict=True)]
        inverse = zip(self.in_keys_inv, self.out_keys_inv, strict=True)
        self._pairs_inv: _Pairs = [(as_path(i), as_path(o)) for i, o in inverse]

    # -- TensorDicts ----------------------------------------------------------------------------------------------

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Rename in place, under ``"next"`` as well; what is missing is left out."""
        following = tensordict.get("next", None)
        if following is not None and not any(old[0] == "next" for old, _ in self._pairs):
            self._call(following)
        return self._call(tensordict)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._renamed(next_tensordict, self._pairs)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        return self._renamed(tensordict, [(new, old) for old, new in self._pairs_inv])

    def _renamed(self, tensordict: TensorDictBase, pairs: _Pairs) -> TensorDictBase:
        found = [(new, tensordict.get(as_user_key(old), None), as_user_key(old)) for old, new in pairs]
        found = [entry for entry in found if entry[1] is not None]
        if not self.create_copy:
            for _, _, old in found:
                tensordict.pop(old)
        for new, value, _ in found:
            tensordict.set(as_user_key(new), value.clone() if self.create_copy else value)
        return tensordict

    # -- specs ----------------------------------------------------------------------------------------------------

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """With the new names."""
        families = ("full_observation_spec", "full_reward_spec", "full_done_spec")
        self._require_free(self._pairs, {path for family in families for path in output_spec[family].leaves()})
        for family in families:
            output_spec[family] = self._respelled(output_spec[family], self._pairs)
        return output_spec

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """With the names that the user gives."""
        families = ("full_action_spec", "full_state_spec")
        self._require_free(self._pairs_inv, {path for family in families for path in input_spec[family].leaves()})
        for family in families:
            input_spec[family] = self._respelled(input_spec[family], self._pairs_inv)
        return input_spec

    def _inspect(self, before: EnvSpecs) -> None:
        shown = set(before.observation_spec.leaves()) | set(before.full_reward_spec.leaves())
        shown_and_read = shown & set(before.state_spec.leaves())
        for old, new in sorted(set(self._pairs) ^ set(self._pairs_inv)):
            if old in shown_and_read and not self.create_copy:
                raise TransformError(
                    f"RenameTransform: {as_user_key(old)!r} is an output that the next step reads. Rename it both "
                    f"ways: in_keys and in_keys_inv with {as_user_key(old)!r}, out_keys and out_keys_inv with "
                    f"{as_user_key(new)!r}"
                )

    def _require_free(self, pairs: _Pairs, taken: set[Key]) -> None:
        leaving = set() if self.create_copy else {old for old, _ in pairs}
        for old, new in pairs:
            if old in taken and new in taken - leaving:
                raise TransformError(
                    f"RenameTransform: {as_user_key(old)!r} cannot be renamed to {as_user_key(new)!r}, which "
                    "already exists. Rename or exclude that one first"
                )

    def _respelled(self, spec: Composite, pairs: _Pairs) -> Composite:
        """``spec`` in its order, with new names in the place of the old ones."""
        names, leaves = dict(pairs), list[tuple[Key, TensorSpec]]()
        for path, leaf in spec.leaves().items():
            if path not in names or self.create_copy:
                leaves.append((path, leaf))
            if path in names:
                leaves.append((names[path], leaf))
        return spec.of_leaves(leaves)

    # -- rows -----------------------------------------------------------------------------------------------------

    def _renames(self) -> dict[Key, Key]:
        if self.create_copy:
            return {}
        following = [(under_next(old), under_next(new)) for old, new in self._pairs]
        return dict([*self._pairs, *following, *self._pairs_inv])

    def _rewrites(self) -> set[Key]:
        return super()._rewrites() if self.create_copy else set()

    def _bind(self, inner: RolloutBuffer, outer: RolloutBuffer) -> None:
        def arrays(pairs: _Pairs) -> list[tuple[Array, Array]]:
            return [(inner.array(i), outer.array(o)) for i, o in pairs if i in inner and o in outer]

        copied = self.create_copy
        self._shown = arrays(self._pairs) if copied else []
        self._following = arrays([(under_next(i), under_next(o)) for i, o in self._pairs]) if copied else []
        self._taken = arrays(self._pairs_inv) if copied else []

    def _row_hooks(self) -> RowHooks:
        return super()._row_hooks() if self.create_copy else RowHooks()

    def _step_row(self, t: int) -> None:
        for source, target in self._following:
            target[t] = source[t]

    def _reset_row(self, t: int, where: Array | None) -> None:
        mask: Any = ... if where is None else where
        for source, target in self._shown:
            target[t][mask] = source[t][mask]

    def _inv_row(self, t: int) -> None:
        for target, source in self._taken:
            target[t] = source[t]

    def extra_repr(self) -> str:
        """The names, for ``repr``."""
        pairs = [f"{as_user_key(old)!r} -> {as_user_key(new)!r}" for old, new in [*self._pairs, *self._pairs_inv]]
        return ", ".join([*pairs, "create_copy=True"] if self.create_copy else pairs)
