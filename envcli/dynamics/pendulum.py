"""A pendulum that swings up."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from envcli.dynamics.dynamics import Dynamics, Scalar, bounds, clock, columns, joined
from envcli.specs import Bounded, TensorSpec

__all__ = ["Pendulum"]


@dataclasses.dataclass(frozen=True, eq=False)
class Pendulum(Dynamics):
    """The equations of gymnasium's ``Pendulum-v1`` (``classic_control/pendulum.py`` of 1.2).

    State: angle theta from upright, in radians, not wrapped; angular velocity, in radians a second. Observation:
    cos theta, sin theta, velocity. The action is a torque. A step pays
    ``-(theta^2 + 0.1 velocity^2 + 0.001 torque^2)``, theta wrapped to [-pi, pi). No state ends an episode.

    Args:
        g: gravity, in metres a second squared.
        m: mass of the rod, in kilograms.
        l: its length, in metres.
        dt: seconds in a step.
        max_speed: the velocity is clipped to it, on both sides.
        max_torque: the same of the torque.
    """

    name: ClassVar[str] = "Pendulum-v1"
    max_episode_steps: ClassVar[int] = 200
    state_size: ClassVar[int] = 2
    draws: ClassVar[int] = 2

    g: Scalar = 10.0
    m: Scalar = 1.0
    l: Scalar = 1.0  # noqa: E741 - gymnasium's name, and everybody's
    dt: Scalar = 0.05
    max_speed: Scalar = 8.0
    max_torque: Scalar = 2.0

    @property
    def step_seconds(self) -> float | None:
        """``dt``."""
        return clock(self.dt)

    @property
    def observation_spec(self) -> TensorSpec:
        """See :class:`Dynamics`."""
        high = bounds(1.0, 1.0, self.max_speed)
        return Bounded(-high, high, dtype=torch.float32)

    @property
    def action_spec(self) -> TensorSpec:
        """See :class:`Dynamics`."""
        high = bounds(self.max_torque)
        return Bounded(-high, high, dtype=torch.float32)

    def start(self, uniform: Tensor) -> Tensor:
        """Any angle, and a velocity of [-1, 1)."""
        return (uniform * 2 - 1) * uniform.new_tensor([math.pi, 1.0])

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`Dynamics`."""
        theta, speed = columns(state)
        torque = clipped(action[..., 0], self.max_torque)
        wrapped = (theta + math.pi) % (2 * math.pi) - math.pi
        cost = wrapped * wrapped + 0.1 * (speed * speed) + 0.001 * (torque * torque)
        pull = 3 * self.g / (2 * self.l) * theta.sin()
        push = 3 / (self.m * self.l * self.l) * torque
        speed = clipped(speed + (pull + push) * self.dt, self.max_speed)
        theta = theta + speed * self.dt
        return joined(theta, speed), -cost, torch.zeros_like(theta, dtype=torch.bool)

    def observe(self, state: Tensor) -> Tensor:
        """See :class:`Dynamics`."""
        theta, speed = columns(state)
        return joined(theta.cos(), theta.sin(), speed)


def clipped(value: Tensor, most: Scalar) -> Tensor:
    """``value`` within ``most`` on both sides of zero."""
    return torch.clamp(value, min=-most, max=most)  # type: ignore[arg-type]  # two numbers, or two tensors
