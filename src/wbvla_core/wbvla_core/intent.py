"""What the controller carries from step to step between the command and the policy: ramp, commanded height,
gait clock.

The node's controller, the lock-step runner and the training environment all advance this state with
``advance``; a policy therefore meets on the robot the transitions it was trained with.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import gait, ramp
from .arrays import Array, namespace, select


@dataclass(frozen=True)
class Intent:
    """``request`` s and ``ramp`` sbar [B, 3], ``height_m`` commanded stance height [B], the gait clock."""

    request: Array
    ramp: Array
    height_m: Array
    gait: gait.GaitState

    @staticmethod
    def standing(height_m: Array) -> Intent:
        """Nothing requested, at ``height_m`` [B]."""
        xp = namespace(height_m)
        still = xp.stack([xp.zeros_like(height_m)] * 3, -1)
        return Intent(still, still, height_m, gait.GaitState.standing(height_m))

    def where(self, mask: Array, other: Intent) -> Intent:
        """Rows of ``other`` where ``mask`` [B] is true; for resets of single environments."""
        return Intent(
            select(mask, other.request, self.request),
            select(mask, other.ramp, self.ramp),
            select(mask, other.height_m, self.height_m),
            self.gait.where(mask, other.gait),
        )


def advance(
    intent: Intent,
    request: Array,
    height_m: Array,
    gravity: Array,
    angular_velocity: Array,
    ramp_cfg: ramp.RampConfig,
    gait_cfg: gait.GaitConfig,
) -> Intent:
    """The intent one control step later.

    ``request`` s [B, 3] (flags, or ``ramp.request`` of velocities), ``height_m`` h* [B], ``gravity`` [B, 3]
    unit vector and ``angular_velocity`` [B, 3] rad/s in the base frame."""
    sbar = ramp.advance(intent.ramp, request, ramp_cfg)
    height = ramp.advance_height(intent.height_m, height_m, ramp_cfg)
    clock = gait.advance(intent.gait, request, sbar, gravity, angular_velocity, gait_cfg)
    return Intent(request, sbar, height, clock)
