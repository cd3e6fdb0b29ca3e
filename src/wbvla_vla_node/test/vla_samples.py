"""Inputs for the VLA tests."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import PlantState, RobotState

NS = 1_000_000_000
T0 = 1_700_000_000 * NS
SPEC = RobotSpec.load("x2_ultra")


def jpeg(width: int = 64, height: int = 48, shade: int = 90) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(out, "JPEG")
    return out.getvalue()


def state(stamp_ns: int, offset_rad: float = 0.0) -> RobotState:
    zeros = np.zeros(SPEC.n)
    return RobotState(
        stamp_ns=stamp_ns,
        sequence=1,
        position_rad=SPEC.default_rad + offset_rad,
        velocity_rad_s=zeros,
        effort_nm=zeros,
        gripper_opening=np.zeros(2),
        base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
        base_angular_velocity_rad_s=np.zeros(3),
        base_linear_acceleration_m_s2=np.zeros(3),
        plant_state=PlantState.ACTIVE,
    )
