"""The control task that training and robot share: which joints, observations, ramp, clock and postures (an LmoSection)."""

from __future__ import annotations

import functools

from wbvla_core.gait import GaitConfig
from wbvla_core.lmo_bundle import ActionSection, LmoSection
from wbvla_core.observation import Term
from wbvla_core.posture import PostureTable
from wbvla_core.posture_builder import PostureBuilder
from wbvla_core.ramp import RampConfig
from wbvla_core.robot_spec import RobotSpec

from .config import CommandConfig

NETWORK_FILE = "policy.onnx"
ACTION_SCALE_RAD = 0.25
ACTION_CLIP = 6.0
# Captures start early: a push of 0.5 m/s at the centre of mass turns the body about the ankles at 0.7 rad/s, and each
# 0.1 s of waiting lengthens the step that catches it by half. 9 degrees are the limit of ankle balance.
GAIT = GaitConfig(
    frequency_hz=1.7,
    lift_m=0.07,
    lead_foot="direction",
    capture_rate_rad_s=0.5,
    capture_tilt=0.16,
    capture_steps=36,
    return_m=0.1,
)


@functools.lru_cache(maxsize=4)
def _table(robot: str) -> PostureTable:
    return PostureBuilder(RobotSpec.load(robot)).table()


def lmo_section(robot: str, spec: RobotSpec, command: CommandConfig) -> LmoSection:
    """The section of the bundle that a training with these commands ends in.

    Ten frames of leg odometry tell the policy its own velocity, the mean over a second its drift, the place
    how far it was pushed away, five frames of the IMU and
    three of joints and actions what pushes it and how late it acts."""
    driven = spec.lmo_index
    return LmoSection(
        network=NETWORK_FILE,
        joints=spec.lmo_joints,
        default_rad=tuple(spec.default_rad.tolist()),
        kp=tuple(spec.kp[driven].tolist()),
        kd=tuple(spec.kd[driven].tolist()),
        dt_s=0.02,
        command_modes=("flags", "velocity"),
        action=ActionSection(tuple([ACTION_SCALE_RAD] * len(driven)), ACTION_CLIP, 0.0),
        observation=(
            Term("command"),
            Term("ramp"),
            Term("height", scale=10.0, offset=0.6),
            Term("angular_velocity", scale=0.25, history=5),
            Term("gravity", history=5),
            Term("odometry", scale=2.0, history=10),
            Term("slow_odometry", scale=4.0),
            Term("joint_position", history=3),
            Term("joint_velocity", scale=0.05, history=3),
            Term("last_action", history=3),
            Term("clock"),
            Term("place", scale=5.0),
            Term("upper_position"),
        ),
        ramp=RampConfig(goal_speed=command.cruise),
        gait=GAIT,
        posture=_table(robot),
    )
