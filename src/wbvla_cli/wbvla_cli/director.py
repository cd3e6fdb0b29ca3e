"""The demo's stand-in for operator and supervisor on the running graph.

It hoists and lowers, grants authority, sends what a teleoperator would send, pushes, injects faults, and times how the
driver reacts. It uses only what any ROS 2 node may use.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rich.console import Console
from std_msgs.msg import String
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import ArmTarget, LocoCommand, Reason, Source, State
from wbvla_ros.launched_graph import Graph
from wbvla_sim.script import Change, ScriptError

from wbvla_msgs import msg, srv
from wbvla_ros import conversions, qos

COMMAND_PERIOD_S = 0.05
SERVICE_TIMEOUT_S = 5.0
CHUNK_S = (0.1, 0.3)


class Director:
    """A ``wbvla_sim.script.Stage`` on the running graph; a thread of its own spins the executor."""

    def __init__(self, namespace: str, robot: str, graph: Graph, console: Console):
        self._node = rclpy.create_node("director", namespace=namespace)
        self._launched = graph
        self._console = console
        self._begin_s = time.monotonic()
        self.spec = RobotSpec.load(robot)
        self.changes: list[Change] = []
        self.statuses: dict[str, msg.Status] = {}
        self.sim: msg.SimState | None = None
        self.fell = False
        self.authority = msg.Authority()
        self._loco: LocoCommand | None = None
        self._arms: tuple[tuple[str, ...], np.ndarray] | None = None
        self._sequence = 0
        self._services = {
            "set_authority": self._node.create_client(srv.SetAuthority, "set_authority"),
            "estop": self._node.create_client(srv.EStop, "estop"),
            "release": self._node.create_client(srv.Release, "release"),
            "sim/gantry": self._node.create_client(srv.SimGantry, "sim/gantry"),
            "sim/push": self._node.create_client(srv.SimPush, "sim/push"),
        }
        self._arm_publisher = self._node.create_publisher(msg.ArmTarget, "teleop/arm_target", qos.COMMAND)
        self._instruction_publisher = self._node.create_publisher(String, "instruction", qos.LATCHED)
        self._loco_publisher = self._node.create_publisher(
            msg.LocoCommand, "teleop/loco_command", qos.COMMAND
        )
        self._node.create_subscription(msg.Status, "status", self._on_status, qos.STATUS)
        self._node.create_subscription(msg.SimState, "sim/state", self._on_sim, qos.TOOLS)
        self._node.create_subscription(msg.Authority, "authority", self._on_authority, qos.LATCHED)
        self._node.create_timer(COMMAND_PERIOD_S, self._command)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._spinning = threading.Thread(target=self._spin, daemon=True)
        self._spinning.start()

    def close(self) -> None:
        self._executor.shutdown()
        self._spinning.join(timeout=2.0)
        self._node.destroy_node()

    # What a script does.

    def say(self, text: str) -> None:
        self._launched.check()
        self._console.print(f"[dim]{time.monotonic() - self._begin_s:5.1f} s[/]  {text}")

    def now_ns(self) -> int:
        return self._node.get_clock().now().nanoseconds

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait_for(self, what: str, condition: Callable[[], bool], timeout_s: float) -> None:
        """Raises :class:`ScriptError` when ``condition`` does not come true in time."""
        deadline_s = time.monotonic() + timeout_s
        while not condition():
            self._launched.check()
            if time.monotonic() > deadline_s:
                raise ScriptError(f"waited {timeout_s:.0f} s for {what}; the driver is {self.driver_text()}")
            time.sleep(0.01)

    def wait_for_state(self, *states: State, timeout_s: float = 10.0) -> None:
        names = " or ".join(state.name for state in states)
        self.wait_for(f"the driver to be {names}", lambda: self.driver_state() in states, timeout_s)

    def wait_for_node(self, name: str, timeout_s: float = 30.0) -> None:
        idle = (State.UNCONFIGURED, State.INACTIVE)
        self.wait_for(
            f"{name} to be active",
            lambda: name in self.statuses and State(self.statuses[name].state) not in idle,
            timeout_s,
        )

    def wait_for_graph(self, nodes: tuple[str, ...]) -> None:
        """Until every node of ``nodes`` is active and the simulator speaks."""
        for node in nodes:
            self.wait_for_node(node, timeout_s=60.0)
        self.wait_for("the simulator", lambda: self.sim is not None, 20.0)

    def call(self, name: str, request):
        """Raises :class:`ScriptError` when the service is missing, silent or refuses."""
        client = self._services[name]
        if not client.wait_for_service(timeout_sec=SERVICE_TIMEOUT_S):
            raise ScriptError(f"service {name} does not exist")
        future = client.call_async(request)
        deadline_s = time.monotonic() + SERVICE_TIMEOUT_S
        while not future.done():
            if time.monotonic() > deadline_s:
                raise ScriptError(f"service {name} did not answer within {SERVICE_TIMEOUT_S:.0f} s")
            time.sleep(0.002)
        response = future.result()
        if not response.success:
            raise ScriptError(f"service {name} refused: {response.message}")
        return response

    def set_authority(self, source: Source) -> None:
        self._loco = self._arms = None
        self.call("set_authority", srv.SetAuthority.Request(source=int(source)))
        self.wait_for(f"authority {source.name}", lambda: self.authority.source == int(source), 2.0)

    def hoisted(self) -> bool:
        return self.sim is not None and self.sim.hoisted

    def instruct(self, sentence: str) -> None:
        self._instruction_publisher.publish(String(data=sentence))

    def kill(self, node: str, back_after_s: float | None) -> None:
        """SIGKILL; the launch file brings back what may come back, so ``back_after_s`` is its business."""
        self._launched.process_named(node).kill()

    def release(self) -> None:
        self.call("release", srv.Release.Request(hoisted=True))

    def estop(self, reason: str) -> None:
        self.call("estop", srv.EStop.Request(reason=reason))

    def gantry(self, height_m: float, speed_m_s: float = 0.1, hooked: bool = True) -> None:
        self.call("sim/gantry", srv.SimGantry.Request(hooked=hooked, height=height_m, speed=speed_m_s))

    def push(self, force_n: tuple[float, float, float], duration_s: float, body: str = "torso_link") -> None:
        request = srv.SimPush.Request(body=body, duration=duration_s)
        request.force.x, request.force.y, request.force.z = map(float, force_n)
        self.call("sim/push", request)

    def loco(self, height_m: float, flags: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Keep sending this locomotion command as teleoperator until the next call."""
        self._loco = LocoCommand(height_m=height_m, flags=flags, source=Source.TELEOP)

    def arms(self, targets: dict[str, float]) -> None:
        """Keep sending these joint positions (rad, grippers 0..1) as teleoperator until the next call."""
        self._arms = (tuple(targets), np.array(list(targets.values()), dtype=np.float64))

    # What it has seen.

    def driver_state(self) -> State | None:
        return self.changes[-1].state if self.changes else None

    def driver_text(self) -> str:
        if not self.changes:
            return "silent"
        last = self.changes[-1]
        return f"{last.state.name} because of {last.reason.name} ({last.detail})"

    def first_change_since(self, time_ns: int, reasons: tuple[Reason, ...], timeout_s: float) -> Change:
        """The driver's first report of one of ``reasons`` stamped at or after ``time_ns``."""

        def find() -> Change | None:
            return next((c for c in self.changes if c.time_ns >= time_ns and c.reason in reasons), None)

        self.wait_for(" or ".join(r.name for r in reasons), lambda: find() is not None, timeout_s)
        change = find()
        assert change is not None
        return change

    # Callbacks.

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _on_status(self, status: msg.Status) -> None:
        self.statuses[status.node] = status
        if status.node != "driver":
            return
        state, reason = State(status.state), Reason(status.reason)
        last = self.changes[-1] if self.changes else None
        if last is None or (last.state, last.reason) != (state, reason):
            stamp_ns = conversions.to_ns(status.since) or conversions.to_ns(status.header.stamp)
            self.changes.append(Change(stamp_ns, state, reason, status.detail))

    def _on_sim(self, state: msg.SimState) -> None:
        self.sim = state
        self.fell = self.fell or state.fell

    def _on_authority(self, authority: msg.Authority) -> None:
        self.authority = authority

    def _command(self) -> None:
        if self.authority.source != int(Source.TELEOP):
            return
        now_ns = self.now_ns()
        stamps = {"session": self.authority.session, "stamp_ns": now_ns, "observation_stamp_ns": now_ns}
        self._sequence += 1
        if self._loco is not None:
            command = replace(self._loco, sequence=self._sequence, **stamps)
            self._loco_publisher.publish(conversions.loco_command_to_msg(command))
        if self._arms is not None:
            names, positions = self._arms
            chunk = ArmTarget(
                joint_names=names,
                positions=np.stack([positions] * len(CHUNK_S)),
                time_from_start_ns=np.array([int(t * 1e9) for t in CHUNK_S]),
                source=Source.TELEOP,
                sequence=self._sequence,
                **stamps,
            )
            self._arm_publisher.publish(conversions.arm_target_to_msg(chunk))
