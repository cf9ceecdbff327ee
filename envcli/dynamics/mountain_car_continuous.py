"""A car that is too weak for its hill."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from envcli.dynamics.dynamics import Dynamics, Scalar, bounds, columns, joined
from envcli.specs import Bounded, TensorSpec

__all__ = ["MountainCarContinuous"]


@dataclasses.dataclass(frozen=True, eq=False)
class MountainCarContinuous(Dynamics):
    """The equations of gymnasium's ``MountainCarContinuous-v0`` (``continuous_mountain_car.py`` of 1.2).

    They are those of Moore, "Efficient memory-based learning for robot control", 1990, with a continuous force. State
    and observation: position along the valley, and velocity. A step costs ``0.1 force^2``, and pays 100 where it
    reaches the goal, which ends the episode. The left end stops the car.

    Args:
        power: what a force of 1 adds to the velocity.
        gravity: what the steepest slope takes from it.
        max_speed: the velocity is clipped to it, on both sides.
        goal_position: where the goal begins.
        goal_velocity: how fast the car must at least be there.
    """

    name: ClassVar[str] = "MountainCarContinuous-v0"
    max_episode_steps: ClassVar[int] = 999
    state_size: ClassVar[int] = 2
    draws: ClassVar[int] = 1

    power: Scalar = 0.0015
    gravity: Scalar = 0.0025
    max_speed: Scalar = 0.07
    goal_position: Scalar = 0.45
    goal_velocity: Scalar = 0.0

    _left, _right = -1.2, 0.6

    @property
    def observation_spec(self) -> TensorSpec:
        """See :class:`Dynamics`."""
        low, high = bounds(self._left, -self.max_speed), bounds(self._right, self.max_speed)
        return Bounded(low, high, dtype=torch.float32)

    @property
    def action_spec(self) -> TensorSpec:
        """See :class:`Dynamics`."""
        return Bounded(-1, 1, shape=(1,), dtype=torch.float32)

    def start(self, uniform: Tensor) -> Tensor:
        """At rest, at a position of [-0.6, -0.4)."""
        position = uniform * 0.2 - 0.6
        return torch.cat([position, torch.zeros_like(position)], -1)

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`Dynamics`."""
        position, speed = columns(state)
        force = action[..., 0]
        speed = speed + force.clamp(-1, 1) * self.power - self.gravity * (3 * position).cos()
        speed = torch.clamp(speed, min=-self.max_speed, max=self.max_speed)  # type: ignore[arg-type]  # see Scalar
        position = (position + speed).clamp(self._left, self._right)
        speed = torch.where(position <= self._left, speed.clamp(min=0), speed)
        terminated = (position >= self.goal_position) & (speed >= self.goal_velocity)
        reward = 100 * terminated.to(position.dtype) - 0.1 * (force * force)
        return joined(position, speed), reward, terminated

    def observe(self, state: Tensor) -> Tensor:
        """See :class:`Dynamics`."""
        return state
