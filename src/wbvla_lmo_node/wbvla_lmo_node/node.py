"""ROS side of the locomotion policy: parameters, topics, lifecycle. What a tick does lives in ``core``."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.serialization import deserialize_message
from wbvla_core.bundle import load_bundle
from wbvla_core.grounding import GroundedController
from wbvla_core.lmo import LmoController
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import LegWaistCommand, Reason, State
from wbvla_ros.lifecycle import ManagedNode, Report
from wbvla_ros.process import main_of
from wbvla_ros.qos import COMMAND, STATE

from wbvla_lmo_node.control_loop import ControlLoop
from wbvla_lmo_node.core import LmoConfig, LmoCore
from wbvla_msgs import msg
from wbvla_ros import conversions

OUTPUT = "leg_waist_command"
# name: (default, description)
PARAMETERS: dict[str, tuple[Any, str]] = {
    "robot": ("x2_ultra", "Robot spec, by name or path."),
    "bundle": ("lmo/x2", "LMO bundle: kind/name of a shipped bundle, or a path."),
    "max_state_age_ms": (40.0, "With an older robot state nothing is commanded."),
    "max_command_age_ms": (200.0, "With an older locomotion command the robot comes to a stand."),
    "statistics_window_s": (10.0, "Over how long the latency percentiles of status reach, 1..600."),
    "realtime_priority": (40, "SCHED_FIFO priority of the control thread, 1..99; 0: normal scheduling."),
}


class LmoNode(ManagedNode):
    """See README.md."""

    executor_threads = 2

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("lmo_node", **kwargs)
        for name, (default, text) in PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text, read_only=True))
        self._inputs = MutuallyExclusiveCallbackGroup()
        self._core: LmoCore | None = None
        self._loop: ControlLoop | None = None
        self._publisher: Any = None
        self._subscriptions_made: list[Any] = []
        self._told: str | None = None

    # Lifecycle.

    def configure(self) -> None:
        value = {name: self.get_parameter(name).value for name in PARAMETERS}
        for name in ("max_state_age_ms", "max_command_age_ms"):
            if not 0.0 < value[name] <= 1000.0:
                raise ValueError(f"parameter {name} is {value[name]}, expected above 0 and at most 1000")
        if not 0 <= value["realtime_priority"] <= 99:
            raise ValueError(f"parameter realtime_priority is {value['realtime_priority']}, expected 0..99")
        if not 1.0 <= value["statistics_window_s"] <= 600.0:
            raise ValueError(
                f"parameter statistics_window_s is {value['statistics_window_s']}, expected 1..600"
            )
        self._spec = RobotSpec.load(value["robot"])
        bundle = load_bundle(bundle_path(value["bundle"]), "lmo", self._spec)
        controller = GroundedController(LmoController(bundle, self._spec), self._spec)
        config = LmoConfig(
            max_state_age_ms=value["max_state_age_ms"],
            max_command_age_ms=value["max_command_age_ms"],
            nominal_height_m=self._spec.nominal_height_m,
        )
        self._core = LmoCore(controller, config, self._decode_state)
        self._publisher = self.create_publisher(msg.LegWaistCommand, OUTPUT, STATE)
        period_ns = round(controller.dt_s * NS_PER_S)
        priority = value["realtime_priority"]
        self._loop = ControlLoop(
            self._core, self._publish, self._now_ns, period_ns, priority, value["statistics_window_s"]
        )
        self._subscriptions_made = [
            self.create_subscription(
                msg.RobotState,
                "robot_state",
                self._core.on_state,
                STATE,
                raw=True,
                callback_group=self._inputs,
            ),
            self.create_subscription(
                msg.LocoCommand, "loco_command", self._on_command, COMMAND, callback_group=self._inputs
            ),
        ]
        self.get_logger().info(f"policy: {bundle.name} ({bundle.path}), {1 / controller.dt_s:.0f} Hz")

    def ready(self) -> bool:
        return self._core is not None and self._core.has_state and not self._others()

    def activate(self) -> None:
        others = self._others()
        if others:
            raise RuntimeError(f"{others} other publisher(s) on {OUTPUT}; stop them first")
        assert self._core is not None and self._loop is not None
        self._core.restart()
        self._told = None
        self._loop.start()

    def deactivate(self) -> None:
        # Silence is the safe command of this node: the driver's own stand controller takes over within 60 ms.
        if self._loop is not None and not self._loop.stop():
            self.get_logger().error("the control loop hangs")

    def cleanup(self) -> None:
        for subscription in self._subscriptions_made:
            self.destroy_subscription(subscription)
        self._subscriptions_made = []
        if self._publisher is not None:
            self.destroy_publisher(self._publisher)
        self._publisher = self._core = self._loop = None

    def report(self) -> Report:
        core, loop = self._core, self._loop
        assert core is not None and loop is not None
        timing, counters = loop.report(), core.counters
        reason, detail = core.reason, core.detail
        if loop.failure is not None or not loop.running:
            reason, detail = Reason.INFERENCE_FAILED, loop.failure or "the control thread is gone"
        self._tell(reason, detail)
        return Report(
            state=State.ACTIVE,
            reason=reason,
            detail=detail,
            rate_hz=timing.rate_hz,
            tick_p50_ms=timing.tick_ms[0],
            tick_p99_ms=timing.tick_ms[1],
            lateness_p50_ms=timing.lateness_ms[0],
            lateness_p99_ms=timing.lateness_ms[1],
            lateness_max_ms=timing.lateness_max_ms,
            ticks=timing.ticks,
            missed=timing.missed,
            published=counters.published,
            dropped=counters.dropped,
            stages={"state_to_command": timing.state_to_command_ms},
            values={
                "policy": core.policy.name,
                "height_m": f"{core.policy.height_m:.3f}",
                "stepping": str(core.policy.stepping),
                "not_finite": str(counters.not_finite),
                "ticks_without_state": str(counters.without_state),
                "bad_messages": str(counters.bad_messages),
                "realtime": loop.realtime,
            },
        )

    # Inputs and output.

    def _on_command(self, message: msg.LocoCommand) -> None:
        core = self._core
        if core is None:
            return
        try:
            core.on_command(conversions.loco_command_from_msg(message), self._now_ns())
        except conversions.MessageError as error:
            core.counters.bad_messages += 1
            self.get_logger().warning(f"loco_command dropped: {error}")

    def _publish(self, command: LegWaistCommand) -> None:
        self._publisher.publish(conversions.leg_waist_command_to_msg(command))

    def _decode_state(self, data: bytes) -> Any:
        try:
            message = deserialize_message(data, msg.RobotState)
        except Exception as error:  # each middleware raises its own kind for bytes that are no such message
            raise ValueError(f"robot_state of {len(data)} bytes cannot be read: {error}") from None
        return conversions.robot_state_from_msg(message, self._spec)

    # Helpers.

    def _others(self) -> int:
        return self.count_publishers(OUTPUT) - 1

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _tell(self, reason: Reason, detail: str) -> None:
        """One line in the log per change of reason."""
        if reason.name != self._told:
            self._told = reason.name
            log = self.get_logger()
            text = f"{reason.name}: {detail}"
            # Two lines on purpose: rclpy ties a line that logs to one severity for good.
            if reason == Reason.NONE:
                log.info(text)
            else:
                log.warning(text)


main = main_of(LmoNode)
