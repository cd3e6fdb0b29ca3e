"""ROS side of teleoperation: parameters, topics, services, lifecycle, and the 50 Hz control thread."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
from rcl_interfaces.msg import ParameterDescriptor
from sensor_msgs.msg import Joy
from std_msgs.msg import String
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S, DeadlineTimer, RateMeter, RollingLatency, enter_realtime
from wbvla_core.types import Reason, Source, State
from wbvla_ros.lifecycle import ManagedNode, Report
from wbvla_ros.process import main_of
from wbvla_ros.qos import COMMAND, LATCHED, STATE, TOOLS

from wbvla_msgs.msg import ArmTarget, Authority, LocoCommand, RobotState, SimState
from wbvla_ros import conversions
from wbvla_teleop.core import Phase, TeleopConfig, TeleopCore, TeleopOutput
from wbvla_teleop.devices.base import Device, Whereabouts
from wbvla_teleop.devices.factory import JOY_TOPIC, make_device, parts
from wbvla_teleop.devices.joy import JoyDevice
from wbvla_teleop.devices.scripted import REST, ObjectPose, ScriptedDevice, View
from wbvla_teleop.frame import TORSO
from wbvla_teleop.ik import DualArmIk
from wbvla_teleop.requests import Requests
from wbvla_teleop.retarget import Retargeter

# name: (default, description)
PARAMETERS = {
    "robot": ("x2_ultra", "Robot spec, by name or path."),
    "device": ("joy", "joy, joystick, keyboard, replay or scripted."),
    "layout": ("ps5", "Devices joy and joystick: packaged layout of the pad, or a file."),
    "joystick": ("/dev/input/js0", "Device joystick: the kernel's joystick."),
    "bag": ("", "Device replay: episode to replay."),
    "operator_class": (
        "wbvla_sim.operators.by_sentence:OperatorBySentence",
        "Device scripted: module:Class.",
    ),
    "guard": ("", "Device that holds the deadman of replay and scripted: joy, joystick or keyboard."),
    "unattended": (False, "Replay and scripted may drive without a deadman (simulation only)."),
    "takeover": (True, "Pressing the deadman takes the authority."),
    "give_back": ("none", "Who gets the authority when the button gives it back: none or vla."),
    "task": ("", "Sentence of episodes started from the device, until another one comes on instruction."),
    "operator_name": ("", "Who operates, kept with them."),
    "rate_hz": (50.0, "Commands per second, 20..100."),
    "realtime_priority": (30, "SCHED_FIFO priority of the control thread, 1..99; 0: normal scheduling."),
}
SWITCH_INTERVAL_S = 0.0005
_SOURCES = {"none": Source.NONE, "vla": Source.VLA}


class TeleopNode(ManagedNode):
    """See README.md."""

    def __init__(self, **kwargs) -> None:
        super().__init__("teleop_node", **kwargs)
        for name, (default, text) in PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text))
        self._lock = threading.Lock()
        self._core: TeleopCore | None = None
        self._device: Device | None = None
        self._requests: Requests | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._realtime = "normal scheduling"
        self._endpoints: list = []

    def configure(self) -> None:
        value = {name: self.get_parameter(name).value for name in PARAMETERS}
        if not 20.0 <= value["rate_hz"] <= 100.0:
            raise ValueError(f"parameter rate_hz is {value['rate_hz']}, expected 20..100")
        if not 0 <= value["realtime_priority"] <= 99:
            raise ValueError(f"parameter realtime_priority is {value['realtime_priority']}, expected 0..99")
        if value["give_back"] not in _SOURCES:
            raise ValueError(f"parameter give_back is '{value['give_back']}', expected none or vla")
        self._spec = RobotSpec.load(value["robot"])
        self._priority = value["realtime_priority"]
        self._period_ns = round(NS_PER_S / value["rate_hz"])
        config = TeleopConfig(takeover=value["takeover"], give_back=_SOURCES[value["give_back"]])
        self._core = TeleopCore(Retargeter(self._spec, DualArmIk(self._spec)), config)
        self._robot_state: RobotState | None = None
        self._device = make_device(value, self._spec, self._where)
        self._device.open()
        self._requests = Requests(self, value["task"], value["operator_name"])
        self._publish_arm = self._endpoint(
            self.create_publisher(ArmTarget, "teleop/arm_target", COMMAND)
        ).publish
        self._publish_loco = self._endpoint(
            self.create_publisher(LocoCommand, "teleop/loco_command", COMMAND)
        ).publish
        self._subscribe()
        self.get_logger().info(f"device: {self._device.name}")

    def ready(self) -> bool:
        crowd = self._crowd()
        if crowd and crowd != self.refused:
            self.get_logger().error(crowd)
        self.refused = crowd or None
        return not crowd

    def activate(self) -> None:
        crowd = self._crowd()
        if crowd:
            raise RuntimeError(crowd)
        self._ticks = DeadlineTimer(self._period_ns)
        self._rate = RateMeter()
        self._lateness, self._tick_time, self._reaction = RollingLatency(), RollingLatency(), RollingLatency()
        # The executor's thread must give the interpreter back before the next tick.
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._stopping.clear()
        self._thread = threading.Thread(target=self._loop, name="teleop-control")
        self._thread.start()

    def deactivate(self) -> None:
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join()
        self._thread = None
        self._send(self._core.farewell(self._now_ns()))

    def cleanup(self) -> None:
        if self._device is not None:
            self._device.close()
        if self._requests is not None:
            self._requests.close()
        for endpoint in self._endpoints:
            if hasattr(endpoint, "publish"):
                self.destroy_publisher(endpoint)
            else:
                self.destroy_subscription(endpoint)
        self._endpoints.clear()
        self._core = self._device = self._requests = None

    def report(self) -> Report:
        now_ns = time.monotonic_ns()
        core = self._core
        rate = self._rate.rate_hz(now_ns)
        problems = [part.problem for part in parts(self._device) if isinstance(part, ScriptedDevice)]
        detail = f"{self._device.name}: {core.detail or ''.join(problems) or core.phase.value}"
        return Report(
            state=State.ACTIVE if core.phase in (Phase.DRIVING, Phase.HOLDING) else State.STANDING,
            reason=core.reason,
            detail=detail if core.has_authority else f"{detail}; no authority",
            rate_hz=_finite(rate),
            tick_p50_ms=_finite(self._tick_time.percentile_ms(50, now_ns)),
            tick_p99_ms=_finite(self._tick_time.percentile_ms(99, now_ns)),
            lateness_p50_ms=_finite(self._lateness.percentile_ms(50, now_ns)),
            lateness_p99_ms=_finite(self._lateness.percentile_ms(99, now_ns)),
            lateness_max_ms=self._lateness.max_ns / 1e6,
            ticks=self._ticks.ticks,
            missed=self._ticks.missed,
            published=core.published,
            stages={
                "device_to_command": (
                    _finite(self._reaction.percentile_ms(50, now_ns)),
                    _finite(self._reaction.percentile_ms(99, now_ns)),
                )
            },
            values={
                "realtime": self._realtime,
                "device": self._device.name,
                "phase": core.phase.name,
                "episode": self._requests.episode,
            },
        )

    # Inputs, in the executor's thread.

    def _subscribe(self) -> None:
        self._endpoint(self.create_subscription(RobotState, "robot_state", self._on_state, STATE))
        self._endpoint(self.create_subscription(Authority, "authority", self._on_authority, LATCHED))
        self._endpoint(self.create_subscription(LocoCommand, "loco_command", self._on_loco, COMMAND))
        self._endpoint(self.create_subscription(String, "instruction", self._on_instruction, LATCHED))
        for part in parts(self._device):
            if isinstance(part, JoyDevice):
                self._endpoint(
                    self.create_subscription(
                        Joy, JOY_TOPIC, lambda message, pad=part: self._on_joy(pad, message), STATE
                    )
                )
            elif isinstance(part, ScriptedDevice):
                self._endpoint(
                    self.create_subscription(
                        SimState,
                        "sim/state",
                        lambda message, script=part: self._on_sim(script, message),
                        TOOLS,
                    )
                )

    def _on_state(self, message: RobotState) -> None:
        self._robot_state = message

    def _on_authority(self, message: Authority) -> None:
        try:
            source = Source(message.source)
        except ValueError:
            self.get_logger().warning(f"authority names source {message.source}, which is unknown; ignored")
            return
        with self._lock:
            self._core.on_authority(source, message.session)

    def _on_loco(self, message: LocoCommand) -> None:
        with self._lock:
            self._core.on_height(message.height)

    def _on_joy(self, pad: JoyDevice, message: Joy) -> None:
        stamp_ns, now_ns = conversions.to_ns(message.header.stamp), self._now_ns()
        # A publisher without a clock, or with another one, still tells what the pad is doing now.
        plausible = 0 <= now_ns - stamp_ns < NS_PER_S
        pad.take(tuple(message.axes), tuple(message.buttons), stamp_ns if plausible else now_ns)

    def _on_sim(self, script: ScriptedDevice, message: SimState) -> None:
        objects = {body.name: _object(body.pose) for body in message.objects}
        stamp_ns = conversions.to_ns(message.header.stamp)
        script.see(View(stamp_ns, _object(message.pelvis), objects, message.fell))

    def _on_instruction(self, message: String) -> None:
        if message.data != REST:
            # A scene laid out anew tells everybody to rest; what the next episode shows stays what it was.
            self._requests.task = message.data
        for part in parts(self._device):
            if isinstance(part, ScriptedDevice):
                try:
                    part.instruct(message.data)
                except ValueError as error:
                    self.get_logger().warning(f"instruction: {error}")

    # The control thread.

    def _loop(self) -> None:
        if self._priority:
            self._realtime = enter_realtime(self._priority).message
        self._ticks.start()
        while not self._stopping.is_set():
            tick = self._ticks.wait()
            self._lateness.record(tick.lateness_ns, tick.start_ns)
            self._rate.count(tick.start_ns)
            now_ns = self._now_ns()
            with self._lock:
                self._feel()
                frame = self._device.read(now_ns)
                output = self._core.tick(frame, now_ns)
            self._send(output)
            self._requests.press(output.pressed, output.authority)
            after_ns = time.monotonic_ns()
            self._tick_time.record(after_ns - tick.start_ns, after_ns)
            if output.arm is not None and self._core.phase is Phase.DRIVING:
                age_ns = self._now_ns() - output.arm.observation_stamp_ns
                self._reaction.record(age_ns, after_ns)
            self._ticks.done()

    def _feel(self) -> None:
        message, self._robot_state = self._robot_state, None
        if message is None:
            return
        try:
            state = conversions.robot_state_from_msg(message, self._spec)
        except conversions.MessageError as error:
            self._core.reason, self._core.detail = Reason.MISMATCH, str(error)
            return
        self._core.on_state(state)
        for part in parts(self._device):
            if isinstance(part, ScriptedDevice):
                part.feel(state)

    def _send(self, output: TeleopOutput) -> None:
        if output.arm is not None:
            self._publish_arm(conversions.arm_target_to_msg(output.arm))
        if output.loco is not None:
            self._publish_loco(conversions.loco_command_to_msg(output.loco))

    # Helpers.

    def _crowd(self) -> str:
        """Who else publishes what only this node may publish; "" when nobody does."""
        others = self.count_publishers("teleop/loco_command") - 1
        return f"{others} other publisher(s) on teleop/loco_command; stop them first" if others > 0 else ""

    def _where(self) -> Whereabouts:
        left, right = self._core.retargeter.wrists(TORSO)
        return Whereabouts(left, right, self._core.retargeter.height_m)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _endpoint(self, endpoint):
        self._endpoints.append(endpoint)
        return endpoint


def _object(pose) -> ObjectPose:
    p, q = pose.position, pose.orientation
    return ObjectPose(np.array([p.x, p.y, p.z]), np.array([q.w, q.x, q.y, q.z]))


def _finite(value: float) -> float:
    """Percentiles without any sample are not a number, which a message must not carry."""
    return value if value == value else 0.0


main = main_of(TeleopNode)

if __name__ == "__main__":
    main()
