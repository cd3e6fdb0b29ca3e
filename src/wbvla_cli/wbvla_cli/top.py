"""``wbvla top``: a live table of every node and topic of the running graph."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

import rclpy
import tyro
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rich.console import Group
from rich.live import Live
from rich.table import Table
from wbvla_core.types import Reason, State

from wbvla_cli.interfaces import message_class
from wbvla_msgs.msg import Status

WINDOW_S = 2.0


@dataclass
class Arguments:
    """Watch the running graph: state, rate and lateness of each node; rate, age and size of each topic."""

    namespace: str = "wbvla"
    """Namespace of the robot."""
    seconds: float = 0.0
    """Stop after so many seconds; 0: until Ctrl-C."""
    once: bool = False
    """Print one table after two seconds and stop (for scripts and logs)."""


@dataclass
class Topic:
    """Arrivals of one topic during the last WINDOW_S seconds, monotonic [s]."""

    type_name: str
    arrivals_s: deque = field(default_factory=lambda: deque(maxlen=4096))
    size_bytes: int = 0

    def rate_hz(self, now_s: float) -> float:
        while self.arrivals_s and now_s - self.arrivals_s[0] > WINDOW_S and len(self.arrivals_s) > 1:
            self.arrivals_s.popleft()
        return sum(now_s - t <= WINDOW_S for t in self.arrivals_s) / WINDOW_S


class Watcher(Node):
    """Subscribes to whatever is published under one namespace, without deserialising it."""

    def __init__(self, namespace: str):
        super().__init__("wbvla_top")
        self._prefix = f"/{namespace.strip('/')}/"
        self.topics: dict[str, Topic] = {}
        self.nodes: dict[str, tuple[Status, float]] = {}
        self.create_subscription(Status, f"{self._prefix}status", self._on_status, 10)
        self.create_timer(1.0, self._discover)
        self._discover()

    def _on_status(self, status: Status) -> None:
        self.nodes[status.node] = (status, time.monotonic())

    def _discover(self) -> None:
        for name, types in self.get_topic_names_and_types():
            if not name.startswith(self._prefix) or name in self.topics:
                continue
            kind = message_class(types[0])
            if kind is None:
                continue
            topic = self.topics[name] = Topic(types[0])
            quality = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)

            def arrived(raw: bytes, topic: Topic = topic) -> None:
                topic.arrivals_s.append(time.monotonic())
                topic.size_bytes = len(raw)

            self.create_subscription(kind, name, arrived, quality, raw=True)

    def tables(self) -> Group:
        now_s = time.monotonic()
        nodes = Table(
            "node",
            "state",
            "reason",
            "rate [Hz]",
            "late p99 [ms]",
            "missed",
            "dropped",
            "detail",
            title="nodes",
        )
        for name, (status, seen_s) in sorted(self.nodes.items()):
            gone = now_s - seen_s > 2.0
            nodes.add_row(
                name,
                "[red]silent[/]" if gone else State(status.state).name,
                Reason(status.reason).name,
                f"{status.rate_hz:.1f}",
                f"{status.lateness_p99_ms:.2f}",
                str(status.missed),
                str(status.dropped),
                status.detail,
            )
        topics = Table("topic", "type", "rate [Hz]", "age [s]", "size [B]", title="topics")
        for name, topic in sorted(self.topics.items()):
            age = f"{now_s - topic.arrivals_s[-1]:.2f}" if topic.arrivals_s else "-"
            topics.add_row(
                name.removeprefix(self._prefix),
                topic.type_name,
                f"{topic.rate_hz(now_s):.1f}",
                age,
                str(topic.size_bytes),
            )
        return Group(nodes, topics)


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla top")
    seconds = 2.5 if arguments.once else arguments.seconds
    rclpy.init()
    watcher = Watcher(arguments.namespace)
    executor = SingleThreadedExecutor()
    executor.add_node(watcher)
    end_s = time.monotonic() + seconds if seconds else float("inf")
    try:
        with Live(watcher.tables(), refresh_per_second=4, transient=arguments.once) as live:
            while rclpy.ok() and time.monotonic() < end_s:
                executor.spin_once(timeout_sec=0.1)
                live.update(watcher.tables())
            if arguments.once:
                live.transient = False
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        watcher.destroy_node()
        rclpy.try_shutdown()
    return 0
