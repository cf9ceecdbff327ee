"""A pole that is balanced on a cart."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from envcli.dynamics.dynamics import Dynamics, Scalar, along, bounds, clock, columns, joined
from envcli.specs import Bounded, Categorical, TensorSpec

__all__ = ["CartPole"]


@dataclasses.dataclass(frozen=True, eq=False)
class CartPole(Dynamics):
    """The equations of gymnasium's ``CartPole-v1`` (``classic_control/cartpole.py`` of 1.2), Euler's method.

    They are those of Barto, Sutton and Anderson, "Neuronlike adaptive elements that can solve difficult learning
    control problems", 1983. State and observation: position of the cart, its velocity, angle of the pole, its velocity;
    in metres, radians and seconds. Action 0 pushes to the left, 1 to the right. A step pays 1, also that which ends the
    episode: the pole leans too far, or the cart leaves the track.

    Args:
        gravity: in metres a second squared.
        masscart, masspole: in kilograms.
        length: half of the pole's, in metres.
        force_mag: of a push, in newtons.
        tau: seconds in a step.
        theta_threshold_radians: the largest lean, on both sides.
        x_threshold: where the track ends, on both sides, in metres.
        sutton_barto_reward: a step pays 0, and that which ends the episode -1.
    """

    name: ClassVar[str] = "CartPole-v1"
    max_episode_steps: ClassVar[int] = 500
    state_size: ClassVar[int] = 4
    draws: ClassVar[int] = 4

    gravity: Scalar = 9.8
    masscart: Scalar = 1.0
    masspole: Scalar = 0.1
    length: Scalar = 0.5
    force_mag: Scalar = 10.0
    tau: Scalar = 0.02
    theta_threshold_radians: Scalar = 12 * 2 * math.pi / 360
    x_threshold: Scalar = 2.4
    sutton_barto_reward: bool = False

    @property
    def step_seconds(self) -> float | None:
        """``tau``."""
        return clock(self.tau)

    @property
    def observation_spec(self) -> TensorSpec:
        """See :class:`Dynamics`. Twice as wide as the thresholds."""
        high = bounds(self.x_threshold * 2, math.inf, self.theta_threshold_radians * 2, math.inf)
        return Bounded(-high, high, dtype=torch.float32)

    @property
    def action_spec(self) -> TensorSpec:
        """See :class:`Dynamics`."""
        return Categorical(2, shape=(), dtype=torch.int64)

    def start(self, uniform: Tensor) -> Tensor:
        """All four of [-0.05, 0.05)."""
        return uniform * 0.1 - 0.05

    def step(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See :class:`Dynamics`."""
        _, x_dot, theta, theta_dot = columns(state)
        cos, sin, mass = theta.cos(), theta.sin(), self.masscart + self.masspole
        lever = self.masspole * self.length / mass
        force = self.force_mag / mass
        push = action.to(cos.dtype) * (2 * force) - force + lever * (theta_dot * theta_dot * sin)
        turn = (self.gravity * sin - cos * push) / (self.length * 4 / 3 - lever * (cos * cos))
        change = joined(x_dot, push - lever * (turn * cos), theta_dot, turn)
        state = state + change * along(self.tau)
        x, theta = state[..., 0], state[..., 2]
        terminated = (x.abs() > self.x_threshold) | (theta.abs() > self.theta_threshold_radians)
        reward = -terminated.to(x.dtype) if self.sutton_barto_reward else torch.ones_like(theta_dot)
        return state, reward, terminated

    def observe(self, state: Tensor) -> Tensor:
        """See :class:`Dynamics`."""
        return state
