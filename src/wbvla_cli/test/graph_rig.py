"""A launched robot for tests on the running graph: brought to its feet, its processes stopped, killed and begun anew."""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import rclpy
from rich.console import Console
from wbvla_cli.director import Director
from wbvla_core.mailbox import Mailbox
from wbvla_core.types import PlantReading, PlantState, Reason, Source, State
from wbvla_ros.launched_graph import Graph
from wbvla_sim.gantry import bar_height_m
from wbvla_sim.script import Change, ScriptError
from wbvla_sim.sim_mailbox import FaultRequest, SimMailbox

from wbvla_msgs import msg, srv
from wbvla_ros import conversions, qos

NODES = ("sim_node", "driver", "lmo_node", "vla_node")
STALL_PERIOD_S, STALL_MS = 0.005, 15.0
LIFT_M_S, LOWER_M_S = 0.6, 0.2
CALM_M_S, CALM_S = 0.03, 0.4
# A killed participant stays listed until its lease of 10 s ends; until then its successor is a second publisher.
BACK_S = 30.0


class StallWatch:
    """Notices when this machine does not run a plain thread for ``STALL_MS``: what the graph does then is no verdict."""

    def __init__(self):
        self.stalls: list[tuple[float, float]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        last_s = time.monotonic()
        while not self._stopping.wait(STALL_PERIOD_S):
            now_s = time.monotonic()
            late_ms = (now_s - last_s - STALL_PERIOD_S) * 1e3
            if late_ms > STALL_MS:
                self.stalls.append((now_s, late_ms))
            last_s = now_s

    def since(self, begin_s: float) -> list[float]:
        """Stalls [ms] that ended after ``begin_s`` (monotonic)."""
        return [late_ms for ended_s, late_ms in self.stalls if ended_s > begin_s]

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()


def once_more_after_a_stall(row):
    """A row of the table that fails while the machine stood still is run once more; otherwise its verdict counts."""

    @functools.wraps(row)
    def run(rig, **arguments):
        begin_s = time.monotonic()
        try:
            return row(rig, **arguments)
        except (AssertionError, ScriptError) as failure:
            stalls = rig.stalls.since(begin_s)
            if not stalls:
                raise
            print(f"{row.__name__}: once more; the machine stood still for {max(stalls):.0f} ms ({failure})")
        return row(rig, **arguments)

    return run


class Operator(Director):
    """The demo's director, who may also lie about the time of what it sends, and remembers how the robot tilted."""

    def __init__(self, *arguments):
        self.clock_error_ns = 0
        self.restless_s = time.monotonic()
        self.tilts: list[tuple[int, float]] = []
        super().__init__(*arguments)

    def now_ns(self) -> int:
        return super().now_ns() + self.clock_error_ns

    def calm(self) -> bool:
        """Whether the rope has been loose and the robot slow for a while."""
        return time.monotonic() - self.restless_s > CALM_S

    def _on_sim(self, state: msg.SimState) -> None:
        super()._on_sim(state)
        v, q = state.pelvis_twist.linear, state.pelvis.orientation
        if state.hoisted or max(abs(v.x), abs(v.y), abs(v.z)) > CALM_M_S:
            self.restless_s = time.monotonic()
        upright = np.clip(1.0 - 2.0 * (q.x**2 + q.y**2), -1.0, 1.0)
        self.tilts.append((conversions.to_ns(state.header.stamp), float(np.degrees(np.arccos(upright)))))


class Rig:
    """Graph, operator and the plant's own account; ``close`` ends all of it."""

    def __init__(self, folder: Path, namespace: str):
        self.namespace, self.folder = namespace, folder
        self.log = folder / "launch.log"
        self.graph = Graph("x2", {"namespace": namespace, "record": "false"}, self.log)
        self.stalls = StallWatch()
        rclpy.init()
        self.operator = Operator(namespace, "x2_ultra", self.graph, Console(quiet=True))
        self.spec = self.operator.spec
        self.stranger = rclpy.create_node("stranger", namespace=namespace)
        self._own: dict[str, subprocess.Popen] = {}
        self._outputs: list = []
        self.measured: list[tuple[str, float]] = []
        self.loose_m = bar_height_m(self.spec, 0.50)
        self.hung_m = bar_height_m(self.spec, 0.74)
        self.operator.wait_for_graph(NODES)
        self._mailbox = Mailbox.open(namespace, self.spec, timeout_s=5.0)
        self._sim = SimMailbox.open(namespace, self.spec, timeout_s=5.0)

    def close(self) -> None:
        self.stalls.close()
        self.operator.close()
        self.stranger.destroy_node()
        rclpy.try_shutdown()
        for process in self._own.values():
            process.send_signal(signal.SIGTERM)
        self.graph.stop()
        for process in self._own.values():
            process.wait(10.0)
        for output in self._outputs:
            output.close()
        self._mailbox.close()
        self._sim.close()

    # The robot.

    def stand(self, source: Source = Source.NONE) -> Operator:
        """On its feet, the rope loose but there to catch it; following ``source``. From whatever state."""
        operator = self.operator
        operator.clock_error_ns = 0
        if operator.driver_state() is State.LAST_RESORT:
            self._hand_back()
        if operator.driver_state() is State.DAMPING:
            operator.gantry(self.hung_m, LIFT_M_S)
            operator.wait_for("the rope to carry the robot", operator.hoisted, 5.0)
            operator.wait(0.5)
            operator.release()
            operator.wait_for_state(State.STANDING)
            operator.gantry(self.loose_m, LOWER_M_S)
            operator.wait_for("the robot to stand calmly", operator.calm, 10.0)
        operator.set_authority(source)
        if source is Source.TELEOP:
            operator.loco(0.64)
            operator.arms({"head_yaw_joint": 0.2})
        if source is not Source.NONE:
            operator.wait_for_state(State.ACTIVE)
            operator.wait(0.3)
        return operator

    def _hand_back(self) -> None:
        def released() -> bool:
            try:
                self.operator.release()
            except ScriptError:
                return False
            return True

        self.operator.wait_for("the locomotion node to be trusted again", released, BACK_S)
        self.operator.wait_for_state(State.STANDING)

    @property
    def reading(self) -> PlantReading:
        reading = self._mailbox.read_reading()
        assert reading is not None
        return reading

    def joint_rad(self, name: str) -> float:
        return float(self.reading.position_rad[self.spec.index((name,))[0]])

    def inject(self, kind: str, name: str = "", value: int = 1) -> None:
        reply = self._sim.ask(FaultRequest(kind, name, value))
        assert reply.success, reply.message

    def reset(self) -> None:
        """Back into the hoist, whatever happened to the robot."""
        client = self.stranger.create_client(srv.SimReset, "sim/reset")
        assert client.wait_for_service(timeout_sec=5.0)
        rclpy.spin_until_future_complete(
            self.stranger, client.call_async(srv.SimReset.Request()), timeout_sec=5.0
        )

    # Faults and reactions.

    def reaction(self, reason: Reason, since_ns: int, within_s: float = 2.0) -> tuple[Change, float]:
        """The driver's first change for ``reason`` and how long after ``since_ns`` it was made [ms]."""
        change = self.operator.first_change_since(since_ns, (reason,), within_s)
        return change, self.note(reason.name, (change.time_ns - since_ns) / 1e6)

    def note(self, what: str, after_ms: float) -> float:
        """Keep a measured time for the account at the end; returns it."""
        self.measured.append((what, after_ms))
        return after_ms

    def plant_damps_within_ms(self, since_ns: int, patience_s: float = 1.0) -> float:
        """Stamp of the first reading that reports damping, after ``since_ns`` [ms]; polls the plant's own account."""
        deadline = time.monotonic() + patience_s
        while (reading := self.reading).plant_state is not PlantState.DAMPING:
            assert time.monotonic() < deadline, (
                f"the plant is {reading.plant_state.name} after {patience_s} s"
            )
            time.sleep(0.0005)
        return self.note("plant damps", (reading.stamp_ns - since_ns) / 1e6)

    def dropped(self) -> int:
        """Messages that the driver refused so far."""
        return int(self.operator.statuses["driver"].dropped)

    def logged(self, pattern: str) -> list[str]:
        """Groups of ``pattern`` in the graph's output."""
        return re.findall(pattern, self.log.read_text(errors="replace"))

    # Processes.

    def process(self, executable: str) -> psutil.Process:
        own = self._own.get(executable)
        return self.graph.process_named(executable) if own is None else psutil.Process(own.pid)

    def kill(self, executable: str) -> tuple[int, list[str], dict[str, str]]:
        """SIGKILL; returns the time [ns] and what ``begin`` needs to have it back."""
        process = self.process(executable)
        command, environment = process.cmdline(), process.environ()
        killed_ns = time.time_ns()
        process.kill()
        return killed_ns, command, environment

    def begin(self, executable: str, command: list[str], environment: dict[str, str]) -> None:
        """Start a killed process again, as a person would: the launch file does not bring back driver and LMO."""
        output = (self.folder / f"{executable}.log").open("wb")
        self._outputs.append(output)
        self._own[executable] = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )

    def run_stranger(self, executable: str, parameters: dict[str, object]) -> tuple[int, str]:
        """Exit code and output of a second process of ``executable`` in a namespace of its own."""
        command = self.process(executable).cmdline()
        command = [
            *command[: command.index("--ros-args")],
            "--ros-args",
            "-r",
            f"__ns:=/{self.namespace}_stranger",
        ]
        for name, value in {"autostart": True, **parameters}.items():
            command += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=40.0,
            env=dict(os.environ),
        )
        return done.returncode, done.stdout

    def bad_set_points(self, publisher) -> None:
        """One set-point for legs and waist that is not a number."""
        joints = [self.spec.joint_names[i] for i in np.sort(self.spec.lmo_index)]
        message = msg.LegWaistCommand(name=joints, sequence=1)
        message.header.stamp = message.state_stamp = self.stranger.get_clock().now().to_msg()
        message.position = [float("nan")] * len(joints)
        for name in ("velocity", "effort", "effort_feedforward", "stiffness", "damping"):
            setattr(message, name, [0.0] * len(joints))
        publisher.publish(message)

    def second_publisher(self, kind, topic: str):
        profile = qos.STATE if kind is msg.LegWaistCommand else qos.COMMAND
        return self.stranger.create_publisher(kind, topic, profile)
