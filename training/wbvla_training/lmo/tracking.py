"""Filtered tracking errors: what the gait's oscillation hides, and what displaces or turns the robot."""

from __future__ import annotations

import torch

from .sensing import wrap

Tensor = torch.Tensor
DT_S = 0.02
RETURN_TIME_S, RETURN_SPEED_M_S = 1.0, 0.25


def return_velocity(place: Tensor) -> Tensor:
    """Velocity [N, 2] m/s that takes a robot which steps back to its place of rest from ``place`` [N, 2] m, at most
    RETURN_SPEED_M_S."""
    away = place.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return -place / away * (away / RETURN_TIME_S).clamp(max=RETURN_SPEED_M_S)


class Tracking:
    """Low-passed errors of N environments. ``velocity_error`` [N, 2] and ``yaw_rate_error`` [N] over about 0.3 s,
    ``slow_error`` [N, 2] over about 1 s, ``yaw_drift`` [N] rad against the integral of the reference yaw rate (which
    follows the true heading with a time constant of 6 s: a push may turn the robot for good), ``place`` [N, 3] m in the
    world from where rest was asked for."""

    def __init__(self, n: int) -> None:
        self.velocity_error, self.slow_error = torch.zeros(n, 2), torch.zeros(n, 2)
        self.yaw_rate_error, self.yaw_drift = torch.zeros(n), torch.zeros(n)
        self._heading_goal, self._rest = torch.zeros(n), torch.zeros(n, 3)
        self.place = torch.zeros(n, 3)
        self._fresh = torch.ones(n, dtype=torch.bool)

    def reset(self, ids: Tensor) -> None:
        """Forget the past of ``ids``."""
        for value in (self.velocity_error, self.slow_error, self.yaw_rate_error, self.yaw_drift):
            value[ids] = 0.0
        self._fresh[ids] = True

    def step(self, velocity: Tensor, yaw_rate: Tensor, yaw: Tensor, reference: Tensor) -> None:
        """One control step: ``velocity`` [N, 3] in the heading frame, ``reference`` [N, 3] (v_x, v_y, w_z)."""
        error = velocity[:, :2] - reference[:, :2]
        self.velocity_error = self.velocity_error + 0.06 * (error - self.velocity_error)
        self.slow_error = self.slow_error + 0.02 * (error - self.slow_error)
        self.yaw_rate_error = self.yaw_rate_error + 0.06 * (yaw_rate - reference[:, 2] - self.yaw_rate_error)
        goal = torch.where(self._fresh, yaw, self._heading_goal + reference[:, 2] * DT_S)
        self.yaw_drift = wrap(yaw - goal)
        self._heading_goal = goal + self.yaw_drift * (DT_S / 6.0)
        self._fresh = torch.zeros_like(self._fresh)

    def rest(self, base: Tensor, resting: Tensor) -> None:
        """``base`` [N, 3] m in the world, ``resting`` [N] bool; to be called before ``step`` of the same control step."""
        self._rest = torch.where((resting & ~self._fresh)[:, None], self._rest, base)
        self.place = base - self._rest
