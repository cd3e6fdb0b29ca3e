"""ROS side of the recorder: raw subscriptions to the contract's topics, episode services, status."""

from __future__ import annotations

import importlib
import socket
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_event import SubscriptionEventCallbacks
from wbvla_core.contract import Contract
from wbvla_core.paths import checkout_root
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Reason, State
from wbvla_ros.conversions import to_time
from wbvla_ros.lifecycle import ManagedNode, Report
from wbvla_ros.process import main_of
from wbvla_ros.qos import STATUS

from wbvla_msgs.msg import EpisodeStatus
from wbvla_msgs.srv import DiscardEpisode, StartEpisode, StopEpisode
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_teleop.recorder_core import EpisodeRecorder
from wbvla_teleop.recorder_types import EpisodeState, RecorderConfig, RecorderError, Snapshot, attachments
from wbvla_teleop.recover import find_cut_bags, recover

# name: (default, description)
PARAMETERS = {
    "contract": ("x2", "Contract of topics and features, by name or path; says what is recorded."),
    "robot": ("x2_ultra", "Robot spec, by name or path."),
    "bag_dir": ("bags", "Folder for episodes."),
    "episode_name": ("", "Folder of the first episode; empty: by time."),
    "task": ("", "Sentence kept with an episode that starts by itself."),
    "operator_name": ("", "Who operates, kept with it."),
    "autostart_episode": (False, "Start an episode on activation."),
    "record_simulation": (True, "Also the simulator's ground truth."),
    "recover_cut_bags": (True, "At configure, make bags whole that an earlier recorder left cut."),
    "compression": ("zstd", "none, lz4 or zstd, chunk by chunk."),
    "flush_period_s": (0.5, "Time between syncs to the disk."),
    "queue_mb": (64, "What may wait for the disk; more is dropped and counted."),
    "min_free_mb": (200, "An episode ends before the disk is fuller than this."),
}
EPISODE_STATUS_PERIOD_S = 1.0
# Deep enough that a pause of the interpreter of half a second loses nothing at 500 Hz.
_DEPTH = 256


