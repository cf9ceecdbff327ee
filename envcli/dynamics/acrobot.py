"""Two links that swing up, driven at the joint between them."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from envcli.dynamics.dynamics import Dynamics, Scalar, clock, columns, joined
from envcli.specs import Bounded, Categorical, TensorSpec

__all__ = ["Acrobot"]

_Four = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclasses.dataclass(frozen=True, eq=False)
class Acrobot(Dynamics):
    """The equations of gymnasium's ``Acrobot-v1`` (``classic_control/acrobot.py`` of 1.2).

    They are those of Sutton and Barto, "Reinforcement Learning", which gymnasium calls ``book``; a step is one of
    Runge-Kutta's of order 4. State: angle of the first link from hanging down and of the second from the first, wrapped
    to [-pi, pi), and their velocities; radians and seconds. Observation: cos and sin of the one, cos and sin of the
    other, velocities. Actions 0, 1, 2 are torques of -1, 0, 1. A step costs 1, but for that in which the tip swings
    above the bar by a link, which ends the episode.

    Args:
        gravity: in metres a second squared.
        link_length_1: in metres.
        link_mass_1, link_mass_2: in kilograms.
        link_com_pos_1, link_com_pos_2: from the joint to the centre of mass, in metres.
        link_moi: moment of inertia of either link, in kilograms metre squared.
        dt: seconds in a step.
    """

    name: ClassVar[str] = "Acrobot-v1"
    max_episode_steps: ClassVar[int] = 500
    state_size: ClassVar[int] = 4
    draws: ClassVar[int] = 4

    gravity: Scalar = 9.8
    link_length_1: Scalar = 1.0
    link_mass_1: Scalar = 1.0
    link_mass_2: Scalar = 1.0
    link_com_pos_1: Scalar = 0.5
    link_com_pos_2: Scalar = 0.5
    link_moi: Scalar = 1.0
    dt: Scalar = 0.2

    _speed_1, _speed_2 = 4 * math.pi, 9 * math.pi

    @property
    def step_seconds(self) -> float | None:
        """``dt``."""
        return clock(self.dt)

    @property
    def observation_spec(self) -> TensorSpec:
        """See :class:`Dynamics`."""
        high = torch.tensor([1.0, 1.0, 1.0, 1.0, self._speed_1, self._speed_2])
        return Bounded(-high, high, dtype=torch.float32)

    @property
    def action_spec(self) -> TensorSpec:
        """See :class:`Dynamics`."""
        return Categorical(3, shape=(), dtype=torch.int64)

    def start(self, uniform: Tensor) -> Tensor:
        """All four of [-0.1, 0.1)."""
        return uniform * 0.2 - 0.1

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`Dynamics`."""
        before = columns(state)
        torque = (action - 1).to(state.dtype)
        slopes: list[Tensor] = [before[0] * 0] * 4
        total = list(slopes)
        for ahead, weight in ((0.0, 1), (0.5, 2), (0.5, 2), (1.0, 1)):
            at = [value + self.dt * ahead * slope for value, slope in zip(before, slopes, strict=True)]
            slopes = self._slopes((at[0], at[1], at[2], at[3]), torque)
            total = [so_far + weight * slope for so_far, slope in zip(total, slopes, strict=True)]
        one, two, speed_1, speed_2 = (value + self.dt / 6 * slope for value, slope in zip(before, total, strict=True))
        one, two = _wrapped(one), _wrapped(two)
        speed_1, speed_2 = (
            speed_1.clamp(-self._speed_1, self._speed_1),
            speed_2.clamp(-self._speed_2, self._speed_2),
        )
        terminated = -one.cos() - (one + two).cos() > 1
        return joined(one, two, speed_1, speed_2), terminated.to(one.dtype) - 1, terminated

    def _slopes(self, state: _Four, torque: Tensor) -> list[Tensor]:
        """How fast each of the four changes."""
        one, two, speed_1, speed_2 = state
        g, length, inertia = self.gravity, self.link_length_1, self.link_moi
        m1, m2, c1, c2 = self.link_mass_1, self.link_mass_2, self.link_com_pos_1, self.link_com_pos_2
        cos, sin = two.cos(), two.sin()
        arm = m2 * length * c2
        d1 = (m1 * (c1 * c1) + m2 * (length * length + c2 * c2) + 2 * inertia) + 2 * arm * cos
        d2 = (m2 * (c2 * c2) + inertia) + arm * cos
        phi2 = m2 * c2 * g * (one + two).sin()
        phi1 = -arm * sin * (speed_2 * speed_2 + 2 * speed_2 * speed_1)
        phi1 = phi1 + (m1 * c1 + m2 * length) * g * one.sin() + phi2
        ratio = d2 / d1
        pull = torque + ratio * phi1 - arm * sin * (speed_1 * speed_1) - phi2
        turn_2 = pull / ((m2 * (c2 * c2) + inertia) - d2 * ratio)
        return [speed_1, speed_2, -(d2 * turn_2 + phi1) / d1, turn_2]

    def observe(self, state: Tensor) -> Tensor:
        """See :class:`Dynamics`."""
        one, two, speed_1, speed_2 = columns(state)
        return joined(one.cos(), one.sin(), two.cos(), two.sin(), speed_1, speed_2)


def _wrapped(angle: Tensor) -> Tensor:
    return (angle + math.pi) % (2 * math.pi) - math.pi
