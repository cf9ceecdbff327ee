"""Keeps some entries."""

from __future__ import annotations

from tensordict import TensorDictBase

from envcli.keys import Key, NestedKey, as_path, as_user_key
from envcli.rows.env_specs import EnvSpecs
from envcli.rows.row_hooks import RowHooks
from envcli.specs import Composite
from envcli.transforms.exclude import left_out, matches
from envcli.transforms.transform import Transform

__all__ = ["SelectTransform"]


class SelectTransform(Transform):
    """Of what an env shows, the user sees ``selected_keys``, and what is needed to go on: rewards, flags, states.

    A key names an entry or a whole group; one that is not there is ignored, as in TorchRL. It costs nothing per step.

    Args:
        *selected_keys: what to keep.
        keep_rewards: keep all rewards, whether named or not.
        keep_dones: keep all flags of the done family, whether named or not.

    Raises:
        TransformError: in an env, where no flag is kept that says that an episode is done. (TorchRL 0.14 goes on and
            steps an env that is done.)
    """

    def __init__(self, *selected_keys: NestedKey, keep_rewards: bool = True, keep_dones: bool = True) -> None:
        super().__init__()
        self.selected_keys: list[NestedKey] = [as_user_key(as_path(key)) for key in selected_keys]
        self.keep_rewards, self.keep_dones = keep_rewards, keep_dones
        self._always: set[Key] = set()  # what the env that it is in needs besides, by the names of that env

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """``tensordict`` with these keys, rewards and flags; outside an env those called as usual."""
        keep = self._kept()
        keep |= {("next", *path) for path in keep}
        return tensordict.select(*map(as_user_key, keep), strict=False)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return next_tensordict.select(*map(as_user_key, self._kept()), strict=False)

    def _reset(self, tensordict: TensorDictBase | None, tensordict_reset: TensorDictBase) -> TensorDictBase:
        return SelectTransform._call(self, tensordict_reset)

    def _kept(self) -> set[Key]:
        names = [("reward",)] if self.keep_rewards else []
        names += [("done",), ("terminated",), ("truncated",)] if self.keep_dones else []
        return {*self._always, *names, *map(as_path, self.selected_keys)}

    def _row_hooks(self) -> RowHooks:
        return RowHooks()

    def transform_output_spec(self, output_spec: Composite) -> Composite:
        """Only these entries."""
        families = [output_spec[f"full_{name}_spec"] for name in ("observation", "reward", "done")]
        keep = [*self._always, *map(as_path, self.selected_keys)]
        shown = {path for family in families for path in family.leaves()}
        gone = {path for path in shown if not any(matches(some, path) for some in keep)}
        return left_out(output_spec, gone, self)

    def _inspect(self, before: EnvSpecs) -> None:
        keep = [before.full_action_spec, before.state_spec]
        keep += [before.full_reward_spec] if self.keep_rewards else []
        keep += [before.full_done_spec] if self.keep_dones else []
        self._always = {path for family in keep for path in family.leaves()}

    def extra_repr(self) -> str:
        """The keys, for ``repr``."""
        return f"keys={self.selected_keys}"
