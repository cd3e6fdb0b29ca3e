"""What the demo does, step by step, and the faults it injects."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

import psutil
from rich.console import Console
from wbvla_core.types import Reason, Source, State

from wbvla_cli.director import Change, Director
from wbvla_cli.graph import Graph
from wbvla_cli.processes import ProcessSampler, label

HUNG_M, STANDING_M, SQUAT_M = 1.75, 0.64, 0.52
LOOSE_ROPE_M = 1.35
NODES = ("driver", "lmo_node", "vla_node", "recorder")

LOOK_LEFT = {"head_yaw_joint": 0.3, "head_pitch_joint": 0.0}
LOOK_RIGHT_DOWN = {"head_yaw_joint": -0.3, "head_pitch_joint": 0.2}
REACH = {
    "head_yaw_joint": 0.0,
    "head_pitch_joint": 0.1,
    "left_shoulder_pitch_joint": -0.9,
    "left_elbow_joint": -0.9,
    "right_shoulder_pitch_joint": -0.9,
    "right_elbow_joint": -0.9,
    "left_claw_joint": 1.0,
    "right_claw_joint": 1.0,
}
WIDE = {**REACH, "left_shoulder_roll_joint": 0.7, "right_shoulder_roll_joint": -0.7}
REST = {
    "head_yaw_joint": 0.0,
    "head_pitch_joint": 0.0,
    "left_shoulder_pitch_joint": 0.2,
    "left_shoulder_roll_joint": 0.2,
    "left_elbow_joint": -0.3,
    "right_shoulder_pitch_joint": 0.2,
    "right_shoulder_roll_joint": -0.2,
    "right_elbow_joint": -0.3,
    "left_claw_joint": 0.0,
    "right_claw_joint": 0.0,
}


@dataclass(frozen=True)
class Fault:
    """An injected fault, when the driver noticed, and how it ended."""

    reason: Reason
    injected_ns: int
    noticed: Change
    end_state: State

    def as_dict(self, begin_ns: int) -> dict:
        return {
            "reason": self.reason.name,
            "time_s": round((self.injected_ns - begin_ns) / 1e9, 2),
            "detected_ms": round((self.noticed.time_ns - self.injected_ns) / 1e6, 1),
            "end_state": self.end_state.name,
            "detail": self.noticed.detail,
        }


def process_named(graph: Graph, name: str) -> psutil.Process:
    """The node process of the graph that runs ``name``."""
    return next(p for p in psutil.Process(graph.process.pid).children(recursive=True) if label(p) == name)


def stand_up(director: Director) -> None:
    """From hanging in damping to standing on the floor with a loose rope."""
    director.release()
    director.wait_for_state(State.STANDING, timeout_s=10.0)
    director.gantry(LOOSE_ROPE_M, speed_m_s=0.15)
    director.wait_for(
        "the rope to hang loose", lambda: director.sim is not None and not director.sim.hoisted, 15.0
    )
    director.wait(2.0)


def run_script(director: Director, graph: Graph, usage: ProcessSampler, console: Console) -> list[Fault]:
    """Drive the graph through the demo; returns the injected faults.

    Raises DirectorError or GraphError at the first step that does not happen."""
    faults: list[Fault] = []
    begin_s = time.monotonic()

    def say(text: str) -> None:
        graph.check()
        console.print(f"[dim]{time.monotonic() - begin_s:5.1f} s[/]  {text}")

    for node in NODES:
        director.wait_for_node(node, timeout_s=60.0)
    director.wait_for("the simulator", lambda: director.sim is not None, 20.0)
    say("the graph is up; the robot hangs in its gantry")
    usage.start()

    say("released: blends from where the joints are to the stand posture, then lowered onto its feet")
    stand_up(director)

    say("teleoperation takes authority: looks around")
    director.set_authority(Source.TELEOP)
    director.loco(STANDING_M)
    for look in (LOOK_LEFT, LOOK_RIGHT_DOWN, REST):
        director.arms(look)
        director.wait(1.2)

    say(f"squats to {SQUAT_M} m and rises")
    director.loco(SQUAT_M)
    director.wait(3.0)
    director.loco(STANDING_M)
    director.wait(3.0)

    say("moves its arms")
    for pose in (REACH, WIDE, REST):
        director.arms(pose)
        director.wait(2.0)

    say("pushed: 8 N s forward, 12 N s sideways")
    director.push((80.0, 0.0, 0.0), 0.1)
    director.wait(4.0)
    director.push((0.0, 120.0, 0.0), 0.1)
    director.wait(4.0)

    say("the VLA takes authority")
    director.set_authority(Source.VLA)
    director.wait_for_state(State.ACTIVE)
    director.wait(3.0)
    say("the VLA process is killed; the robot must stand, say why, and follow again when it is back")
    killed_ns = time.time_ns()
    os.kill(process_named(graph, "vla_node").pid, signal.SIGKILL)
    noticed = director.first_change_since(killed_ns, (Reason.VLA_LOST,), timeout_s=3.0)
    director.wait_for_state(State.STANDING, timeout_s=3.0)
    faults.append(Fault(Reason.VLA_LOST, killed_ns, noticed, State.STANDING))
    director.wait_for_state(State.ACTIVE, timeout_s=30.0)
    say("the VLA is back")
    director.wait(2.0)

    director.set_authority(Source.NONE)
    say("hoisted, e-stopped, released, and down on its feet again")
    director.gantry(HUNG_M, speed_m_s=0.15)
    director.wait_for(
        "the rope to carry the robot", lambda: director.sim is not None and director.sim.hoisted, 15.0
    )
    director.wait(2.0)
    pulled_ns = time.time_ns()
    director.estop("demo")
    noticed = director.first_change_since(pulled_ns, (Reason.ESTOP,), timeout_s=2.0)
    director.wait_for_state(State.DAMPING)
    faults.append(Fault(Reason.ESTOP, pulled_ns, noticed, State.DAMPING))
    director.wait(2.0)
    stand_up(director)
    director.wait(3.0)
    say("stands")
    usage.stop()
    return faults
