"""Two locomotion controllers as one: the designed one stands, the learned one walks and catches.

While the walker's gait clock is off the stander's set-points and gains are used, while it runs the walker's;
between them both are blended over ``fade_s``. Both run at every step, so each knows the state when its turn
comes. The walker's clock decides: it starts with a request or a disturbance and stops only with both feet on
the ground.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import posture
from .arrays import Array
from .bundle import Bundle, load_bundle
from .lmo import LmoController
from .paths import bundle_path
from .posture import PostureTable
from .robot_spec import RobotSpec
from .types import LegWaistCommand, LocoCommand, RobotState
from .upper_balance import UpperBalance

STANDER = "lmo/stand"
SQUAT_CALM, SQUAT_LEAN = 0.5, 0.1
"""Upright every tilt and rate counts as falling, in a squat that leans by 6 degrees or more only half of them."""


def with_stander(bundle: Bundle, spec: RobotSpec) -> LmoController | StandAndWalk:
    """The controller of ``bundle``; one that follows motion commands gets the designed stander beside it.

    Raises BundleError when a bundle disagrees with the robot."""
    if not bundle.section.command_modes:
        return Stander(bundle, spec)
    return StandAndWalk(
        Stander(load_bundle(bundle_path(STANDER), "lmo", spec), spec), LmoController(bundle, spec)
    )


class Stander(LmoController):
    """The designed controller, told of the arms what its linear feedback can use; see ``upper_balance``."""

    def __init__(self, bundle: Bundle, spec: RobotSpec) -> None:
        super().__init__(bundle, spec)
        self._upper = UpperBalance(spec)

    @property
    def lean(self) -> Array:
        """What the trunk's lean at the present stance height adds to gravity in the base frame [1, 3]."""
        height = np.array([self.height_m])
        return posture.trunk_gravity(self.posture_table, height) - [0.0, 0.0, -1.0]

    def step(self, state: RobotState, command: LocoCommand) -> LegWaistCommand:
        return super().step(replace(state, position_rad=self._upper.equivalent(state.position_rad)), command)


class StandAndWalk:
    """Same interface and errors as ``LmoController``."""

    def __init__(self, stander: Stander, walker: LmoController, fade_s: float = 0.1) -> None:
        """Raises ValueError when the two drive different joints or at different rates."""
        if stander.joint_names != walker.joint_names or stander.dt_s != walker.dt_s:
            raise ValueError(f"{stander.name} and {walker.name} drive different joints or at different rates")
        self._stander, self._walker = stander, walker
        self._step_share = walker.dt_s / fade_s
        self._share = 0.0
        self.name, self.joint_names, self.dt_s = walker.name, walker.joint_names, walker.dt_s

    @property
    def height_m(self) -> float:
        """Commanded stance height, m."""
        return self._walker.height_m

    @property
    def posture_table(self) -> PostureTable:
        """Posture table of the stander."""
        return self._stander.posture_table

    @property
    def ramp(self) -> Array:
        """Smoothed request sbar [3] of the walker."""
        return self._walker.ramp

    @property
    def stepping(self) -> bool:
        """Whether the gait clock runs."""
        return self._walker.stepping

    def reset(self, state: RobotState, height_m: float) -> None:
        """Forget everything and start standing at ``height_m``."""
        self._stander.reset(state, height_m)
        self._walker.reset(state, height_m)
        self._share = 0.0

    def step(self, state: RobotState, command: LocoCommand) -> LegWaistCommand:
        """Set-points, gains and feed-forward of the controller whose turn it is, or a blend."""
        # The stander leans forward as it squats: that is no reason to step. Nor is every jerk of a lift: down there it
        # bears more than upright, and steps, perhaps before a table, bear less.
        lean = self._stander.lean
        self._walker.stance_lean = lean
        self._walker.alertness = 1.0 - SQUAT_CALM * min(1.0, float(lean[0, 0]) / SQUAT_LEAN)
        walk = self._walker.step(state, command)
        stand = self._stander.step(state, command)
        toward = 1.0 if self._walker.stepping else 0.0
        self._share += min(max(toward - self._share, -self._step_share), self._step_share)
        share = self._share

        def mix(a: Array, b: Array) -> Array:
            return (1.0 - share) * a + share * b

        return replace(
            walk,
            position_rad=mix(stand.position_rad, walk.position_rad),
            effort_nm=mix(stand.effort_nm, walk.effort_nm),
            effort_feedforward_nm=mix(stand.effort_feedforward_nm, walk.effort_feedforward_nm),
            stiffness=mix(stand.stiffness, walk.stiffness),
            damping=mix(stand.damping, walk.damping),
        )
