"""Choices for continuous actions."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import torch

from envcli.errors import ConfigError, TransformError
from envcli.keys import Key, NestedKey, as_path
from envcli.rows.roles import Roles
from envcli.specs import Bounded, Composite, MultiCategorical, MultiOneHot, TensorSpec
from envcli.transforms.action_transform import ActionTransform, one_of
from envcli.transforms.drawing import Drawing
from envcli.transforms.stated import Stated

__all__ = ["ActionDiscretizer"]


class Sampling(enum.IntEnum):
    """Which number of an interval the simulator gets."""

    MEDIAN = 0
    LOW = 1
    HIGH = 2
    RANDOM = 3


_OFFSETS = {"MEDIAN": 0.5, "LOW": 0.0, "HIGH": 1.0}


class ActionDiscretizer(Drawing, Stated, ActionTransform):
    """Each element of a bounded action is cut into intervals of equal length, and the user chooses one for each.

    The user gives int64 ``[*batch, n]``, the numbers of the intervals from the lowest, or their one-hot vectors one
    after the other, bool ``[*batch, sum]``. Interval ``i`` of ``k`` in [low, high] begins at ``low + i * (high - low) /
    k``.

    Args:
        num_intervals: how many, one number or one for each element of the action.
        action_key: the simulator's action.
        out_action_key: the user's; None: the same. With another name, the simulator's action is left in the TensorDict
            as a state that each step writes, so that it is recorded.
        sampling: which number of its interval stands for it: ``"median"`` (its middle; the default), ``"low"``,
            ``"high"`` or ``"random"`` (uniform, from the generator that
            :class:`~envcli.transforms.drawing.Drawing` says).
        categorical: numbers; False: one-hot vectors.

    Raises:
        ConfigError: no such sampling, or an interval count below 1.
        TransformError: in an env: the action is not bounded, has no element, or another number of them.
    """

    SamplingStrategy = Sampling

    def __init__(
        self,
        num_intervals: int | Sequence[int] | torch.Tensor,
        action_key: NestedKey = "action",
        out_action_key: NestedKey | None = None,
        sampling: Sampling | str | int | None = None,
        categorical: bool = True,
    ) -> None:
        out_action_key = action_key if out_action_key is None else out_action_key
        super().__init__([action_key], [out_action_key], in_keys=[])
        self.num_intervals = _counts(num_intervals)
        self._of_each = isinstance(num_intervals, torch.Tensor)
        self.action_key, self.out_action_key = action_key, out_action_key
        self.sampling = _strategy(sampling)
        self.categorical = categorical
        self._nvec: list[int] = []
        self._kept = as_path(action_key) != as_path(out_action_key)

    # -- values ---------------------------------------------------------------------------------------------------

    def _inv_apply_transform(self, state: torch.Tensor) -> torch.Tensor:
        if not self._nvec:
            raise TransformError("ActionDiscretizer: the bounds of the action are unknown. Add it to an env first")
        if not self.categorical:
            parts = torch.split(state.to(torch.uint8), self._nvec, -1)
            state = torch.stack([part.argmax(-1) for part in parts], -1)
        # Rows are on the host, whatever the device of the specs that the bounds come from.
        low, high, length = (part.to(state.device) for part in (self._low, self._high, self._length))
        if self.sampling is Sampling.RANDOM:
            offset = torch.rand(state.shape, dtype=low.dtype, generator=self._generator).to(state.device)
        else:
            offset = low.new_tensor(_OFFSETS[self.sampling.name])
        value = low + (state + offset) * length
        return value.clamp(low, high)  # by rounding, the last interval may end behind the bound

    # -- specs ----------------------------------------------------------------------------------------------------

    def _leaf_before(self, leaf: TensorSpec, lead: int, which: int) -> TensorSpec:
        if not isinstance(leaf, Bounded) or not bool((leaf.low.isfinite() & leaf.high.isfinite()).all()):
            raise TransformError(
                f"ActionDiscretizer discretizes bounded actions, but {self.action_key!r} is {type(leaf).__name__} "
                f"{list(leaf.shape)}. Leave it out"
            )
        if len(leaf.shape) <= lead:
            raise TransformError(
                f"ActionDiscretizer: {self.action_key!r} {list(leaf.shape)} has no elements to discretize"
            )
        counts = self.num_intervals.flatten().tolist()
        elements = leaf.shape[-1]
        if self.num_intervals.ndim and len(counts) != elements:
            raise TransformError(
                f"ActionDiscretizer: num_intervals {counts} is for {len(counts)} elements, but {self.action_key!r} has "
                f"{elements} {list(leaf.shape)}. Give one number, or {elements}"
            )
        self._nvec = counts if self.num_intervals.ndim else counts * elements
        self._low, self._high = (one_of(bound, lead) for bound in (leaf.low, leaf.high))
        self._length = (self._high - self._low) / torch.tensor(self._nvec, device=leaf.device)
        if self.categorical:
            return MultiCategorical(self._nvec, shape=leaf.shape, device=leaf.device)
        return MultiOneHot(self._nvec, shape=(*leaf.shape[:-1], sum(self._nvec)), device=leaf.device)

    def transform_input_spec(self, input_spec: Composite) -> Composite:
        """With choices; and, under another name, with the simulator's action as a state."""
        simulators = input_spec["full_action_spec"]
        input_spec = super().transform_input_spec(input_spec)
        if self._kept and self.action_key in simulators:
            state = input_spec["full_state_spec"]
            input_spec["full_state_spec"] = state.update(simulators.select(self.action_key))
        return input_spec

    # -- rows -----------------------------------------------------------------------------------------------------

    def _rewrites(self) -> set[Key]:
        return set() if self._kept else super()._rewrites()

    def _roles(self) -> Roles:
        return Roles(writes_back={as_path(self.action_key)} if self._kept else set())

    # -- state ----------------------------------------------------------------------------------------------------

    _stated = ("num_intervals", "intervals", "nvec")

    def _state(self) -> dict[str, torch.Tensor]:
        found = {"num_intervals": self.num_intervals} if self._of_each else {}
        if self._nvec:
            found["nvec"] = torch.tensor(self._nvec)
        if self._nvec and not self._of_each:
            places = torch.arange(self._nvec[0], device=self._low.device) + _OFFSETS.get(self.sampling.name, 0.0)
            found["intervals"] = self._low.unsqueeze(-1) + places * self._length.unsqueeze(-1)
        return found

    def _take_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Where intervals lie follows from the env; how many there are must be the same."""
        for name, own in self._state().items():
            found = state.get(name, own)
            if name != "intervals" and found.tolist() != own.tolist():
                raise TransformError(
                    f"ActionDiscretizer: {name} is {own.tolist()} here, but {found.tolist()} in the loaded state"
                )

    def extra_repr(self) -> str:
        """What is cut how, for ``repr``."""
        return (
            f"num_intervals={self.num_intervals.tolist()}, action_key={self.action_key!r}, "
            f"out_action_key={self.out_action_key!r}, sampling={self.sampling.name.lower()}, "
            f"categorical={self.categorical}"
        )


def _counts(given: object) -> torch.Tensor:
    """``given`` as whole numbers, or a ConfigError."""
    try:
        counts = torch.as_tensor(given)
        fits = counts.dtype != torch.bool and not counts.is_floating_point() and bool((counts >= 1).all())
    except (RuntimeError, TypeError, ValueError):  # no numbers at all
        fits = False
    if not fits:
        raise ConfigError(f"num_intervals: expected whole numbers of at least 1, found {given}")
    return counts


def _strategy(sampling: Sampling | str | int | None) -> Sampling:
    try:
        if isinstance(sampling, str):
            return Sampling[sampling.upper()]
        return Sampling(0 if sampling is None else sampling)
    except (KeyError, ValueError):
        names = ", ".join(name.lower() for name in Sampling.__members__)
        raise ConfigError(f"sampling: expected one of {names}, found {sampling!r}") from None
