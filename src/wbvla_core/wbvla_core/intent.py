"""What the controller carries from step to step between the command and the policy: ramp, commanded height,
gait clock, and how far the robot is from the place where it was asked to rest.

The node's controller, the lock-step runner and the training environment all advance this state with
``advance``; a policy therefore meets on the robot the transitions it was trained with.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import gait, ramp
from .arrays import Array, namespace, select

PLACE_MEMORY_S = 20.0
"""Time constant with which a resting robot forgets its place: leg odometry drifts, and who leads it away by hand wins."""
PLACE_LIMIT_M = 0.5
"""Farther away than this it takes a place on the way for the old one."""


@dataclass(frozen=True)
class Intent:
    """``request`` s and ``ramp`` sbar [B, 3], ``height_m`` commanded stance height [B], the gait clock, ``place_m`` [B, 2]
    where the base is relative to where it was when the ramp had died away, along its present axes (zero in motion)."""

    request: Array
    ramp: Array
    height_m: Array
    gait: gait.GaitState
    place_m: Array

    @staticmethod
    def standing(height_m: Array) -> Intent:
        """Nothing requested, at ``height_m`` [B]."""
        xp = namespace(height_m)
        still = xp.stack([xp.zeros_like(height_m)] * 3, -1)
        return Intent(still, still, height_m, gait.GaitState.standing(height_m), still[:, :2])

    def where(self, mask: Array, other: Intent) -> Intent:
        """Rows of ``other`` where ``mask`` [B] is true; for resets of single environments."""
        return Intent(
            select(mask, other.request, self.request),
            select(mask, other.ramp, self.ramp),
            select(mask, other.height_m, self.height_m),
            self.gait.where(mask, other.gait),
            select(mask, other.place_m, self.place_m),
        )


def advance(
    intent: Intent,
    request: Array,
    height_m: Array,
    gravity: Array,
    angular_velocity: Array,
    velocity: Array,
    ramp_cfg: ramp.RampConfig,
    gait_cfg: gait.GaitConfig,
) -> Intent:
    """The intent one control step later.

    ``request`` s [B, 3] (flags, or ``ramp.request`` of velocities), ``height_m`` h* [B], ``gravity`` [B, 3]
    unit vector, ``angular_velocity`` [B, 3] rad/s in the base frame, ``velocity`` [B, 2] m/s by leg odometry."""
    sbar = ramp.advance(intent.ramp, request, ramp_cfg)
    height = ramp.advance_height(intent.height_m, height_m, ramp_cfg)
    resting = ~gait.moving(request, sbar, gait_cfg)
    place = _place(intent.place_m, resting, velocity, angular_velocity[:, 2:], gait_cfg.dt_s)
    clock = gait.advance(intent.gait, request, sbar, gravity, angular_velocity, place, gait_cfg)
    return Intent(request, sbar, height, clock, place)


def _place(before: Array, resting: Array, velocity: Array, yaw_rate: Array, dt_s: float) -> Array:
    """Leaky integral [B, 2] of ``velocity``, kept along the axes of a base that turns; zero where not ``resting`` [B]."""
    xp = namespace(before)
    turned = before + dt_s * yaw_rate * xp.stack([before[:, 1], -before[:, 0]], -1)
    place = turned * (1.0 - dt_s / PLACE_MEMORY_S) + dt_s * velocity
    return select(resting, xp.clip(place, -PLACE_LIMIT_M, PLACE_LIMIT_M), xp.zeros_like(before))