class Recorder(ManagedNode):
    """See README.md."""

    def __init__(self, **kwargs) -> None:
        super().__init__("recorder", **kwargs)
        for name, (default, text) in PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text))
        self._core: EpisodeRecorder | None = None
        self._endpoints: list = []
        self._services: list = []
        self._begin_ns = self._received = 0

    def configure(self) -> None:
        value = {name: self.get_parameter(name).value for name in PARAMETERS}
        contract = Contract.load(value["contract"])
        spec = RobotSpec.load(value["robot"])
        folder = Path(value["bag_dir"]).expanduser().absolute()
        listed = contract.recorded(value["record_simulation"])
        names = {topic.key: self.resolve_topic_name(topic.topic) for topic in listed}
        topics = tuple(
            TopicInfo(names[topic.key], topic.type, topic.reliable or topic.latched, topic.latched)
            for topic in listed
        )
        config = RecorderConfig(
            folder=folder,
            topics=topics,
            expected_hz={names[topic.key]: topic.rate_hz or 0.0 for topic in listed},
            skew_pairs=tuple(
                (names[f"{source}arm_target"], names[f"{source}loco_command"])
                for source in ("", "vla_", "teleop_")
                if f"{source}arm_target" in names and f"{source}loco_command" in names
            ),
            metadata={
                "contract": contract.name,
                "contract_hash": contract.hash,
                "robot": spec.name,
                "robot_spec_hash": spec.hash,
                "namespace": self.get_namespace(),
                "host": socket.gethostname(),
                **_software(),
            },
            attachments=attachments(contract, value["robot"]),
            compression=value["compression"],
            flush_period_s=value["flush_period_s"],
            queue_bytes=value["queue_mb"] << 20,
            min_free_bytes=value["min_free_mb"] * 1_000_000,
        )
        if value["recover_cut_bags"]:
            self._recover(folder)
        self._core = EpisodeRecorder(config)
        self._status = self.create_publisher(EpisodeStatus, "episode_status", STATUS)
        for topic in topics:
            self._subscribe(topic)
        self._services = [
            self.create_service(StartEpisode, "start_episode", self._on_start),
            self.create_service(StopEpisode, "stop_episode", self._on_stop),
            self.create_service(DiscardEpisode, "discard_episode", self._on_discard),
        ]
        self._timer = self.create_timer(EPISODE_STATUS_PERIOD_S, self._publish_episode_status)

    def activate(self) -> None:
        self._begin_ns = time.monotonic_ns()
        if self.get_parameter("autostart_episode").value:
            task, operator = self.get_parameter("task").value, self.get_parameter("operator_name").value
            name = self._core.start(task, operator, self._now_ns(), self._free_episode_name())
            self.get_logger().info(f"recording episode '{name}' in {self._core.config.folder}")

    def deactivate(self) -> None:
        if self._core is not None and self._core.state == EpisodeState.RECORDING:
            self._end({"note": "the recorder was stopped"})

    def cleanup(self) -> None:
        for service in self._services:
            self.destroy_service(service)
        for subscription in self._endpoints:
            self.destroy_subscription(subscription)
        if self._core is not None:
            self.destroy_timer(self._timer)
            self.destroy_publisher(self._status)
        self._services, self._endpoints, self._core = [], [], None

    def report(self) -> Report:
        shot = self._core.snapshot(self._now_ns())
        elapsed_s = max(1e-3, (time.monotonic_ns() - self._begin_ns) / 1e9)
        reason = Reason.DISK_FULL if shot.disk_full else Reason.NONE
        detail = shot.detail or f"{shot.state.name.lower()} {shot.episode}".strip()
        return Report(
            state=State.ACTIVE,
            reason=reason,
            detail=detail,
            rate_hz=self._received / elapsed_s,
            published=shot.messages,
            dropped=shot.dropped,
            values={
                "episode": shot.episode,
                "messages": str(shot.messages),
                "bytes": str(shot.bytes),
                "disk_free_bytes": str(shot.disk_free),
                "alarms": "; ".join(shot.alarms),
            },
        )

    # Topics.

    def _subscribe(self, topic: TopicInfo) -> None:
        qos = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=_DEPTH,
            reliability=ReliabilityPolicy.RELIABLE if topic.reliable else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE,
        )

        def take(data: bytes, name: str = topic.name) -> None:
            self._received += 1
            self._core.take(name, data, self._now_ns())

        def lost(status, name: str = topic.name) -> None:
            self._core.lost(name, status.total_count)

        events = SubscriptionEventCallbacks(message_lost=lost)
        self._endpoints.append(
            self.create_subscription(
                _message_class(topic.type), topic.name, take, qos, raw=True, event_callbacks=events
            )
        )

    # Episodes.

    def _on_start(self, request, response):
        response.success, response.episode, response.message = self._answer(
            lambda: self._core.start(request.task, request.operator_name, self._now_ns())
        )
        return response

    def _on_stop(self, request, response):
        outcome = {"task_succeeded": str(request.task_succeeded).lower(), "note": request.note}
        response.success, response.episode, response.message = self._answer(
            lambda: self._core.stop(outcome, self._now_ns())
        )
        return response

    def _on_discard(self, request, response):
        response.success, _, response.message = self._answer(
            lambda: self._core.discard(request.reason, self._now_ns())
        )
        return response

    def _answer(self, act) -> tuple[bool, str, str]:
        if not self.is_active:
            return False, "", "the recorder is not active; activate it first"
        try:
            return True, act(), ""
        except (RecorderError, OSError) as error:
            self.get_logger().error(str(error))
            return False, "", str(error)

    def _end(self, outcome: dict[str, str]) -> None:
        try:
            name = self._core.stop(outcome, self._now_ns())
        except OSError as error:
            self.get_logger().error(str(error))
            return
        shot = self._core.snapshot(self._now_ns())
        self.get_logger().info(f"episode '{name}': {shot.messages} messages, {shot.dropped} dropped")

    def _publish_episode_status(self) -> None:
        now_ns = self._now_ns()
        if self._core.poll(now_ns):
            self.get_logger().error(self._core.snapshot(now_ns).detail)
        self._status.publish(episode_status(self._core.snapshot(now_ns), now_ns))

    # Helpers.

    def _recover(self, folder: Path) -> None:
        for bag in find_cut_bags(folder):
            try:
                report = recover(bag)
            except (OSError, ValueError) as error:
                self.get_logger().error(f"cut bag '{bag}' cannot be recovered: {error}")
                continue
            self.get_logger().warning(
                f"bag '{bag.name}' of an earlier recording was cut and is whole again: "
                f"{report.messages} messages kept, {report.cut_bytes} bytes dropped"
            )

    def _free_episode_name(self) -> str:
        """The parameter's name, or "" (name by time) when none is given or a restart finds it in use."""
        name = self.get_parameter("episode_name").value
        return "" if name and (self._core.config.folder / name).exists() else name

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def episode_status(shot: Snapshot, now_ns: int) -> EpisodeStatus:
    """Message of a snapshot."""
    message = EpisodeStatus()
    message.header.stamp = to_time(now_ns)
    message.state = int(shot.state)
    message.alarms = list(shot.alarms)
    for name in ("episode", "task", "elapsed_s", "messages", "dropped", "bytes", "disk_free", "skew_ms"):
        setattr(message, name, getattr(shot, name))
    return message


def _message_class(type_name: str):
    """Message class of ``package/msg/Name``."""
    package, _, name = type_name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"message type '{type_name}' is not installed ({error})") from None


def _software() -> dict[str, str]:
    """Version of the software, and the commit where it runs from a checkout."""
    found = {}
    try:
        found["version"] = version("wbvla")
    except PackageNotFoundError:
        found["version"] = version("wbvla_teleop")
    root = checkout_root()
    if root is not None:
        git = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=False,
        )
        found["git_commit"] = git.stdout.strip()
    return found


main = main_of(Recorder)
