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


def test_demo_stands_squats_takes_pushes_and_faults_and_repeats_itself_to_the_byte():
    world, reactions, begun = run(1)
    log = world.log
    assert not log.column("fell").any()
    assert [(r.reason, r.end_state) for r in reactions] == [
        (Reason.VLA_LOST, State.STANDING),
        (Reason.ESTOP, State.DAMPING),
    ]
    times, height = log.column("time_s"), log.column("qpos")[:, 2]
    squat = height[(times > begun["squats"]) & (times < begun["moves"])]
    assert squat.min() == pytest.approx(SQUAT_M, abs=0.015)
    assert squat[-1] == pytest.approx(STANDING_M, abs=0.01)
    quaternions = log.column("qpos")[:, 3:7]
    tilt = np.arccos(np.clip(1.0 - 2.0 * (quaternions[:, 1] ** 2 + quaternions[:, 2] ** 2), -1.0, 1.0))
    pushed = (times > begun["pushed:"]) & (times < begun["the"])
    assert 2.0 < np.degrees(tilt[pushed].max()) < 20.0
    assert State(int(log.column("driver_state")[-1])) is State.STANDING
    assert not log.column("hoisted")[-1]
    again, _, _ = run(1)
    assert again.log.to_bytes() == log.to_bytes()
