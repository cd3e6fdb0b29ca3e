"""The peer of ``wbvla bench loop``: a plain node, as one would write it first.

The same input (typed ``robot_state``), the same policy and the same output message as ``wbvla_lmo_node``, but everything in
one executor and the loop in ``create_timer(0.02)``. Prints its lateness as one JSON line on SIGINT or SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys
import time

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from wbvla_core.bundle import load_bundle
from wbvla_core.lmo import LmoController
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import LatencyHistogram
from wbvla_core.types import LocoCommand

from wbvla_msgs.msg import LegWaistCommand, RobotState
from wbvla_ros import conversions, qos

PERIOD_NS = 20_000_000


class PlainPolicyNode(Node):
    """Subscription, timer and policy in one thread."""

    def __init__(self, bundle: str, robot: str):
        super().__init__("baseline")
        self._spec = RobotSpec.load(robot)
        self._controller = LmoController(load_bundle(bundle_path(bundle), "lmo", self._spec), self._spec)
        self._command = LocoCommand(height_m=0.64)
        self._state = None
        self._reset = False
        self.lateness = LatencyHistogram()
        self.ticks = self.missed = 0
        self._deadline_ns = 0
        self._publisher = self.create_publisher(LegWaistCommand, "baseline/leg_waist_command", qos.STATE)
        self.create_subscription(RobotState, "robot_state", self._on_state, qos.STATE)
        self.create_timer(PERIOD_NS / 1e9, self._tick)

    def _on_state(self, message: RobotState) -> None:
        self._state = conversions.robot_state_from_msg(message, self._spec)

    def _tick(self) -> None:
        now_ns = time.monotonic_ns()
        if self._state is None:
            return
        if not self._reset:
            self._controller.reset(self._state, self._command.height_m)
            self._reset, self._deadline_ns = True, now_ns
        skipped = max(0, (now_ns - self._deadline_ns) // PERIOD_NS)
        self._deadline_ns += skipped * PERIOD_NS
        self.lateness.record(now_ns - self._deadline_ns)
        command = self._controller.step(self._state, self._command)
        self._publisher.publish(conversions.leg_waist_command_to_msg(command))
        self._deadline_ns += PERIOD_NS
        self.ticks += 1 + skipped
        self.missed += skipped + (time.monotonic_ns() > self._deadline_ns)


def main() -> int:
    """``python -m wbvla_cli.baseline_node BUNDLE ROBOT --ros-args ...``."""
    bundle, robot = sys.argv[1:3]
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stop = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.append(True))
    node = PlainPolicyNode(bundle, robot)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not stop:
        executor.spin_once(timeout_sec=0.2)
    lateness = node.lateness
    print(
        json.dumps(
            {
                "p50_ms": lateness.percentile_ms(50),
                "p99_ms": lateness.percentile_ms(99),
                "max_ms": lateness.max_ns / 1e6,
                "missed_fraction": node.missed / max(1, node.ticks),
                "ticks": node.ticks,
            }
        ),
        flush=True,
    )
    node.destroy_node()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
