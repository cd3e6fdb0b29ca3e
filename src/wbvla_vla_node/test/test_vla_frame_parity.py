"""What the model sees live is, bit for bit, what it would be given from the recorded bag."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from sensor_msgs.msg import CompressedImage
from wbvla_core.types import PlantState, RobotState
from wbvla_teleop.bag import BagWriter
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_teleop.definitions import typestore
from wbvla_vla_node.backend import InlineBackend
from wbvla_vla_node.core import VlaConfig, VlaCore
from wbvla_vla_node.policy import PolicyError

from wbvla_msgs import msg
from wbvla_ros import conversions

sys.path.insert(0, str(Path(__file__).parent))
from vla_samples import SPEC, T0, jpeg

STATES, IMAGES = "/wbvla/robot_state", "/wbvla/head_camera/image_raw/compressed"
TOPICS = (
    TopicInfo(STATES, "wbvla_msgs/msg/RobotState"),
    TopicInfo(IMAGES, "sensor_msgs/msg/CompressedImage"),
)


class Witness:
    """Keeps what it is shown."""

    name = "witness"

    def __init__(self):
        self.seen = []

    def reset(self, instruction):
        self.seen.clear()

    def infer(self, observation, capture_stamp_ns):
        self.seen.append((capture_stamp_ns, observation.image_jpeg, observation.state.tobytes()))
        raise PolicyError("only looks")


def streams() -> list[tuple[int, str, bytes]]:
    """(receive time, topic, serialised message) of a second of a moving robot."""
    random, found = np.random.default_rng(5), []
    for i in range(200):
        stamp = T0 + i * 5_000_000 + int(random.integers(0, 900_000))
        state = RobotState(
            stamp,
            i,
            random.normal(size=SPEC.n),
            random.normal(size=SPEC.n),
            random.normal(size=SPEC.n),
            random.random(2),
            random.normal(size=4),
            random.normal(size=3),
            random.normal(size=3),
            PlantState.ACTIVE,
        )
        found.append(
            (stamp + 700_000, STATES, serialize_message(conversions.robot_state_to_msg(state, SPEC)))
        )
    for i in range(14):
        image = CompressedImage(format="jpeg", data=jpeg(shade=40 + i))
        image.header.stamp = conversions.to_time(T0 + 20_000_000 + i * 66_666_667)
        found.append((conversions.to_ns(image.header.stamp) + 9_000_000, IMAGES, serialize_message(image)))
    return sorted(found, key=lambda item: item[0])


def observations(messages, read) -> list:
    """What the core hands to its backend at 10 Hz; ``read(topic, data)`` deserialises."""
    witness = Witness()
    core = VlaCore(InlineBackend(witness), VlaConfig())
    core.set_instruction("look", T0)
    due_ns = T0 + 100_000_000
    for receive_ns, topic, data in messages:
        while receive_ns > due_ns:
            core.tick(due_ns)
            due_ns += 100_000_000
        message = read(topic, data)
        if topic == STATES:
            core.on_state(
                conversions.to_ns(message.header.stamp), conversions.robot_state_from_msg(message, SPEC)
            )
        else:
            core.on_image(conversions.to_ns(message.header.stamp), jpeg=bytes(message.data))
    return witness.seen


def test_live_frame_equals_bag_frame_bit_for_bit(tmp_path):
    live = streams()
    bag = BagWriter(tmp_path / "bag", TOPICS, {}, created_ns=T0)
    for receive_ns, topic, data in live:
        bag.write(topic, data, receive_ns, receive_ns)
    bag.close()
    with AnyReader([tmp_path / "bag"]) as reader:
        recorded = [(time_ns, connection.topic, data) for connection, time_ns, data in reader.messages()]
    kinds, types = (
        {STATES: msg.RobotState, IMAGES: CompressedImage},
        {topic.name: topic.type for topic in TOPICS},
    )
    seen = observations(live, lambda topic, data: deserialize_message(data, kinds[topic]))
    replayed = observations(recorded, lambda topic, data: typestore().deserialize_cdr(data, types[topic]))
    assert len(seen) == 9
    assert seen == replayed
