"""The fault table in lock-step: a standing robot, one fault, the reaction in its time and its end state."""

from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import PlantState, Reason, Source, State
from wbvla_lmo_node.core import LmoConfig, LmoCore
from wbvla_sim.assemble import assemble
from wbvla_sim.gantry import bar_height_m
from wbvla_sim.lockstep import pass_on
from wbvla_sim.lockstep_stage import LockStepStage
from wbvla_sim.script import (
    Arms,
    Authority,
    AwaitState,
    EStop,
    Hoist,
    Instruct,
    Kill,
    Loco,
    Release,
    Wait,
    play,
)

SPEC = RobotSpec.load("x2_ultra")
LOOSE_M = bar_height_m(SPEC, 0.50)
"""Of the bar: the rope hangs loose, and catches a robot that goes limp."""


class Poisonable:
    """A locomotion controller whose answers can be spoilt."""

    def __init__(self, controller):
        self._controller = controller
        self.name = controller.name
        self.poisoned = False

    def reset(self, state, height_m):
        self._controller.reset(state, height_m)

    def step(self, state, command):
        answer = self._controller.step(state, command)
        return replace(answer, position_rad=answer.position_rad * np.nan) if self.poisoned else answer


class Run:
    """A lock-step run and its stage, standing on the floor with a loose rope."""

    def __init__(self, source=Source.NONE):
        self.world = assemble(SPEC)
        self.lmo = Poisonable(self.world.lmo.policy)
        self.world.lmo = LmoCore(self.lmo, LmoConfig(), pass_on)
        self.stage = LockStepStage(self.world)
        self.play(Wait(0.2), Instruct("stand"), Release(), Hoist(LOOSE_M, 0.4, carried=False), Wait(1.0))
        if source is not Source.NONE:
            self.play(
                Authority(source),
                Loco(0.64),
                Arms({"head_yaw_joint": 0.2}),
                AwaitState((State.ACTIVE,)),
                Wait(0.3),
            )

    def play(self, *steps):
        return play(steps, self.stage)

    @property
    def plant(self):
        return self.world.plant

    def reaction_ms(self, reason, within_s=1.0):
        """Time from now to the driver's first change for ``reason``."""
        begin_ns = self.world.now_ns
        return (self.stage.first_change_since(begin_ns, (reason,), within_s).time_ns - begin_ns) / 1e6

    def events(self, reason):
        return [event for event in self.world.log.events if event["reason"] == reason.name]


def test_vla_lost_stands_and_resumes():
    run = Run(Source.VLA)
    reaction = run.play(Kill("vla_node", Reason.VLA_LOST, State.STANDING, back_after_s=1.0))[0]
    assert reaction.detected_ms <= 205.0 + 100.0, "its last command may be a period old"
    run.play(AwaitState((State.ACTIVE,), 2.0), Wait(1.0))
    assert not run.plant.truth.fell


def test_teleop_lost_holds_the_arms_and_stands():
    run = Run(Source.TELEOP)
    reaction = run.play(Kill("teleop_node", Reason.TELEOP_LOST, State.STANDING))[0]
    assert reaction.detected_ms <= 205.0 + 50.0
    run.play(Wait(1.0))
    head = run.world.plant._joints[SPEC.index(("head_yaw_joint",))[0]]
    assert run.plant.data.qpos[head] == pytest.approx(0.2, abs=0.05)
    assert not run.plant.truth.fell


def test_camera_lost_counts_as_vla_lost():
    run = Run(Source.VLA)
    reaction = run.play(Kill("camera", Reason.CAMERA_LOST, State.STANDING, back_after_s=1.0))[0]
    assert reaction.detected_ms <= 305.0 + 67.0
    run.play(AwaitState((State.ACTIVE,), 3.0))


@pytest.mark.parametrize("poison", ["nan", "names", "stamp"])
def test_bad_arm_targets_are_dropped_message_by_message(poison):
    run = Run(Source.TELEOP)
    good = run.world.arms
    spoilt = {
        "nan": replace(good, positions=good.positions * np.nan),
        "names": replace(good, joint_names=("third_arm_joint",)),
        "stamp": replace(good, time_from_start_ns=good.time_from_start_ns[::-1].copy()),
    }[poison]
    run.world.arms = spoilt
    run.play(Wait(0.15))
    assert run.events(Reason.BAD_MESSAGE)
    assert run.plant.state is PlantState.ACTIVE and np.all(np.isfinite(run.plant.data.qpos))
    run.world.arms = good
    run.play(AwaitState((State.ACTIVE,), 1.0), Wait(0.3))
    assert not run.plant.truth.fell


