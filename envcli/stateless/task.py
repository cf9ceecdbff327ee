"""A world with episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from envcli.dynamics.dynamics import Dynamics
from envcli.errors import ConfigError, SpecError, UnknownName
from envcli.rows.done_family import done_family
from envcli.specs import Categorical, Composite, OneHot, TensorSpec, Unbounded

__all__ = ["MOMENT", "Task", "Values"]

Values: TypeAlias = dict[str, Tensor]
"""Name -> ``[*lead, *value]``."""

MOMENT = ("observation", "state", "elapsed_steps")
"""What there is to know of a moment; the first is for the user, the others for the next step."""


class Task:
    """What a step of an env is: the laws of a world, repeated actions, and the end of an episode.

    Like the laws themselves, pure functions of tensors of any leading shape ``[*lead]``.

    Args:
        dynamics: the laws.
        max_episode_steps: an episode is truncated after so many steps of ``dynamics``; 0: never.
        frame_skip: how often each action is repeated. Rewards are summed, and what ends the episode ends that too.
        one_hot: choices come as one-hot vectors ``[*lead, n]``, and not as numbers.
        dtype: of states and parameters, float32 or float64.
        params: names of physical parameters that come in with each step, and are not those of ``dynamics``.

    Raises:
        UnknownName: no such parameter.
        ConfigError: no such dtype.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        *,
        max_episode_steps: int,
        frame_skip: int = 1,
        one_hot: bool = False,
        dtype: torch.dtype | str = torch.float32,
        params: Sequence[str] = (),
    ) -> None:
        self.dtype = _floating(dtype)
        self.dynamics = dynamics.replace(_cast(vars(dynamics), self.dtype))
        self.max_episode_steps = max_episode_steps
        self.frame_skip = frame_skip
        self.one_hot = one_hot
        self.params = [dynamics.parameter(name) for name in params]

    def parameter(self, name: str, value: Tensor | None, lead: torch.Size) -> Tensor:
        """``value`` of the physical parameter ``name``, or what the dynamics say, as ``[*lead]``.

        Raises SpecError where it is neither one number nor one for each.
        """
        found = torch.as_tensor(getattr(self.dynamics, name) if value is None else value)
        try:
            return found.expand(lead)
        except RuntimeError as error:
            raise SpecError(
                f"params: {name!r} is {list(found.shape)}, expected one number, or one for each env of batch size "
                f"{list(lead)}"
            ) from error

    # -- what its values look like --------------------------------------------------------------------------------

    def specs(self, lead: torch.Size, device: torch.device | None) -> dict[str, Composite]:
        """Family -> spec of as many envs as ``lead`` says.

        Raises ConfigError where a physical parameter is not of so many.
        """
        self._require_fit(lead)
        state = Unbounded([*lead, self.dynamics.state_size], device=device, dtype=self.dtype)
        kept: dict[str, TensorSpec] = {"state": state, "elapsed_steps": Unbounded([*lead, 1], dtype=torch.int64)}
        shown = {"observation": _of_each(self.dynamics.observation_spec, lead, 1), **kept}
        if self.params:
            number = Unbounded(lead, dtype=self.dtype)
            kept["params"] = Composite(dict.fromkeys(self.params, number), shape=lead)
        families: dict[str, dict[str, TensorSpec]] = {
            "observation": shown,
            "state": kept,
            "action": {"action": self.action_spec(lead)},
            "reward": {"reward": Unbounded([*lead, 1])},
        }
        specs = {name: Composite(leaves, shape=lead, device=device) for name, leaves in families.items()}
        return {**specs, "done": done_family(lead, device)}

    def action_spec(self, lead: torch.Size) -> TensorSpec:
        """Of the actions of as many envs as ``lead`` says, on the host. Raises as :meth:`specs` does."""
        self._require_fit(lead)
        spec = self.dynamics.action_spec
        if self.one_hot and isinstance(spec, Categorical):
            spec = OneHot(int(spec.n), dtype=torch.int64)
        return _of_each(spec, lead, 1 if spec.ndim else 0)

    def _require_fit(self, lead: torch.Size) -> None:
        for name, value in vars(self.dynamics).items():
            if not isinstance(value, Tensor):
                continue
            try:
                value.expand(lead)
            except RuntimeError:
                raise ConfigError(
                    f"{name} of {self.dynamics.name}: found a tensor {list(value.shape)}, expected one number, or one "
                    f"for each env of batch_size {list(lead)}. Give batch_size={list(value.shape)}"
                ) from None

    def given_state(self, options: Mapping[str, Any]) -> Tensor | None:
        """What the ``options`` of a reset tell it to begin with, ``[*batch, size]``; None: with what is drawn."""
        if unknown := sorted(set(options) - {"state"}):
            raise UnknownName("option of reset", unknown[0], ["state"])
        if options.get("state") is None:
            return None
        state, size = torch.as_tensor(options["state"]), self.dynamics.state_size
        if state.shape[-1:] != (size,):
            raise SpecError(f"reset: state: expected the shape [*batch, {size}], found {list(state.shape)}")
        return state

    # -- what happens ---------------------------------------------------------------------------------------------

    def begin(self, state: Tensor) -> Values:
        """:data:`MOMENT` where an episode begins with ``state``, ``[*lead, size]``; that may be the observation too."""
        return self._moment(state, torch.zeros_like(state[..., :1], dtype=torch.int64))

    def taken(self, action: Tensor) -> Tensor:
        """``action``, ``[*lead, *action]``, as the laws take it: choices ``[*lead]`` as numbers."""
        return _number(action) if self.one_hot else action

    def advance(self, state: Tensor, elapsed: Tensor, action: Tensor, params: Mapping[str, Tensor]) -> Values:
        """:data:`MOMENT`, reward and done family after ``action``. The observation may be the state itself.

        Args:
            state: ``[*lead, size]``.
            elapsed: ``[*lead, 1]`` int64, the steps that the episode has lasted.
            action: as :meth:`taken` gives it.
            params: name -> ``[*lead]``.
        """
        dynamics = self.dynamics.replace(params)
        state, reward, terminated = dynamics.step(state, action)
        elapsed = elapsed + 1
        for _ in range(self.frame_skip - 1):
            over = terminated | self._is_late(elapsed).squeeze(-1)
            later, more, ends = dynamics.step(state, action)
            state = torch.where(over.unsqueeze(-1), state, later)
            reward = reward + more.masked_fill(over, 0)
            terminated = terminated | (ends & ~over)
            elapsed = elapsed + ~over.unsqueeze(-1)
        terminated, truncated = terminated.unsqueeze(-1), self._is_late(elapsed)
        flags = {"done": terminated | truncated, "terminated": terminated, "truncated": truncated}
        return {**self._moment(state, elapsed), "reward": reward.float().unsqueeze(-1), **flags}

    def _is_late(self, elapsed: Tensor) -> Tensor:
        if not self.max_episode_steps:
            return torch.zeros_like(elapsed, dtype=torch.bool)
        return elapsed >= self.max_episode_steps

    def _moment(self, state: Tensor, elapsed: Tensor) -> Values:
        return {"observation": self.dynamics.observe(state).float(), "state": state, "elapsed_steps": elapsed}


