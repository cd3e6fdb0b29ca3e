"""Between the core's dataclasses and the messages, both ways.

Everything that comes from the network is checked here for shape, size and range before a core sees it; whether values
are finite, fresh and within the robot's limits is the cores' business.
"""

from __future__ import annotations

from array import array

import numpy as np
from builtin_interfaces.msg import Duration, Time
from trajectory_msgs.msg import JointTrajectoryPoint
from wbvla_core.robot_spec import RobotSpec

from wbvla_core import types
from wbvla_msgs import msg

MAX_CHUNK_POINTS = 64
MAX_JOINTS = 128


class MessageError(ValueError):
    """A received message cannot be used; says which field and why."""


def to_time(ns: int) -> Time:
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def to_ns(stamp: Time | Duration) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def doubles(values: np.ndarray) -> array:
    """``float64[]`` in the one form that rclpy takes without looking at each element."""
    out = array("d")
    out.frombytes(np.ascontiguousarray(values, dtype=np.float64).tobytes())
    return out


def _vector(field: str, values, size: int) -> np.ndarray:
    if len(values) != size:
        raise MessageError(f"field '{field}' has {len(values)} values, expected {size}")
    return np.array(values, dtype=np.float64)


def _enum(kind, field: str, value: int):
    try:
        return kind(value)
    except ValueError:
        raise MessageError(f"field '{field}' is {value}, not one of {[int(v) for v in kind]}") from None


def robot_state_to_msg(state: types.RobotState, spec: RobotSpec) -> msg.RobotState:
    out = msg.RobotState()
    out.header.stamp = to_time(state.stamp_ns)
    out.header.frame_id = spec.base_link
    out.sequence = state.sequence
    out.spec_hash = spec.hash
    out.position = doubles(state.position_rad)
    out.velocity = doubles(state.velocity_rad_s)
    out.effort = doubles(state.effort_nm)
    out.gripper_opening = doubles(state.gripper_opening)
    q = out.orientation
    q.w, q.x, q.y, q.z = map(float, state.base_quaternion_wxyz)
    w = out.angular_velocity
    w.x, w.y, w.z = map(float, state.base_angular_velocity_rad_s)
    a = out.linear_acceleration
    a.x, a.y, a.z = map(float, state.base_linear_acceleration_m_s2)
    out.plant_state = int(state.plant_state)
    if state.fault is not None:
        out.fault = array("I", state.fault.astype(np.uint32).tolist())
    if state.temperature_c is not None:
        out.temperature = array("f", state.temperature_c.astype(np.float32).tolist())
    return out


def robot_state_from_msg(message: msg.RobotState, spec: RobotSpec) -> types.RobotState:
    """Raises :class:`MessageError` when the message is of another robot or has arrays of wrong length."""
    if message.spec_hash != spec.hash:
        raise MessageError(
            f"robot_state is of robot spec {message.spec_hash or 'unknown'}, this node was built for {spec.name} "
            f"({spec.hash}); use the same robot spec in all nodes"
        )
    q, w, a = message.orientation, message.angular_velocity, message.linear_acceleration
    return types.RobotState(
        stamp_ns=to_ns(message.header.stamp),
        sequence=message.sequence,
        position_rad=_vector("position", message.position, spec.n),
        velocity_rad_s=_vector("velocity", message.velocity, spec.n),
        effort_nm=_vector("effort", message.effort, spec.n),
        gripper_opening=_vector("gripper_opening", message.gripper_opening, len(spec.hands)),
        base_quaternion_wxyz=np.array([q.w, q.x, q.y, q.z]),
        base_angular_velocity_rad_s=np.array([w.x, w.y, w.z]),
        base_linear_acceleration_m_s2=np.array([a.x, a.y, a.z]),
        plant_state=_enum(types.PlantState, "plant_state", message.plant_state),
    )


def loco_command_to_msg(command: types.LocoCommand) -> msg.LocoCommand:
    out = msg.LocoCommand()
    out.header.stamp = to_time(command.stamp_ns)
    out.source = int(command.source)
    out.session = command.session
    out.sequence = command.sequence
    out.observation_stamp = to_time(command.observation_stamp_ns)
    out.mode = int(command.mode)
    out.s_x, out.s_y, out.s_yaw = (int(s) for s in command.flags)
    out.v_x, out.v_y, out.w_z = (float(v) for v in command.velocity)
    out.height = float(command.height_m)
    return out


