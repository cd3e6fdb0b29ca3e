"""The bag of a lock-step trial: the same messages, topics and metadata as the graph's recorder writes."""

from __future__ import annotations

from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec
from wbvla_driver.telemetry import Telemetry
from wbvla_ros.conversions import (
    arm_target_to_msg,
    leg_waist_command_to_msg,
    loco_command_to_msg,
    to_time,
)
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_teleop.recorder_core import EpisodeRecorder
from wbvla_teleop.recorder_types import RecorderConfig, attachments

from wbvla_sim.lockstep import LockStep
from wbvla_sim.render import encode_jpeg
from wbvla_sim.sim_node import camera_info
from wbvla_sim.tasks.truth import sim_state

NAMESPACE = "/wbvla"
JPEG_QUALITY = 85
# Virtual time runs faster than the disk may write: nothing is dropped before this much waits.
_QUEUE_BYTES = 1 << 30


class LockStepBag:
    """Taps one lock-step run; episodes as with the recorder's services. Times are virtual."""

    def __init__(
        self, world: LockStep, folder: Path, objects: tuple[str, ...], camera: str, contract: str = "x2"
    ) -> None:
        """``objects``: bodies of the scene that ``sim/state`` shows; ``camera``: name in the robot spec.
        Raises ValueError for a camera that the robot lacks."""
        self._world, self._objects = world, objects
        self._contract = Contract.load(contract)
        cameras = {c.name: c for c in world.spec.cameras}
        if camera not in cameras:
            raise ValueError(f"{world.spec.name} has no camera '{camera}'; it has {', '.join(cameras) or 'none'}")
        self._camera = cameras[camera]
        self._recorder = EpisodeRecorder(_config(self._contract, world.spec, folder))
        self._telemetry = Telemetry(self._node(), world.spec, world.driver)
        self._to_msg = {
            "leg_waist_command": leg_waist_command_to_msg,
            "teleop_arm_target": arm_target_to_msg,
            "teleop_loco_command": loco_command_to_msg,
            "vla_arm_target": arm_target_to_msg,
            "vla_loco_command": loco_command_to_msg,
        }
        world.tap = self._tap

    def start(self, name: str, sentence: str, operator: str) -> None:
        """Begin an episode. Raises BagError when its folder exists already."""
        now_ns = self._world.now_ns
        self._recorder.start(sentence, operator, now_ns, name)
        self._telemetry.forget()
        self._write("instruction", String(data=sentence))

    def stop(self, succeeded: bool, note: str) -> dict[str, int]:
        """End it; returns the number of messages by topic."""
        outcome = {"task_succeeded": str(succeeded).lower(), "note": note}
        self._recorder.stop(outcome, self._world.now_ns)
        return self._recorder.counts()

    def discard(self, reason: str) -> None:
        """End it, not to be used."""
        self._recorder.discard(reason, self._world.now_ns)

    def truth(self, now_ns: int) -> None:
        """Write the ground truth of now; to be called at 50 Hz."""
        self._write("sim_state", sim_state(self._world.plant, self._objects, now_ns, 0.0))

    def _tap(self, key: str, value: Any, now_ns: int) -> None:
        if key == "driver":
            self._telemetry.publish(value)
        elif key == "head_camera":
            self._picture(*value)
        elif key in self._to_msg:
            self._write(key, self._to_msg[key](value))

    def _picture(self, stamp_ns: int, rgb) -> None:
        message = CompressedImage(format="rgb8; jpeg compressed bgr8")
        message.header.stamp = to_time(stamp_ns)
        message.header.frame_id = self._camera.name
        message.data = array("B", encode_jpeg(rgb, JPEG_QUALITY))
        self._write("head_camera", message)
        self._write("camera_info", camera_info(self._camera, stamp_ns))

    def _write(self, key: str, message: Any) -> None:
        self._take(self._contract.topics[key].topic, message)

    def _take(self, topic: str, message: Any) -> None:
        self._recorder.take(f"{NAMESPACE}/{topic}", serialize_message(message), self._world.now_ns)

    def _node(self) -> Any:
        """As much of a node as the driver's telemetry needs: publishers that write into the bag."""

        def create_publisher(_kind: Any, topic: str, _qos: Any) -> SimpleNamespace:
            return SimpleNamespace(publish=lambda message: self._take(topic, message))

        return SimpleNamespace(create_publisher=create_publisher)


def _config(contract: Contract, spec: RobotSpec, folder: Path) -> RecorderConfig:
    listed = contract.recorded(simulation=True)
    names = {
        topic.key: topic.topic if topic.topic.startswith("/") else f"{NAMESPACE}/{topic.topic}"
        for topic in listed
    }
    return RecorderConfig(
        folder=folder,
        topics=tuple(
            TopicInfo(names[topic.key], topic.type, topic.reliable or topic.latched, topic.latched)
            for topic in listed
        ),
        expected_hz={names[topic.key]: topic.rate_hz or 0.0 for topic in listed},
        skew_pairs=((names["teleop_arm_target"], names["teleop_loco_command"]),),
        metadata={
            "contract": contract.name,
            "contract_hash": contract.hash,
            "robot": spec.name,
            "robot_spec_hash": spec.hash,
            "namespace": NAMESPACE,
            "host": "lock-step simulation",
        },
        attachments=attachments(contract, spec.name),
        queue_bytes=_QUEUE_BYTES,
    )
