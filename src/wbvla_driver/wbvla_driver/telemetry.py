"""What the driver publishes, tick by tick."""

from __future__ import annotations

import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Imu, JointState
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import RobotState, Source
from wbvla_ros.qos import COMMAND, LATCHED, STATE, TOOLS

from wbvla_driver.core import DriverCore, DriverOutput
from wbvla_msgs import msg
from wbvla_ros import conversions


class Telemetry:
    """Publishers of the driver. ``publish`` runs in the control thread after the plant got its command: all
    topics it writes at every tick are best effort, so that no reader can hold it up."""

    def __init__(self, node: Node, spec: RobotSpec, core: DriverCore) -> None:
        self._node, self._spec, self._core = node, spec, core
        self._state = node.create_publisher(msg.RobotState, "robot_state", STATE)
        self._joints = node.create_publisher(JointState, "joint_states", TOOLS)
        self._imu = node.create_publisher(Imu, "imu/data", TOOLS)
        self._loco = node.create_publisher(msg.LocoCommand, "loco_command", COMMAND)
        self._arms = node.create_publisher(msg.ArmTarget, "arm_target", TOOLS)
        self._authority = node.create_publisher(msg.Authority, "authority", LATCHED)
        self._estop = node.create_publisher(msg.EStop, "estop", LATCHED)
        self._joint_message = JointState(name=[*spec.joint_names, *spec.hand_names])
        self._hands = np.zeros(len(spec.hands))
        self._imu_message = Imu()
        self._imu_message.header.frame_id = spec.base_link
        self._told_authority: tuple[Source, int] | None = None
        self._told_estop: tuple[str | None] | None = None
        self.published = 0

    def close(self) -> None:
        """Remove the publishers."""
        for publisher in (
            self._state,
            self._joints,
            self._imu,
            self._loco,
            self._arms,
            self._authority,
            self._estop,
        ):
            self._node.destroy_publisher(publisher)

    def forget(self) -> None:
        """Tell authority and emergency stop anew at the next tick."""
        self._told_authority = self._told_estop = None

    def publish(self, output: DriverOutput) -> None:
        """Everything about one tick, the locomotion policy's inputs first."""
        if output.robot_state is not None:
            self._state.publish(conversions.robot_state_to_msg(output.robot_state, self._spec))
            self.published += 1
        if output.loco_command is not None:
            self._loco.publish(conversions.loco_command_to_msg(output.loco_command))
        if output.arm_target is not None:
            self._arms.publish(conversions.arm_target_to_msg(output.arm_target))
        if output.robot_state is not None:
            self._publish_for_tools(output.robot_state)
        self._publish_changes(output.plant_command.stamp_ns)

    def _publish_for_tools(self, state: RobotState) -> None:
        stamp = conversions.to_time(state.stamp_ns)
        joints = self._joint_message
        joints.header.stamp = stamp
        joints.position = conversions.doubles(np.concatenate((state.position_rad, state.gripper_opening)))
        joints.velocity = conversions.doubles(np.concatenate((state.velocity_rad_s, self._hands)))
        joints.effort = conversions.doubles(np.concatenate((state.effort_nm, self._hands)))
        self._joints.publish(joints)
        imu = self._imu_message
        imu.header.stamp = stamp
        q, w, a = imu.orientation, imu.angular_velocity, imu.linear_acceleration
        q.w, q.x, q.y, q.z = state.base_quaternion_wxyz.tolist()
        w.x, w.y, w.z = state.base_angular_velocity_rad_s.tolist()
        a.x, a.y, a.z = state.base_linear_acceleration_m_s2.tolist()
        self._imu.publish(imu)

    def _publish_changes(self, stamp_ns: int) -> None:
        authority, estop = self._core.authority, (self._core.estop_reason,)
        if authority != self._told_authority:
            self._told_authority = authority
            message = msg.Authority(source=int(authority[0]), session=authority[1])
            message.header.stamp = conversions.to_time(stamp_ns)
            self._authority.publish(message)
        if estop != self._told_estop:
            self._told_estop = estop
            message = msg.EStop(active=estop[0] is not None, reason=estop[0] or "")
            message.header.stamp = conversions.to_time(stamp_ns)
            self._estop.publish(message)
