"""Values that several tests of teleoperation need."""

from __future__ import annotations

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import PlantState, RobotState
from wbvla_teleop.devices.base import Whereabouts
from wbvla_teleop.frame import TORSO, WristPose

SPEC = RobotSpec.load("x2_ultra")
MS = 1_000_000
START_NS = 10_000_000_000
STEP_NS = 20 * MS
ATTITUDE = np.array([1.0, 0.0, 0.0, 0.0])


def robot_state(stamp_ns: int, position_rad: np.ndarray | None = None) -> RobotState:
    zeros = np.zeros(SPEC.n)
    return RobotState(
        stamp_ns=stamp_ns,
        sequence=1,
        position_rad=SPEC.default_rad.copy() if position_rad is None else position_rad,
        velocity_rad_s=zeros,
        effort_nm=zeros,
        gripper_opening=np.zeros(2),
        base_quaternion_wxyz=ATTITUDE,
        base_angular_velocity_rad_s=np.zeros(3),
        base_linear_acceleration_m_s2=np.zeros(3),
        plant_state=PlantState.ACTIVE,
    )


def whereabouts() -> Whereabouts:
    left, right = (WristPose(np.array([0.2, y, -0.1]), ATTITUDE, TORSO) for y in (0.25, -0.25))
    return Whereabouts(left, right, 0.64)