def _of_each(leaf: TensorSpec, lead: torch.Size, ndim: int) -> TensorSpec:
    """``leaf``, whose values have ``ndim`` dimensions, of one env or of all, for ``[*lead]`` of them."""
    return leaf.expand(*lead, *leaf.shape[leaf.ndim - ndim :])


def _number(one_hot: Tensor) -> Tensor:
    """The choice that each vector of ``[*lead, n]`` makes; argmax takes four times as long."""
    number, *others = one_hot.unbind(-1)[1:]
    for i, chosen in enumerate(others, 2):
        number = number + i * chosen
    return number


def _cast(parameters: Mapping[str, Any], dtype: torch.dtype) -> Values:
    """Those of ``parameters`` that are tensors of another floating dtype: states would take it over."""
    tensors = {name: value for name, value in parameters.items() if isinstance(value, Tensor)}
    return {
        name: value.to(dtype) for name, value in tensors.items() if value.is_floating_point() and value.dtype != dtype
    }


def _floating(dtype: torch.dtype | str) -> torch.dtype:
    known = {"float32": torch.float32, "float64": torch.float64}
    found = known.get(str(dtype).removeprefix("torch."))
    if found is None:
        raise ConfigError(f"dtype: expected one of {', '.join(known)}, found {str(dtype)!r}")
    return found
