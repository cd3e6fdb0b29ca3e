"""The same script on the running graph and in lock-step: the robot ends each step in the same posture.

Tolerances: 10 mm of pelvis height, 3 degrees of tilt, 60 mm of drift on the floor. They cover what differs by design:
the moments at which processes wake, and the noise that goes with them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rich.console import Console
from wbvla_cli.demo_script import SQUAT_M, STAND_UP, STANDING_M
from wbvla_cli.director import Director
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Source, State
from wbvla_ros.launched_graph import Graph
from wbvla_sim.assemble import assemble
from wbvla_sim.lockstep_stage import LockStepStage
from wbvla_sim.script import Authority, Loco, Push, Step, Wait, play

HEIGHT_M, TILT_DEG, DRIFT_M = 0.010, 3.0, 0.060
NAMESPACE = f"agree{os.getpid()}"

# Name of a posture, and the steps that lead to it from the one before.
SEGMENTS: tuple[tuple[str, tuple[Step, ...]], ...] = (
    ("stands", (Wait(1.0), *STAND_UP, Authority(Source.TELEOP), Loco(STANDING_M), Wait(2.0))),
    ("squats", (Loco(SQUAT_M), Wait(4.0))),
    ("rises", (Loco(STANDING_M), Wait(4.0))),
    ("pushed", (Push((0.0, 100.0, 0.0)), Wait(4.0))),
)


def tilt_deg(quaternion_wxyz: np.ndarray) -> float:
    upright = 1.0 - 2.0 * (quaternion_wxyz[1] ** 2 + quaternion_wxyz[2] ** 2)
    return float(np.degrees(np.arccos(np.clip(upright, -1.0, 1.0))))


def in_lockstep() -> dict[str, tuple[np.ndarray, float]]:
    world = assemble(RobotSpec.load("x2_ultra"), task="empty", seed=1)
    stage = LockStepStage(world, lambda text: None)
    postures = {}
    for name, steps in SEGMENTS:
        play(steps, stage)
        truth = world.plant.truth
        postures[name] = truth.pelvis_position_m.copy(), tilt_deg(truth.pelvis_quaternion_wxyz)
    return postures


def on_the_graph(folder: Path) -> dict[str, tuple[np.ndarray, float]]:
    arguments = {"namespace": NAMESPACE, "seed": "1", "record": "false"}
    postures = {}
    with Graph("x2", arguments, folder / "launch.log") as graph:
        rclpy.init()
        director = Director(NAMESPACE, "x2_ultra", graph, Console(quiet=True))
        try:
            director.wait_for_graph(("driver", "lmo_node", "vla_node"))
            for name, steps in SEGMENTS:
                play(steps, director)
                assert director.driver_state() is State.ACTIVE, director.driver_text()
                p, q = director.sim.pelvis.position, director.sim.pelvis.orientation
                postures[name] = np.array([p.x, p.y, p.z]), tilt_deg(np.array([q.w, q.x, q.y, q.z]))
            assert not director.fell
        finally:
            director.close()
            rclpy.try_shutdown()
    return postures


def test_each_posture_of_the_graph_is_that_of_lockstep(tmp_path):
    virtual, real = in_lockstep(), on_the_graph(tmp_path)
    for name, (position_m, tilt) in virtual.items():
        seen_m, seen_tilt = real[name]
        print(f"{name}: lock-step {position_m.round(3)} {tilt:.1f} deg, graph {seen_m.round(3)} {seen_tilt:.1f} deg")
        assert seen_m[2] == pytest.approx(position_m[2], abs=HEIGHT_M), name
        assert seen_tilt == pytest.approx(tilt, abs=TILT_DEG), name
        assert np.linalg.norm(seen_m[:2] - position_m[:2]) < DRIFT_M, name
