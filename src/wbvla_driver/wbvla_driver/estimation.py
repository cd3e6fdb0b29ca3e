"""From raw plant readings to the state of the robot, and how old it is."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion, matrix_from_rpy, quaternion_from_matrix
from wbvla_core.types import ImuSample, PlantReading, RobotState

from wbvla_driver.config import DriverConfig


class BodyModel(Protocol):
    """What the driver asks of ``wbvla_core.kinematics.Kinematics``."""

    def arm_gravity_nm(self, position_rad: np.ndarray, base_quaternion_wxyz: np.ndarray) -> np.ndarray: ...

    def foot_forces_n(
        self, position_rad: np.ndarray, effort_nm: np.ndarray, base_quaternion_wxyz: np.ndarray
    ) -> np.ndarray: ...

    def stance_height_m(self, position_rad: np.ndarray, base_quaternion_wxyz: np.ndarray) -> float: ...

    def base_from_torso(
        self,
        torso_quaternion_wxyz: np.ndarray,
        torso_rates_rad_s: np.ndarray,
        position_rad: np.ndarray,
        velocity_rad_s: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]: ...


class StateEstimator:
    """Newest state of the robot. The base attitude comes from one IMU, through the waist joints where it sits
    above them; every other IMU is only compared with it.

    A reading counts as new when sequence and stamp moved on and its numbers are finite; an IMU sample
    likewise by its own stamp.
    """

    def __init__(self, spec: RobotSpec, body: BodyModel, config: DriverConfig) -> None:
        config.check_robot(spec)
        self._spec, self._body = spec, body
        self._base_imu = config.base_imu
        self._link = {imu.name: imu.link for imu in spec.imus}
        if config.base_imu_link:
            self._link[config.base_imu] = config.base_imu_link
        self._mount = {imu.name: matrix_from_rpy(imu.rpy_rad) for imu in spec.imus}
        self._aligned = {name: bool(np.allclose(mount, np.eye(3))) for name, mount in self._mount.items()}
        self._sequence: int | None = None
        self._states = 0
        self._stamp_ns: int | None = None
        self._imu_stamp_ns: int | None = None
        self._state_seen_ns: int | None = None
        self._imu_seen_ns: int | None = None
        self._base = (np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(3), np.zeros(3))
        self.state: RobotState | None = None
        self.reading: PlantReading | None = None
        self.disagreement_rad = 0.0

    def update(self, reading: PlantReading | None, now_ns: int) -> bool:
        """Take the newest reading (the same one may come again); True when it was new and good."""
        if reading is None or reading.sequence == self._sequence or reading.stamp_ns == self._stamp_ns:
            return False
        if not _finite(reading):
            return False
        self._sequence, self._stamp_ns = reading.sequence, reading.stamp_ns
        self._state_seen_ns = now_ns
        self.reading = reading
        sample = reading.imus.get(self._base_imu)
        if sample is not None and sample.stamp_ns != self._imu_stamp_ns and _finite_imu(sample):
            self._imu_stamp_ns = sample.stamp_ns
            self._imu_seen_ns = now_ns
            self._base = self._base_of(self._base_imu, sample, reading)
        quaternion, rates, acceleration = self._base
        # Its own count, since of the plant's readings only some become a state: a gap then means a lost
        # message.
        self._states += 1
        self.state = RobotState(
            stamp_ns=reading.stamp_ns,
            sequence=self._states,
            position_rad=reading.position_rad,
            velocity_rad_s=reading.velocity_rad_s,
            effort_nm=reading.effort_nm,
            gripper_opening=reading.gripper_opening,
            base_quaternion_wxyz=quaternion,
            base_angular_velocity_rad_s=rates,
            base_linear_acceleration_m_s2=acceleration,
            plant_state=reading.plant_state,
            fault=reading.fault,
            temperature_c=reading.temperature_c,
        )
        return True

    def compare_imus(self) -> float:
        """Largest angle [rad] between the vertical of the base IMU and that of another one, seen at the base.
        Their yaw is never compared: each has its own zero."""
        reading = self.reading
        worst = 0.0
        if reading is not None and self._imu_seen_ns is not None:
            down = matrix_from_quaternion(self._base[0])[2]
            for name, sample in reading.imus.items():
                if name != self._base_imu and name in self._link and _finite_imu(sample):
                    other = matrix_from_quaternion(self._base_of(name, sample, reading)[0])[2]
                    worst = max(worst, math.acos(min(1.0, max(-1.0, float(down @ other)))))
        self.disagreement_rad = worst
        return worst

    def state_age_ns(self, now_ns: int) -> int | None:
        """Time since the last new reading arrived; None before the first."""
        return None if self._state_seen_ns is None else now_ns - self._state_seen_ns

    def imu_age_ns(self, now_ns: int) -> int | None:
        """Time since the last new sample of the base IMU arrived; None before the first."""
        return None if self._imu_seen_ns is None else now_ns - self._imu_seen_ns

    def tilt_rad(self) -> float:
        """Angle between the base's z axis and the vertical."""
        _, x, y, _ = self._base[0]
        return 2.0 * math.asin(min(1.0, math.hypot(x, y)))

    def _base_of(
        self, name: str, sample: ImuSample, reading: PlantReading
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Attitude, rates and specific force of the base (in the base frame) that an IMU's sample implies."""
        quaternion = sample.quaternion_wxyz / np.linalg.norm(sample.quaternion_wxyz)
        rates, acceleration = sample.angular_velocity_rad_s, sample.linear_acceleration_m_s2
        if not self._aligned[name]:
            mount = self._mount[name]
            quaternion = quaternion_from_matrix(matrix_from_quaternion(quaternion) @ mount.T)
            rates, acceleration = mount @ rates, mount @ acceleration
        if self._link[name] == self._spec.base_link:
            return quaternion, rates, acceleration
        base, base_rates = self._body.base_from_torso(
            quaternion, rates, reading.position_rad, reading.velocity_rad_s
        )
        turned = matrix_from_quaternion(base).T @ matrix_from_quaternion(quaternion) @ acceleration
        return base, base_rates, turned


def _finite(reading: PlantReading) -> bool:
    # A sum is not finite when any element is not: one pass, no temporary.
    return math.isfinite(
        float(reading.position_rad.sum() + reading.velocity_rad_s.sum() + reading.effort_nm.sum())
        + float(reading.gripper_opening.sum())
    )


def _finite_imu(sample: ImuSample) -> bool:
    total = (
        sample.quaternion_wxyz.sum()
        + sample.angular_velocity_rad_s.sum()
        + sample.linear_acceleration_m_s2.sum()
    )
    length = float(np.linalg.norm(sample.quaternion_wxyz))
    return math.isfinite(float(total)) and 0.9 < length < 1.1
