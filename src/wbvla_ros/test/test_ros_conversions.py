"""Messages and core types say the same, and nothing malformed gets through."""

import numpy as np
import pytest
from wbvla_core.robot_spec import RobotSpec

from wbvla_core import types
from wbvla_msgs import msg
from wbvla_ros import conversions

SPEC = RobotSpec.load("x2_ultra")
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("kind", "message", "prefix"),
    [
        (types.Source, msg.Authority, ""),
        (types.LocoMode, msg.LocoCommand, ""),
        (types.Reason, msg.Status, ""),
        (types.PlantState, msg.RobotState, "PLANT_"),
    ],
)
def test_enums_equal_the_constants_of_the_messages(kind, message, prefix):
    for member in kind:
        assert getattr(message, prefix + member.name) == member.value


def test_states_equal_the_constants_of_status():
    for member in types.State:
        assert getattr(msg.Status, member.name) == member.value


def robot_state() -> types.RobotState:
    return types.RobotState(
        stamp_ns=1_234_567_890_123_456_789,
        sequence=7,
        position_rad=RNG.normal(size=SPEC.n),
        velocity_rad_s=RNG.normal(size=SPEC.n),
        effort_nm=RNG.normal(size=SPEC.n),
        gripper_opening=np.array([0.25, 1.0]),
        base_quaternion_wxyz=np.array([1.0, 0.0, 0.0, 0.0]),
        base_angular_velocity_rad_s=RNG.normal(size=3),
        base_linear_acceleration_m_s2=RNG.normal(size=3),
        plant_state=types.PlantState.ACTIVE,
        fault=np.zeros(SPEC.n, np.uint32),
        temperature_c=np.full(SPEC.n, np.nan),
    )


def test_robot_state_survives_the_round_trip():
    before = robot_state()
    after = conversions.robot_state_from_msg(conversions.robot_state_to_msg(before, SPEC), SPEC)
    assert after.stamp_ns == before.stamp_ns and after.plant_state is before.plant_state
    for name in (
        "position_rad",
        "velocity_rad_s",
        "effort_nm",
        "gripper_opening",
        "base_angular_velocity_rad_s",
    ):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


def test_state_of_another_robot_is_refused_with_both_names():
    message = conversions.robot_state_to_msg(robot_state(), SPEC)
    message.spec_hash = "0123456789abcdef"
    with pytest.raises(conversions.MessageError, match="0123456789abcdef"):
        conversions.robot_state_from_msg(message, SPEC)


def test_state_with_a_short_array_is_refused_by_field():
    message = conversions.robot_state_to_msg(robot_state(), SPEC)
    message.velocity = conversions.doubles(np.zeros(3))
    with pytest.raises(conversions.MessageError, match="velocity"):
        conversions.robot_state_from_msg(message, SPEC)


def arm_target(points: int = 3) -> types.ArmTarget:
    return types.ArmTarget(
        joint_names=("left_elbow_joint", "left_claw_joint"),
        positions=RNG.normal(size=(points, 2)),
        time_from_start_ns=np.arange(1, points + 1) * 100_000_000,
        observation_stamp_ns=5_000_000_001,
        source=types.Source.VLA,
        session=3,
        sequence=9,
        stamp_ns=5_100_000_000,
    )


def test_arm_target_survives_the_round_trip():
    before = arm_target()
    after = conversions.arm_target_from_msg(conversions.arm_target_to_msg(before))
    assert after.joint_names == before.joint_names and after.session == 3 and after.source is types.Source.VLA
    np.testing.assert_array_equal(after.positions, before.positions)
    np.testing.assert_array_equal(after.time_from_start_ns, before.time_from_start_ns)
    assert after.observation_stamp_ns == before.observation_stamp_ns


@pytest.mark.parametrize("points", [0, conversions.MAX_CHUNK_POINTS + 1])
def test_chunks_without_or_with_too_many_points_are_refused(points):
    message = conversions.arm_target_to_msg(arm_target(max(points, 1)))
    message.trajectory.points = message.trajectory.points[:points]
    with pytest.raises(conversions.MessageError, match="points"):
        conversions.arm_target_from_msg(message)


def test_ragged_chunks_are_refused():
    message = conversions.arm_target_to_msg(arm_target())
    message.trajectory.points[1].positions = conversions.doubles(np.zeros(5))
    with pytest.raises(conversions.MessageError, match="positions"):
        conversions.arm_target_from_msg(message)


def test_loco_command_survives_the_round_trip():
    before = types.LocoCommand(
        height_m=0.6,
        flags=(1, -1, 0),
        velocity=(0.1, 0.2, -0.3),
        mode=types.LocoMode.VELOCITY,
        source=types.Source.TELEOP,
        session=2,
        sequence=4,
        stamp_ns=10,
        observation_stamp_ns=5,
    )
    assert conversions.loco_command_from_msg(conversions.loco_command_to_msg(before)) == before


def test_flags_other_than_minus_one_zero_one_are_refused():
    message = conversions.loco_command_to_msg(types.LocoCommand(height_m=0.6))
    message.s_yaw = 2
    with pytest.raises(conversions.MessageError, match="flags"):
        conversions.loco_command_from_msg(message)


def test_unknown_source_is_refused_with_the_allowed_ones():
    message = conversions.loco_command_to_msg(types.LocoCommand(height_m=0.6))
    message.source = 9
    with pytest.raises(conversions.MessageError, match="source"):
        conversions.loco_command_from_msg(message)


def test_leg_waist_command_survives_the_round_trip_and_refuses_mixed_lengths():
    n = len(SPEC.lmo_joints)
    before = types.LegWaistCommand(
        joint_names=SPEC.lmo_joints,
        **{
            name: RNG.normal(size=n)
            for name in (
                "position_rad",
                "velocity_rad_s",
                "effort_nm",
                "effort_feedforward_nm",
                "stiffness",
                "damping",
            )
        },
        state_stamp_ns=11,
        sequence=12,
        stamp_ns=13,
    )
    message = conversions.leg_waist_command_to_msg(before)
    after = conversions.leg_waist_command_from_msg(message)
    np.testing.assert_array_equal(after.position_rad, before.position_rad)
    assert after.joint_names == before.joint_names and after.state_stamp_ns == 11
    message.damping = conversions.doubles(np.zeros(n - 1))
    with pytest.raises(conversions.MessageError, match="damping"):
        conversions.leg_waist_command_from_msg(message)
