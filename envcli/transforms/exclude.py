"""Leaves entries out."""

from __future__ import annotations

from tensordict import TensorDictBase

from envcli.errors import TransformError
from envcli.keys import Key, NestedKey, as_path, as_user_key, under_next
from envcli.rows.row_hooks import RowHooks
from envcli.specs import Composite
from envcli.transforms.transform import Transform

__all__ = ["ExcludeTransform", "left_out", "matches"]

_SHOWN = ("full_observation_spec", "full_reward_spec", "full_done_spec")


class ExcludeTransform(Transform):
    """The user does not see ``excluded_keys``: observations, rewards or flags. It costs nothing per step.

    A key names an entry or a whole group. What a step reads of it (a state, a hidden observation) is kept inside, where
    the user cannot set it any more. ``done`` may go as long as all that it is made of stays.

    Args:
        *excluded_keys: what to leave out.
        inverse: leave it out on the way to the simulator instead. In an env that changes nothing, as a simulator is
            given what it asks for and no more; on a TensorDict it is the work of ``inv``.

    Raises:
        TransformError: in an env: no such entry; the end of an episode could no longer be seen; or, with ``inverse``,
            the simulator needs the entry.
    """

    def __init__(self, *excluded_keys: NestedKey, inverse: bool = False) -> None:
        super().__init__()
        self.excluded_keys: list[NestedKey] = [as_user_key(as_path(key)) for key in excluded_keys]
        self.inverse = inverse
        self._paths = [as_path(key) for key in self.excluded_keys]
        self._gone: set[Key] = set()  # the entries of the env that it is in

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``tensordict`` without these keys, under ``"next"`` as well; what is missing is left alone."""
        following = [as_user_key(under_next(path)) for path in self._paths]
        return tensordict if self.inverse else tensordict.exclude(*self.excluded_keys, *following)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return next_tensordict if self.inverse else next_tensordict.exclude(*self.excluded_keys)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return ExcludeTransform._call(self, tensordict_reset)

    def _inv_call(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict.exclude(*self.excluded_keys) if self.inverse else tensordict

    def _row_hooks(self) -> RowHooks:
        return RowHooks()

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """Without these entries."""
        if self.inverse:
            return output_spec
        shown = {path for family in _SHOWN for path in output_spec[family].leaves()}
        for path in self._paths:
            if not any(matches(path, other) for other in shown):
                have = ", ".join(".".join(other) for other in sorted(shown))
                raise TransformError(f"ExcludeTransform: no entry {as_user_key(path)!r}. The env shows: {have}")
        self._gone = {path for path in shown if any(matches(some, path) for some in self._paths)}
        return left_out(output_spec, self._gone, self)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """Without the states among these entries: they are kept inside."""
        for family in ("full_action_spec", "full_state_spec"):
            for path in input_spec[family].leaves():
                if self.inverse and any(matches(some, path) for some in self._paths):
                    raise TransformError(f"ExcludeTransform: the simulator needs {as_user_key(path)!r} as an input")
        state = input_spec["full_state_spec"]
        input_spec["full_state_spec"] = without(state, self._gone)
        return input_spec

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"keys={self.excluded_keys}"


def matches(some: Key, path: Key) -> bool:
    """Is ``path`` the entry ``some``, or in the group of that name?"""
    return path[: len(some)] == some


def without(spec: Composite, gone: set[Key]) -> Composite:
    """``spec`` in its order without the leaves ``gone``."""
    return spec.of_leaves((path, leaf) for path, leaf in spec.leaves().items() if path not in gone)


def left_out(output_spec: Composite, gone: set[Key], transform: Transform) -> Composite:
    """What an env shows without ``gone``. Raises TransformError where the end of an episode could not be seen."""
    flags = set(output_spec["full_done_spec"].leaves())
    for done in (flag for flag in flags & gone if flag[-1] == "done"):
        parts = {flag for flag in flags if flag[:-1] == done[:-1]} - {done}
        if not parts or parts & gone:
            raise TransformError(
                f"{type(transform).__name__}: without {as_user_key(done)!r} the end of an episode cannot be detected. "
                f"Keep it, or keep all its parts: {[as_user_key(part) for part in sorted(parts)]}"
            )
    if flags and not flags - gone:
        raise TransformError(
            f"{type(transform).__name__}: without any flag the end of an episode cannot be detected. Keep 'done'"
        )
    for family in _SHOWN:
        output_spec[family] = without(output_spec[family], gone)
    return output_spec