def test_lmo_lost_is_bridged_for_100_ms_and_then_the_driver_balances():
    run = Run()
    begin_ns = run.world.now_ns
    run.stage.kill("lmo_node", None)
    assert run.reaction_ms(Reason.LMO_LOST) <= 60.0 + 25.0
    run.play(AwaitState((State.LAST_RESORT,), 0.2))
    assert (run.world.now_ns - begin_ns) / 1e6 <= 100.0 + 30.0
    run.play(Wait(3.0))
    assert run.world.driver.state is State.LAST_RESORT and not run.plant.truth.fell
    assert not run.plant.truth.hoisted


def test_lmo_not_finite_is_rejected_at_once_and_ends_as_lost():
    run = Run()
    run.lmo.poisoned = True
    begin_ns = run.world.now_ns
    run.play(AwaitState((State.LAST_RESORT,), 0.3))
    assert run.events(Reason.LMO_NOT_FINITE)[0]["time_ns"] - begin_ns <= 30e6
    assert run.world.now_ns - begin_ns <= 130e6
    run.play(Wait(1.0))
    assert not run.plant.truth.fell


@pytest.mark.parametrize(
    ("kind", "reason", "limit_ms"), [("state", Reason.STATE_LOST, 20), ("imu", Reason.IMU_LOST, 40)]
)
def test_state_and_imu_lost_damp(kind, reason, limit_ms):
    run = Run()
    if kind == "state":
        run.plant.lose_state()
    else:
        run.plant.lose_imu("pelvis")
    in_flight_ms, cycle_ms = 5.0, 5.0
    assert run.reaction_ms(reason) <= limit_ms + in_flight_ms + cycle_ms
    run.play(Wait(2.0))
    assert run.world.driver.state is State.DAMPING and run.plant.state is PlantState.DAMPING
    assert run.plant.truth.hoisted and not run.plant.truth.fell, "the rope catches it"


def test_tilt_and_estop_damp_within_a_cycle_and_leave_only_by_release():
    run = Run()
    run.play(Hoist(bar_height_m(SPEC, 0.8), 0.4), Wait(1.5))
    assert run.play(EStop("test"))[0].detected_ms <= 5.0
    run.play(Wait(0.5))
    assert run.world.driver.state is State.DAMPING
    run.play(Release(), Wait(0.2))
    angle = np.radians(70.0) / 2
    run.plant.data.qpos[3:7] = [np.cos(angle), np.sin(angle), 0, 0]
    assert run.reaction_ms(Reason.TILT) <= 5.0 + 5.0
    assert run.world.driver.state is State.DAMPING


def test_targets_beyond_limits_are_clamped_and_the_robot_goes_on():
    run = Run(Source.TELEOP)
    run.play(Arms({"head_yaw_joint": 3.0, "left_elbow_joint": -9.0}), Loco(2.0), Wait(1.0))
    assert run.events(Reason.LIMITED)
    assert run.world.driver.state is State.ACTIVE and not run.plant.truth.fell
    elbow = run.plant._joints[SPEC.index(("left_elbow_joint",))[0]]
    assert run.plant.data.qpos[elbow] >= SPEC.lower_rad[SPEC.index(("left_elbow_joint",))[0]] - 0.02


def test_driver_killed_leaves_the_plant_damping_within_20_ms():
    run = Run()
    run.stage.kill("driver", None)
    run.play(Wait(0.027))
    assert run.plant.state is PlantState.DAMPING and run.plant.actuation.watchdog_trips == 1


def test_commands_of_an_old_session_are_void():
    run = Run(Source.TELEOP)
    old = replace(run.world.loco, source=Source.TELEOP, session=0, sequence=10**6, stamp_ns=run.world.now_ns)
    assert not run.world.driver.on_loco_command(old, run.world.now_ns)
    run.play(Wait(0.05))
    assert run.events(Reason.NO_AUTHORITY)
    assert run.world.driver.state is State.ACTIVE
