"""The lifecycle base of every wbvla node: one way in, one way out, one place where status and diagnostics leave.

A subclass implements what differs: :meth:`configure`, :meth:`ready`, :meth:`activate`, :meth:`deactivate`,
:meth:`cleanup` and :meth:`report`. Safety faults never end the process; a configuration that is refused at autostart does,
with exit code 2 and one message.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from wbvla_core.types import Reason, State

from wbvla_msgs.msg import StageLatency, Status
from wbvla_ros.conversions import to_time
from wbvla_ros.qos import STATUS

AUTOSTART_PERIOD_S = 0.1
STATUS_PERIOD_S = 0.5
DIAGNOSTICS_PERIOD_S = 1.0


@dataclass(frozen=True)
class Report:
    """What a node says about itself. Times in ms; counters since activation; ``stages`` maps name -> (p50, p99)."""

    state: State
    reason: Reason = Reason.NONE
    detail: str = ""
    since_ns: int = 0
    rate_hz: float = 0.0
    tick_p50_ms: float = 0.0
    tick_p99_ms: float = 0.0
    lateness_p50_ms: float = 0.0
    lateness_p99_ms: float = 0.0
    lateness_max_ms: float = 0.0
    ticks: int = 0
    missed: int = 0
    published: int = 0
    dropped: int = 0
    stages: dict[str, tuple[float, float]] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)


class ManagedNode(LifecycleNode):
    """A lifecycle node that can start itself in order, reports itself, and leaves safely.

    ``executor_threads`` above 1 lets callback groups run beside each other: a service reply may block for 100 ms until
    its client is discovered, which no control input may wait for.
    """

    executor_threads = 1

    def __init__(self, node_name: str, **kwargs):
        super().__init__(node_name, **kwargs)
        self.refused: str | None = None
        self.exit_code: int | None = None
        self._lifecycle = State.UNCONFIGURED
        self._activated_once = False
        # A signal makes the main thread leave while an executor's thread may be in the middle of a transition.
        self._transition = threading.RLock()
        self._leaving = False
        self._autostart = self.declare_parameter(
            "autostart",
            False,
            ParameterDescriptor(
                description="Configure at once and activate once the node's inputs are there.", read_only=True
            ),
        ).value
        self._status_publisher = self.create_publisher(Status, "status", STATUS)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, "/diagnostics", STATUS)
        self.create_timer(STATUS_PERIOD_S, self.publish_status)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self._publish_diagnostics)
        if self._autostart:
            self._autostart_timer = self.create_timer(AUTOSTART_PERIOD_S, self._start_myself)

    # What a subclass fills in.

    def configure(self) -> None:
        """Load and validate everything; any exception refuses the transition with its message."""

    def ready(self) -> bool:
        """Whether the inputs that activation needs are there (asked by autostart only)."""
        return True

    def activate(self) -> None:
        """Begin to command. May raise to refuse."""

    def deactivate(self) -> None:
        """Send the safe command, then stop commanding. Must not raise."""

    def cleanup(self) -> None:
        """Drop what configure made. Must not raise; called also when configure failed half-way."""

    def report(self) -> Report:
        """The node's state while active."""
        return Report(state=State.ACTIVE)

    # Lifecycle.

    @property
    def is_active(self) -> bool:
        return self._lifecycle == State.ACTIVE

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self.configure()
        except Exception as error:
            # The boundary of the node: whatever is wrong with files or parameters becomes a refusal with its reason.
            self._refuse("configure", error)
            self.cleanup()
            return TransitionCallbackReturn.FAILURE
        # configure may wait for a plant or a camera; leaving must not wait for it, so the lock is taken after it.
        with self._transition:
            if self._leaving:
                self.cleanup()
                return TransitionCallbackReturn.FAILURE
            self._lifecycle = State.INACTIVE
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        with self._transition:
            if self._leaving:
                return TransitionCallbackReturn.FAILURE
            try:
                self.activate()
            except Exception as error:
                self._refuse("activate", error)
                self.deactivate()
                return TransitionCallbackReturn.FAILURE
            self.refused = None
            self._lifecycle = State.ACTIVE
            self._activated_once = True
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        with self._transition:
            self.deactivate()
            self._lifecycle = State.INACTIVE
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        with self._transition:
            self.cleanup()
            self._lifecycle = State.UNCONFIGURED
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.leave()
        return TransitionCallbackReturn.SUCCESS

    def leave(self) -> None:
        """Go to unconfigured from any state, safe command first, for good. For process exit."""
        with self._transition:
            self._leaving = True
            if self._lifecycle == State.ACTIVE:
                self.deactivate()
            if self._lifecycle != State.UNCONFIGURED:
                self.cleanup()
            self._lifecycle = State.UNCONFIGURED

    def _refuse(self, transition: str, error: Exception) -> None:
        self.refused = f"{self.get_name()} refuses to {transition}: {error}"
        self.get_logger().error(self.refused)

    def _start_myself(self) -> None:
        if self._lifecycle == State.UNCONFIGURED:
            if self.trigger_configure() != TransitionCallbackReturn.SUCCESS and not self._leaving:
                self._autostart_timer.cancel()
                self.exit_code = 2
        elif self._lifecycle == State.INACTIVE and not self._activated_once and self.ready():
            self.trigger_activate()
        if self._activated_once:
            # Whoever deactivates the node later means it: it never comes back by itself.
            self._autostart_timer.cancel()

    # Status.

    def _report(self) -> Report:
        # Never waits: the control thread may ask while the thread that leaves waits for it to end.
        if self._transition.acquire(blocking=False):
            try:
                if self._lifecycle == State.ACTIVE:
                    return self.report()
            finally:
                self._transition.release()
        reason = Reason.MISMATCH if self.refused else Reason.NONE
        return Report(state=self._lifecycle, reason=reason, detail=self.refused or "")

    def publish_status(self) -> None:
        """Publish ``status`` now, ahead of the next period; for changes that others wait for."""
        report = self._report()
        message = Status()
        message.header.stamp = self.get_clock().now().to_msg()
        message.node = self.get_name()
        message.state = int(report.state)
        message.reason = int(report.reason)
        message.since = to_time(report.since_ns)
        for name in (
            "detail",
            "rate_hz",
            "tick_p50_ms",
            "tick_p99_ms",
            "lateness_p50_ms",
            "lateness_p99_ms",
            "lateness_max_ms",
            "ticks",
            "missed",
            "published",
            "dropped",
        ):
            setattr(message, name, getattr(report, name))
        message.stages = [
            StageLatency(stage=stage, p50_ms=p50, p99_ms=p99) for stage, (p50, p99) in report.stages.items()
        ]
        self._status_publisher.publish(message)

    def _publish_diagnostics(self) -> None:
        report = self._report()
        status = DiagnosticStatus(
            level=_level(report),
            name=f"wbvla: {self.get_name()}",
            hardware_id=self.get_namespace().strip("/"),
            message=f"{report.state.name}: {report.detail or report.reason.name}",
        )
        values = {
            "state": report.state.name,
            "reason": report.reason.name,
            "rate_hz": f"{report.rate_hz:.2f}",
            "lateness_p99_ms": f"{report.lateness_p99_ms:.3f}",
            "missed": str(report.missed),
            "published": str(report.published),
            "dropped": str(report.dropped),
            **report.values,
        }
        status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [status]
        self._diagnostics_publisher.publish(message)


def _level(report: Report) -> bytes:
    if report.state in (State.DAMPING, State.LAST_RESORT, State.HOLDING_LAST):
        return DiagnosticStatus.ERROR
    if report.reason not in (Reason.NONE, Reason.OPERATOR):
        return DiagnosticStatus.WARN
    return DiagnosticStatus.OK
