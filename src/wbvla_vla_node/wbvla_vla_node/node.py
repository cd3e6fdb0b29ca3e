"""ROS side of the VLA: parameters, topics, lifecycle, and the 10 Hz control thread."""

from __future__ import annotations

import struct
import threading
import time

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from wbvla_core.contract import Contract, ContractError
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S, DeadlineTimer, RateMeter, RollingLatency
from wbvla_core.types import Source, State
from wbvla_core.vla_input import InputError, check_sentence, state_names
from wbvla_ros.lifecycle import ManagedNode, Report
from wbvla_ros.process import main_of
from wbvla_ros.qos import CAMERA, COMMAND, LATCHED, STATE

from wbvla_msgs.msg import ArmTarget, Authority, LatentAction, LocoCommand, RobotState
from wbvla_ros import conversions
from wbvla_vla_node.action import InstructionAction
from wbvla_vla_node.backend import ThreadBackend
from wbvla_vla_node.bundle_policy import BundlePolicy
from wbvla_vla_node.core import Commands, VlaConfig, VlaCore
from wbvla_vla_node.policy import Policy
from wbvla_vla_node.script import load_scripts
from wbvla_vla_node.scripted_policy import ScriptedPolicy

# name: (default, description)
PARAMETERS = {
    "robot": ("x2_ultra", "Robot spec, by name or path."),
    "contract": ("x2", "Contract of topics and features, by name or path."),
    "backend": (
        "bundle",
        "bundle (ONNX networks), torch (the bundle's weights), or scripted (timed poses, looks at nothing).",
    ),
    "bundle": ("vla/hold", "Backends bundle and torch: kind/name of a shipped bundle, or a path."),
    "device": ("cpu", "Backends bundle and torch: cpu or cuda."),
    "script": ("demo", "Backend scripted: packaged script file, or a path."),
    "instruction": ("stand still", "Sentence to follow until another one comes; empty: wait."),
    "rate_hz": (10.0, "Observations per second, 1..50."),
    "camera_max_age_s": (0.3, "An older camera frame is no observation."),
    "state_max_age_s": (0.1, "An older robot state is no observation."),
    "result_max_age_s": (0.5, "An answer to an older frame is not used any more."),
    "inference_timeout_s": (1.0, "Silence of the backend that counts as a failure."),
}
# The share of a period after which a tick stops waiting for its answer, so that the next one begins in time.
_WAIT_SHARE = 0.9
_STAMP = struct.Struct("<iI")