def loco_command_from_msg(message: msg.LocoCommand) -> types.LocoCommand:
    """Raises :class:`MessageError` when a flag or an enum is out of range."""
    flags = (message.s_x, message.s_y, message.s_yaw)
    if any(flag not in (-1, 0, 1) for flag in flags):
        raise MessageError(f"flags {flags} must each be -1, 0 or 1")
    return types.LocoCommand(
        height_m=message.height,
        flags=flags,
        velocity=(message.v_x, message.v_y, message.w_z),
        mode=_enum(types.LocoMode, "mode", message.mode),
        source=_enum(types.Source, "source", message.source),
        session=message.session,
        sequence=message.sequence,
        stamp_ns=to_ns(message.header.stamp),
        observation_stamp_ns=to_ns(message.observation_stamp),
    )


def arm_target_to_msg(target: types.ArmTarget) -> msg.ArmTarget:
    out = msg.ArmTarget()
    out.header.stamp = to_time(target.stamp_ns)
    out.source = int(target.source)
    out.session = target.session
    out.sequence = target.sequence
    out.observation_stamp = to_time(target.observation_stamp_ns)
    out.trajectory.joint_names = list(target.joint_names)
    points = []
    for positions, due_ns in zip(target.positions, target.time_from_start_ns, strict=True):
        due_ns = int(due_ns)
        due = Duration(sec=due_ns // 1_000_000_000, nanosec=due_ns % 1_000_000_000)
        points.append(JointTrajectoryPoint(positions=doubles(positions), time_from_start=due))
    out.trajectory.points = points
    return out


def arm_target_from_msg(message: msg.ArmTarget) -> types.ArmTarget:
    """Raises :class:`MessageError` when the chunk is empty, too long or ragged."""
    trajectory = message.trajectory
    names, points = tuple(trajectory.joint_names), trajectory.points
    if not 0 < len(points) <= MAX_CHUNK_POINTS:
        raise MessageError(f"trajectory has {len(points)} points, expected 1..{MAX_CHUNK_POINTS}")
    if not 0 < len(names) <= MAX_JOINTS:
        raise MessageError(f"trajectory names {len(names)} joints, expected 1..{MAX_JOINTS}")
    return types.ArmTarget(
        joint_names=names,
        positions=np.stack([_vector("trajectory.points.positions", p.positions, len(names)) for p in points]),
        time_from_start_ns=np.array([to_ns(p.time_from_start) for p in points], dtype=np.int64),
        observation_stamp_ns=to_ns(message.observation_stamp),
        source=_enum(types.Source, "source", message.source),
        session=message.session,
        sequence=message.sequence,
        stamp_ns=to_ns(message.header.stamp),
    )


def leg_waist_command_to_msg(command: types.LegWaistCommand) -> msg.LegWaistCommand:
    out = msg.LegWaistCommand()
    out.header.stamp = to_time(command.stamp_ns)
    out.state_stamp = to_time(command.state_stamp_ns)
    out.sequence = command.sequence
    out.name = list(command.joint_names)
    out.position = doubles(command.position_rad)
    out.velocity = doubles(command.velocity_rad_s)
    out.effort = doubles(command.effort_nm)
    out.effort_feedforward = doubles(command.effort_feedforward_nm)
    out.stiffness = doubles(command.stiffness)
    out.damping = doubles(command.damping)
    return out


def leg_waist_command_from_msg(message: msg.LegWaistCommand) -> types.LegWaistCommand:
    """Raises :class:`MessageError` when an array's length differs from the names'."""
    n = len(message.name)
    if n > MAX_JOINTS:
        raise MessageError(f"field 'name' lists {n} joints, more than {MAX_JOINTS}")
    return types.LegWaistCommand(
        joint_names=tuple(message.name),
        position_rad=_vector("position", message.position, n),
        velocity_rad_s=_vector("velocity", message.velocity, n),
        effort_nm=_vector("effort", message.effort, n),
        effort_feedforward_nm=_vector("effort_feedforward", message.effort_feedforward, n),
        stiffness=_vector("stiffness", message.stiffness, n),
        damping=_vector("damping", message.damping, n),
        state_stamp_ns=to_ns(message.state_stamp),
        sequence=message.sequence,
        stamp_ns=to_ns(message.header.stamp),
    )


def latent_action_to_msg(latent: types.LatentAction, stamp_ns: int) -> msg.LatentAction:
    out = msg.LatentAction()
    out.header.stamp = to_time(stamp_ns)
    out.observation_stamp = to_time(latent.observation_stamp_ns)
    out.manipulation_codes = array("H", np.asarray(latent.manipulation_codes).astype(np.uint16).tolist())
    out.locomotion_codes = array("H", np.asarray(latent.locomotion_codes).astype(np.uint16).tolist())
    out.manipulation_confidences = array(
        "f", np.asarray(latent.manipulation_confidences, np.float32).tolist()
    )
    out.locomotion_confidences = array("f", np.asarray(latent.locomotion_confidences, np.float32).tolist())
    return out
