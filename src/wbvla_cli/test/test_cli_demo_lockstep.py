"""The demo's script in lock-step: it succeeds, and twice with one seed it gives the same bytes."""

import numpy as np
import pytest
from wbvla_cli.demo_script import DEMO, SQUAT_M, STANDING_M
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Reason, State
from wbvla_sim.assemble import assemble
from wbvla_sim.lockstep_stage import LockStepStage
from wbvla_sim.script import play


def run(seed):
    world = assemble(RobotSpec.load("x2_ultra"), task="table", seed=seed)
    begun = {}
    stage = LockStepStage(world, lambda text: begun.setdefault(text.split(" ")[0], world.now_ns / 1e9))
    return world, play(DEMO, stage), begun


def test_demo_walks_squats_takes_pushes_and_faults_and_repeats_itself_to_the_byte():
    world, reactions, begun = run(1)
    log = world.log
    assert not log.column("fell").any()
    assert [(r.reason, r.end_state) for r in reactions] == [
        (Reason.VLA_LOST, State.STANDING),
        (Reason.ESTOP, State.DAMPING),
    ]
    times, poses = log.column("time_s"), log.column("qpos")

    def between(start, end):
        return (times > begun[start]) & (times < begun[end])

    turned = np.unwrap(heading(poses[between("steps", "walks")]))
    assert turned[-1] - turned[0] == pytest.approx(0.5 * np.pi, abs=0.3)
    walked = poses[between("walks", "sidesteps"), :2]
    assert np.linalg.norm(walked[-1] - walked[0]) == pytest.approx(3.0, abs=0.4)
    squat = poses[between("squats", "pushed:"), 2]
    assert SQUAT_M - 0.1 < squat.min() < SQUAT_M + 0.02
    assert squat[-1] == pytest.approx(STANDING_M, abs=0.04)
    _, x, y, _ = poses[between("pushed:", "the"), 3:7].T
    tilt = np.arccos(np.clip(1.0 - 2.0 * (x**2 + y**2), -1.0, 1.0))
    assert 2.0 < np.degrees(tilt.max()) < 30.0
    assert State(int(log.column("driver_state")[-1])) is State.STANDING
    assert not log.column("hoisted")[-1]
    again, _, _ = run(1)
    assert again.log.to_bytes() == log.to_bytes()


def heading(poses):
    w, x, y, z = poses[:, 3:7].T
    return np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y**2 + z**2))
