"""The last station before the plant: one command for all joints, blended in at release, clamped always."""

from __future__ import annotations

import numpy as np
from wbvla_core.limits import ClampReport, JointLimits, SetPoint, clamp
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import PlantCommand, RobotState

from wbvla_driver.config import DriverConfig


class OutputStage:
    """Puts legs, waist, arms, head and grippers together into the command of the plant."""

    def __init__(self, spec: RobotSpec, legs: np.ndarray, upper: np.ndarray, config: DriverConfig) -> None:
        """``legs`` and ``upper``: wire positions of the joints that the two rooms drive; all others are held
        at their default angle."""
        self._spec = spec
        self._legs, self._upper = legs, upper
        self._release_ns = int(config.safety.release_s * NS_PER_S)
        self._interpolation_s = config.interpolation_ms / 1000.0
        self._limits = JointLimits(spec.lower_rad, spec.upper_rad, spec.velocity_rad_s, spec.effort_nm)
        self._zeros = np.zeros(spec.n)
        self._start = spec.default_rad
        self._start_ns: int | None = None
        self._sequence = 0
        self.opening = np.zeros(len(spec.hands))

    def start_release(self, measured_rad: np.ndarray, now_ns: int) -> None:
        """Blend from the measured pose [n], gains from zero, beginning now."""
        self._start = np.array(measured_rad)
        self._start_ns = now_ns

    def damping(self, state: RobotState | None, stamp_ns: int) -> PlantCommand:
        """The safe command: every joint only brakes."""
        position = self._spec.default_rad if state is None else state.position_rad
        opening = self.opening if state is None else np.clip(state.gripper_opening, 0.0, 1.0)
        self.opening = opening
        wanted = SetPoint(position, self._zeros, self._zeros, self._spec.damping_kd, self._zeros)
        return self._command(wanted, opening, False, stamp_ns)

    def active(
        self,
        state: RobotState,
        legs: SetPoint,
        upper: tuple[np.ndarray, np.ndarray, np.ndarray],
        gravity_nm: np.ndarray,
        now_ns: int,
        stamp_ns: int,
    ) -> tuple[PlantCommand, ClampReport]:
        """Command of the balancing robot: ``legs`` in wire order of the leg room, ``upper`` (positions,
        velocities, gripper openings) of the upper body, ``gravity_nm`` [n] added as feed-forward."""
        spec = self._spec
        position, velocity = spec.default_rad.copy(), np.zeros(spec.n)
        kp, kd, feedforward = spec.kp.copy(), spec.kd.copy(), np.array(gravity_nm)
        position[self._legs], velocity[self._legs] = legs.position_rad, legs.velocity_rad_s
        kp[self._legs], kd[self._legs] = legs.stiffness, legs.damping
        feedforward[self._legs] = legs.effort_feedforward_nm
        position[self._upper], velocity[self._upper], opening = upper
        share = self._release_share(now_ns)
        if share < 1.0:
            position = self._start + share * (position - self._start)
            velocity = share * velocity
            kp, feedforward = share * kp, share * feedforward
            kd = spec.damping_kd + share * (kd - spec.damping_kd)
        wanted = SetPoint(position, velocity, kp, kd, feedforward)
        allowed, report = clamp(wanted, state.position_rad, state.velocity_rad_s, self._limits)
        self.opening = np.clip(opening, 0.0, 1.0)
        return self._command(allowed, self.opening, True, stamp_ns), report

    def _release_share(self, now_ns: int) -> float:
        if self._start_ns is None:
            return 1.0
        x = (now_ns - self._start_ns) / max(1, self._release_ns)
        if x >= 1.0:
            self._start_ns = None
            return 1.0
        x = max(0.0, x)
        return x * x * (3.0 - 2.0 * x)

    def _command(self, wanted: SetPoint, opening: np.ndarray, active: bool, stamp_ns: int) -> PlantCommand:
        self._sequence += 1
        return PlantCommand(
            stamp_ns=stamp_ns,
            sequence=self._sequence,
            active=active,
            position_rad=wanted.position_rad,
            velocity_rad_s=wanted.velocity_rad_s,
            stiffness=wanted.stiffness,
            damping=wanted.damping,
            effort_feedforward_nm=wanted.effort_feedforward_nm,
            gripper_opening=opening,
            interpolation_s=self._interpolation_s,
        )
