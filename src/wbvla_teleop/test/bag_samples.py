"""Serialised messages for the bag tests."""

from __future__ import annotations

import numpy as np
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_teleop.definitions import typestore

TOPICS = (
    TopicInfo("/wbvla/robot_state", "wbvla_msgs/msg/RobotState", reliable=False),
    TopicInfo("/wbvla/instruction", "std_msgs/msg/String", latched=True, depth=1),
)


def header(stamp_ns: int, frame: str = "pelvis"):
    store = typestore()
    stamp = store.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return store.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)


def robot_state(sequence: int, stamp_ns: int) -> bytes:
    store = typestore()
    types = store.types
    vector = types["geometry_msgs/msg/Vector3"]
    message = types["wbvla_msgs/msg/RobotState"](
        header=header(stamp_ns),
        sequence=sequence,
        spec_hash="0123456789abcdef",
        position=np.arange(31.0),
        velocity=np.zeros(31),
        effort=np.zeros(31),
        gripper_opening=np.zeros(2),
        orientation=types["geometry_msgs/msg/Quaternion"](x=0.0, y=0.0, z=0.0, w=1.0),
        angular_velocity=vector(x=0.0, y=0.0, z=0.0),
        linear_acceleration=vector(x=0.0, y=0.0, z=9.81),
        plant_state=2,
        fault=np.zeros(31, np.uint32),
        temperature=np.zeros(31, np.float32),
    )
    return bytes(store.serialize_cdr(message, "wbvla_msgs/msg/RobotState"))


def sentence(text: str) -> bytes:
    store = typestore()
    return bytes(store.serialize_cdr(store.types["std_msgs/msg/String"](data=text), "std_msgs/msg/String"))
