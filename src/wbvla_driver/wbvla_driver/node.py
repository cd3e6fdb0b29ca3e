"""ROS side of the driver: parameters, topics, services, lifecycle. What it decides lives in ``core``."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Empty
from wbvla_core.bundle import load_bundle
from wbvla_core.kinematics import Kinematics
from wbvla_core.lmo import LmoController
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import Event, Reason, Source, State
from wbvla_ros.lifecycle import ManagedNode, Report
from wbvla_ros.process import main_of
from wbvla_ros.qos import CAMERA, COMMAND, STATE

from wbvla_driver import parameters
from wbvla_driver.backends import Backend, make_backend
from wbvla_driver.core import DriverCore, DriverOutput
from wbvla_driver.legs import StandController
from wbvla_driver.loop import ControlLoop
from wbvla_driver.publisher_watch import PublisherWatch
from wbvla_driver.telemetry import Telemetry
from wbvla_msgs import msg, srv
from wbvla_ros import conversions

HOUSEKEEPING_PERIOD_S = 0.05


class DriverNode(ManagedNode):
    """See README.md."""

    executor_threads = 2

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("driver", **kwargs)
        parameters.declare(self)
        self._inputs = MutuallyExclusiveCallbackGroup()
        self._core: DriverCore | None = None
        self._backend: Backend | None = None
        self._loop: ControlLoop | None = None
        self._telemetry: Telemetry | None = None
        self._endpoints: list[tuple[Callable[[Any], Any], Any]] = []
        self._events: deque[Event] = deque(maxlen=256)
        self._told_trouble: str | None = None
        self._told_state: State | None = None
        self._last_event: Event | None = None

    # Lifecycle.

    def configure(self) -> None:
        settings = parameters.read(self)
        value = settings.node
        self._spec = RobotSpec.load(value["robot"])
        stand = self.make_stand(value["last_resort_bundle"])
        self._core = DriverCore(self._spec, settings.core, Kinematics(self._spec), stand)
        mailbox = value["mailbox"] or self.get_namespace().strip("/") or "wbvla"
        backend = make_backend(value["backend"], self._spec, mailbox, value["plant_timeout_s"])
        for step in backend.acquire():
            self.get_logger().info(f"{value['backend']}: {step}")
        self._backend = backend
        backend.write(self._core.safe_command(time.monotonic_ns()))
        self.get_logger().info(f"{value['backend']}: {backend.capabilities.describe()}")
        self._telemetry = Telemetry(self, self._spec, self._core)
        self._watch = PublisherWatch(self)
        self._watch_period_ns = int(value["second_publisher_period_s"] * NS_PER_S)
        self._watched_ns = 0
        self._loop = ControlLoop(
            self._core,
            backend,
            round(NS_PER_S / value["rate_hz"]),
            self._publish,
            self._stamp_clock(),
            value["realtime_priority"],
        )
        self._listen()
        # What exists by now lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()

    def make_stand(self, bundle: str) -> StandController:
        """The stand controller of the last resort; raises BundleError when bundle and robot disagree."""
        return LmoController(load_bundle(bundle_path(bundle), "lmo", self._spec), self._spec)

    def ready(self) -> bool:
        crowded = self._watch.crowded()
        refused = self._crowd_text(crowded) if crowded else None
        if refused is not None and refused != self.refused:
            self.get_logger().error(refused)
        self.refused = refused
        return not crowded

    def activate(self) -> None:
        crowded = self._watch.crowded()
        if crowded:
            raise RuntimeError(self._crowd_text(crowded))
        assert self._loop is not None and self._telemetry is not None
        self._telemetry.forget()
        self._loop.start()

    def deactivate(self) -> None:
        loop, core, backend = self._loop, self._core, self._backend
        if loop is None or core is None or backend is None:
            return
        if not loop.stop():
            self.get_logger().error("the control loop hangs; sending the safe command from here")
            backend.write(core.safe_command(time.monotonic_ns()))

    def cleanup(self) -> None:
        for destroy, endpoint in self._endpoints:
            destroy(endpoint)
        self._endpoints.clear()
        if self._telemetry is not None:
            self._telemetry.close()
        if self._backend is not None:
            for step in self._backend.release():
                self.get_logger().info(step)
        self._telemetry = self._backend = self._loop = self._core = None

    def report(self) -> Report:
        loop, telemetry = self._loop, self._telemetry
        assert loop is not None and telemetry is not None and self._backend is not None
        timing, status = loop.report(), loop.status
        event = self._last_event
        detail = status.detail
        if event is not None and event.reason in (Reason.LIMITED, Reason.SECOND_PUBLISHER, Reason.MISMATCH):
            detail = f"{detail}; last: {event.detail}"
        return Report(
            state=status.state,
            reason=status.reason,
            since_ns=status.since_ns,
            detail=loop.failure or detail,
            rate_hz=timing.rate_hz,
            tick_p50_ms=timing.tick_ms[0],
            tick_p99_ms=timing.tick_ms[1],
            lateness_p50_ms=timing.lateness_ms[0],
            lateness_p99_ms=timing.lateness_ms[1],
            lateness_max_ms=timing.lateness_max_ms,
            ticks=timing.ticks,
            missed=timing.missed,
            published=telemetry.published,
            dropped=sum(status.dropped.values()) + timing.overflow,
            stages=timing.stages,
            values={
                "authority": status.authority.name,
                "session": str(status.session),
                "estop": status.estop_reason or "",
                "tilt_deg": f"{status.tilt_deg:.1f}",
                "imu_disagreement_deg": f"{status.imu_disagreement_deg:.1f}",
                "set_point_rate_hz": f"{timing.set_point_rate_hz:.1f}",
                "limited_ticks": str(status.limited_ticks),
                "capabilities": self._backend.capabilities.describe(),
                "clock_offset_ms": f"{self._backend.clock_offset_ns / 1e6:.3f}",
                "realtime": loop.realtime,
                **{f"dropped_{name.lower()}": str(count) for name, count in status.dropped.items()},
                **status.joints,
            },
        )

    # Inputs, in the executor's thread; the control thread gets them between two ticks.

    def _listen(self) -> None:
        def subscribe(
            kind: Any, topic: str, callback: Callable[[Any], None], qos: Any, raw: bool = False
        ) -> None:
            made = self.create_subscription(kind, topic, callback, qos, raw=raw, callback_group=self._inputs)
            self._endpoints.append((self.destroy_subscription, made))

        for source in (Source.VLA, Source.TELEOP):
            arms, loco = (f"{source.name.lower()}/{stream}" for stream in ("arm_target", "loco_command"))
            take = self._taker(arms, source, conversions.arm_target_from_msg, DriverCore.on_arm_target)
            subscribe(msg.ArmTarget, arms, take, COMMAND)
            take = self._taker(loco, source, conversions.loco_command_from_msg, DriverCore.on_loco_command)
            subscribe(msg.LocoCommand, loco, take, COMMAND)
        subscribe(msg.LegWaistCommand, "leg_waist_command", self._on_leg_waist, STATE)
        # The images themselves are large and nobody's business here; their small companion comes at the same
        # time.
        subscribe(CameraInfo, "head_camera/camera_info", self._on_camera, CAMERA, raw=True)
        subscribe(Empty, "operator_heartbeat", self._on_heartbeat, STATE)
        for kind, name, answer in (
            (srv.SetAuthority, "set_authority", self._set_authority),
            (srv.EStop, "estop", self._estop),
            (srv.Release, "release", self._release),
        ):
            self._endpoints.append((self.destroy_service, self.create_service(kind, name, answer)))
        timer = self.create_timer(HOUSEKEEPING_PERIOD_S, self._keep_house)
        self._endpoints.append((self.destroy_timer, timer))

    def _taker(
        self, topic: str, source: Source, convert: Callable[[Any], Any], accept: Callable[..., bool]
    ) -> Callable[[Any], None]:
        """Callback of one command topic; a message that names another source than its topic's is bad."""

        def take(message: Any) -> None:
            core, loop = self._core, self._loop
            if core is None or loop is None or not loop.running:
                return
            try:
                command = convert(message)
                if command.source != source:
                    raise conversions.MessageError(f"field 'source' is {command.source.name} on this topic")
            except conversions.MessageError as error:
                text = str(error)
                loop.post(lambda now_ns: core.on_bad_message(topic, text, now_ns))
                return
            loop.post(lambda now_ns: accept(core, command, now_ns))

        return take

    def _on_leg_waist(self, message: msg.LegWaistCommand) -> None:
        core, loop = self._core, self._loop
        if core is None or loop is None or not loop.running:
            return
        try:
            loop.post_leg_waist(conversions.leg_waist_command_from_msg(message))
        except conversions.MessageError as error:
            text = str(error)
            loop.post(lambda now_ns: core.on_bad_message("leg_waist_command", text, now_ns))

    def _on_camera(self, _data: bytes) -> None:
        if self._core is not None and self._loop is not None:
            self._loop.post(self._core.camera_seen)

    def _on_heartbeat(self, _message: Empty) -> None:
        if self._core is not None and self._loop is not None:
            self._loop.post(self._core.heartbeat_seen)

    # Services.

    def _set_authority(self, request: srv.SetAuthority.Request, response: srv.SetAuthority.Response) -> Any:
        core, loop = self._core, self._loop
        assert core is not None and loop is not None
        try:
            source = Source(request.source)
            response.session, response.message = loop.ask(lambda now_ns: core.set_authority(source, now_ns))
            response.success = True
        except ValueError:
            response.message = f"unknown source {request.source}; 0 none, 1 VLA, 2 teleop"
        except TimeoutError as error:
            response.message = str(error)
        return response

    def _estop(self, request: srv.EStop.Request, response: srv.EStop.Response) -> Any:
        core, loop = self._core, self._loop
        assert core is not None and loop is not None
        reason = request.reason[:200]
        try:
            loop.ask(lambda now_ns: core.estop(reason, now_ns))
            response.success, response.message = (
                True,
                "damping; leave it with the service release, in the hoist",
            )
        except TimeoutError as error:
            response.message = f"{error}; the actuators are damped by the plant when nobody commands"
        return response

    def _release(self, request: srv.Release.Request, response: srv.Release.Response) -> Any:
        core, loop = self._core, self._loop
        assert core is not None and loop is not None
        hoisted = bool(request.hoisted)
        try:
            response.success, response.message = loop.ask(lambda now_ns: core.release(hoisted, now_ns))
        except TimeoutError as error:
            response.message = str(error)
        return response

    # The control thread's output, and what is slow.

    def _publish(self, output: DriverOutput) -> None:
        assert self._telemetry is not None
        self._telemetry.publish(output)
        self._events.extend(output.events)

    def _keep_house(self) -> None:
        loop, core = self._loop, self._core
        if loop is None or core is None or not self.is_active:
            return
        self._tell_events()
        if loop.failure is not None:
            self.get_logger().fatal(loop.failure)
            self.trigger_deactivate()
            return
        if loop.trouble != self._told_trouble:
            self._told_trouble = loop.trouble
            self.get_logger().error(str(loop.trouble))
        now_ns = time.monotonic_ns()
        if now_ns - self._watched_ns >= self._watch_period_ns:
            self._watched_ns = now_ns
            for topic, source in self._watch.new():
                loop.post(lambda at_ns, t=topic, s=source: core.second_publisher(t, s, at_ns))

    def _tell_events(self) -> None:
        changed = False
        while self._events:
            event = self._events.popleft()
            self._last_event = event
            changed = changed or event.state != self._told_state
            self._told_state = event.state
            text = f"{event.state.name} ({event.reason.name}): {event.detail}"
            quiet = event.reason in (Reason.NONE, Reason.OPERATOR)
            # Two lines on purpose: rclpy ties a line that logs to one severity for good.
            if quiet:
                self.get_logger().info(text)
            else:
                self.get_logger().warning(text)
        if changed:
            self.publish_status()

    def _stamp_clock(self) -> Callable[[], int]:
        if self.get_parameter("use_sim_time").value:
            return lambda: self.get_clock().now().nanoseconds
        return time.time_ns

    @staticmethod
    def _crowd_text(crowded: dict[str, str]) -> str:
        listed = "; ".join(f"{topic}: {nodes}" for topic, nodes in crowded.items())
        return f"more than one publisher on command topics ({listed}); stop all but one of each"


main = main_of(DriverNode)