class VlaNode(ManagedNode):
    """See README.md."""

    def __init__(self, **kwargs) -> None:
        super().__init__("vla_node", **kwargs)
        for name, (default, text) in PARAMETERS.items():
            self.declare_parameter(name, default, ParameterDescriptor(description=text))
        self._lock = threading.Lock()
        self._core: VlaCore | None = None
        self._action: InstructionAction | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._endpoints: list = []

    def configure(self) -> None:
        value = {name: self.get_parameter(name).value for name in PARAMETERS}
        if not 1.0 <= value["rate_hz"] <= 50.0:
            raise ValueError(f"parameter rate_hz is {value['rate_hz']}, expected 1..50")
        self._spec = RobotSpec.load(value["robot"])
        contract = Contract.load(value["contract"])
        if contract.features["observation.state"].names != state_names(
            self._spec.joint_names, self._spec.hand_names
        ):
            raise ContractError(
                f"contract {contract.name}: observation.state does not name the state of {self._spec.name}"
            )
        policy = self._policy(value, contract)
        config = VlaConfig(
            camera_max_age_s=value["camera_max_age_s"],
            state_max_age_s=value["state_max_age_s"],
            result_max_age_s=value["result_max_age_s"],
            inference_timeout_s=value["inference_timeout_s"],
            nominal_height_m=self._spec.nominal_height_m,
        )
        self._period_ns = round(NS_PER_S / value["rate_hz"])
        check = policy.check if isinstance(policy, BundlePolicy) else check_sentence
        self._core = VlaCore(ThreadBackend(policy), config, self._decode_state, check)
        self._publish_arm = self._endpoint(
            self.create_publisher(ArmTarget, "vla/arm_target", COMMAND)
        ).publish
        self._publish_loco = self._endpoint(
            self.create_publisher(LocoCommand, "vla/loco_command", COMMAND)
        ).publish
        self._publish_latent = self._endpoint(
            self.create_publisher(LatentAction, "vla/latent_action", STATE)
        ).publish
        self._endpoint(self.create_subscription(RobotState, "robot_state", self._on_state, STATE, raw=True))
        self._endpoint(
            self.create_subscription(
                CompressedImage, "head_camera/image_raw/compressed", self._on_image, CAMERA
            )
        )
        self._endpoint(self.create_subscription(Authority, "authority", self._on_authority, LATCHED))
        self._endpoint(self.create_subscription(String, "instruction", self._on_instruction, LATCHED))
        self._action = InstructionAction(
            self, lambda: self._core if self._thread else None, self._now_ns, self._lock
        )
        self.get_logger().info(f"backend: {policy.name}")

    def activate(self) -> None:
        others = self.count_publishers("vla/loco_command") - 1
        if others > 0:
            raise RuntimeError(f"{others} other publisher(s) on vla/loco_command; stop them first")
        with self._lock:
            sentence = self.get_parameter("instruction").value
            if self._core.progress is None and sentence:
                self._core.set_instruction(sentence, self._now_ns())
        self._ticks = DeadlineTimer(self._period_ns)
        self._rate = RateMeter()
        self._lateness, self._tick_time = RollingLatency(), RollingLatency()
        self._stages: dict[str, RollingLatency] = {}
        self._stopping.clear()
        self._thread = threading.Thread(target=self._loop, name="vla-control")
        self._thread.start()

    def deactivate(self) -> None:
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join()
        self._action.update(stopping=True)
        self._thread = None
        with self._lock:
            stand = self._core.safe_command(self._now_ns())
        if stand is not None:
            self._publish_loco(conversions.loco_command_to_msg(stand))

    def cleanup(self) -> None:
        if self._action is not None:
            self._action.close()
            self._action = None
        for endpoint in self._endpoints:
            if hasattr(endpoint, "publish"):
                self.destroy_publisher(endpoint)
            else:
                self.destroy_subscription(endpoint)
        self._endpoints.clear()
        if self._core is not None:
            self._core.backend.close()
            self._core = None

    def report(self) -> Report:
        now_ns = time.monotonic_ns()
        with self._lock:
            core = self._core
            counters, reason = core.counters, core.reason
            sentence = core.progress.instruction if core.progress else ""
            detail = core.detail or (sentence if core.has_authority else f"no authority; {sentence}")
            return Report(
                state=State.ACTIVE,
                reason=reason,
                detail=f"{core.backend.name}: {detail}",
                rate_hz=_finite(self._rate.rate_hz(now_ns)),
                tick_p50_ms=_finite(self._tick_time.percentile_ms(50, now_ns)),
                tick_p99_ms=_finite(self._tick_time.percentile_ms(99, now_ns)),
                lateness_p50_ms=_finite(self._lateness.percentile_ms(50, now_ns)),
                lateness_p99_ms=_finite(self._lateness.percentile_ms(99, now_ns)),
                lateness_max_ms=self._lateness.max_ns / 1e6,
                ticks=self._ticks.ticks,
                missed=self._ticks.missed,
                published=counters.published,
                dropped=counters.dropped,
                stages={
                    name: (_finite(stage.percentile_ms(50, now_ns)), _finite(stage.percentile_ms(99, now_ns)))
                    for name, stage in self._stages.items()
                },
                values={
                    "backend": core.backend.name,
                    "instruction": sentence,
                    "chunks": str(counters.chunks),
                },
            )

    # Inputs, in the executor's thread.

    def _on_state(self, data: bytes) -> None:
        # The header comes first, so the stamp lies right behind the 4 bytes of encapsulation.
        if len(data) < 4 + _STAMP.size or not data[1] & 1:
            self._core.counters.bad_inputs += 1
            return
        sec, nanosec = _STAMP.unpack_from(data, 4)
        self._core.on_state(sec * NS_PER_S + nanosec, data)

    def _on_image(self, message: CompressedImage) -> None:
        self._core.on_image(conversions.to_ns(message.header.stamp), jpeg=bytes(message.data))

    def _on_authority(self, message: Authority) -> None:
        try:
            source = Source(message.source)
        except ValueError:
            self.get_logger().warning(f"authority names source {message.source}, which is unknown; ignored")
            return
        with self._lock:
            self._core.on_authority(source, message.session)

    def _on_instruction(self, message: String) -> None:
        try:
            with self._lock:
                self._core.set_instruction(message.data, self._now_ns())
        except InputError as error:
            self.get_logger().warning(f"{error}; the sentence before stays in force")

    # The control thread.

    def _loop(self) -> None:
        self._ticks.start()
        while not self._stopping.is_set():
            tick = self._ticks.wait()
            self._lateness.record(tick.lateness_ns, tick.start_ns)
            self._rate.count(tick.start_ns)
            give_up_ns = tick.deadline_ns + int(_WAIT_SHARE * self._period_ns)
            with self._lock:
                self._core.begin(self._now_ns())
            while not self._stopping.is_set():
                with self._lock:
                    now_ns = self._now_ns()
                    commands, waiting = self._core.collect(now_ns), self._core.waiting
                for command in commands:
                    self._send(command, now_ns, tick.start_ns)
                left_ns = give_up_ns - time.monotonic_ns()
                if not waiting or left_ns <= 0:
                    break
                self._core.backend.wait(left_ns / NS_PER_S)
            self._ticks.done()

    def _send(self, command: Commands, now_ns: int, start_ns: int) -> None:
        before_ns = time.monotonic_ns()
        if command.arm is not None:
            self._publish_arm(conversions.arm_target_to_msg(command.arm))
            self._publish_loco(conversions.loco_command_to_msg(command.loco))
        if command.latent is not None:
            self._publish_latent(conversions.latent_action_to_msg(command.latent, now_ns))
        after_ns = time.monotonic_ns()
        self._tick_time.record(after_ns - start_ns, after_ns)
        result = command.result
        age_ms = (now_ns - result.capture_stamp_ns) / 1e6
        stages = {
            "capture": age_ms - result.elapsed_ms,
            **result.chunk.stages_ms,
            "publish": (after_ns - before_ns) / 1e6,
            "total": age_ms + (after_ns - before_ns) / 1e6,
        }
        for name, value_ms in stages.items():
            self._stages.setdefault(name, RollingLatency()).record(int(value_ms * 1e6), after_ns)

    # Helpers.

    def _policy(self, value: dict, contract: Contract) -> Policy:
        if value["backend"] == "bundle":
            path, device = bundle_path(value["bundle"]), value["device"]
            return BundlePolicy.load(path, self._spec, contract.hash, device)
        if value["backend"] == "torch":
            from wbvla_vla_node.torch_policy import load_torch_policy

            return load_torch_policy(bundle_path(value["bundle"]), self._spec, contract.hash, value["device"])
        if value["backend"] == "scripted":
            return ScriptedPolicy(load_scripts(value["script"], self._spec), value["script"])
        raise ValueError(f"parameter backend is '{value['backend']}', expected bundle, torch or scripted")

    def _decode_state(self, data: bytes):
        try:
            message = deserialize_message(data, RobotState)
        except Exception as error:  # each middleware raises its own kind for bytes that are no such message
            raise ValueError(f"robot_state of {len(data)} bytes cannot be read: {error}") from None
        return conversions.robot_state_from_msg(message, self._spec)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _endpoint(self, endpoint):
        self._endpoints.append(endpoint)
        return endpoint


def _finite(value: float) -> float:
    """Percentiles without any sample are not a number, which a message must not carry."""
    return value if value == value else 0.0


main = main_of(VlaNode)
