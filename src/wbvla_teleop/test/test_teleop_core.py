"""What the operator's hands mean, tick by tick: deadman, takeover, hold, loss, buttons."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wbvla_core.types import Reason, Source
from wbvla_teleop.core import Phase, TeleopConfig, TeleopCore
from wbvla_teleop.frame import AUTHORITY, EPISODE_START, ESTOP, TeleopFrame, WristPose
from wbvla_teleop.ik import DualArmIk
from wbvla_teleop.retarget import Retargeter

sys.path.insert(0, str(Path(__file__).parent))
from teleop_samples import MS, SPEC, START_NS, STEP_NS, robot_state

IK = DualArmIk(SPEC)


class Desk:
    """An operator before a core, with a clock."""

    def __init__(self, config: TeleopConfig | None = None) -> None:
        self.core = TeleopCore(Retargeter(SPEC, IK), config)
        self.now_ns = START_NS

    def tick(self, frame: TeleopFrame | None):
        self.now_ns += STEP_NS
        self.core.on_state(robot_state(self.now_ns - 4 * MS))
        if frame is not None:
            frame = replace(frame, stamp_ns=self.now_ns - 2 * MS)
        return self.core.tick(frame, self.now_ns)

    def drive(self, **wishes):
        """Deadman released once, then held with authority."""
        self.tick(released())
        self.core.on_authority(Source.TELEOP, 7)
        return self.tick(held(**wishes))


def held(**wishes) -> TeleopFrame:
    return TeleopFrame(0, True, **wishes)


def released(**wishes) -> TeleopFrame:
    return TeleopFrame(0, False, **wishes)


def test_nothing_is_said_before_the_deadman_was_held_with_authority():
    desk = Desk()
    assert desk.tick(None).loco is None
    assert desk.tick(released()).loco is None
    assert desk.tick(held(flags=(1, 0, 0))).loco is None
    desk.core.on_authority(Source.TELEOP, 3)
    output = desk.tick(held(flags=(1, 0, 0)))
    assert output.loco.flags == (1, 0, 0) and output.loco.session == 3
    assert desk.core.phase is Phase.DRIVING


def test_a_deadman_held_from_the_start_does_not_count_until_released_once():
    desk = Desk()
    desk.core.on_authority(Source.TELEOP, 1)
    assert desk.tick(held(flags=(1, 0, 0))).loco is None
    desk.tick(released())
    assert desk.tick(held(flags=(1, 0, 0))).loco is not None


def test_releasing_the_deadman_stops_walking_and_holds_arms_and_height():
    desk = Desk()
    wrist = WristPose(np.array([0.25, 0.2, 0.2]))
    desk.drive(left=wrist, flags=(1, 0, 1), height_m=0.6)
    for _ in range(10):
        moving = desk.tick(held(left=wrist, flags=(1, 0, 1), height_m=0.6))
    still = desk.tick(released())
    assert still.loco.flags == (0, 0, 0) and still.loco.height_m == pytest.approx(0.6)
    assert np.allclose(still.arm.positions, moving.arm.positions)
    assert desk.core.phase is Phase.HOLDING


def test_a_lost_device_gets_a_stand_for_half_a_second_then_silence_and_a_reason():
    desk = Desk()
    desk.drive(flags=(1, 0, 0))
    outputs = [desk.tick(None) for _ in range(60)]
    said = [output.loco for output in outputs if output.loco is not None]
    grace = round(desk.core.config.device_timeout_s / 0.02)
    assert all(command.flags == (0, 0, 0) for command in said[grace:])
    assert len(said) * 0.02 == pytest.approx(0.1 + desk.core.config.farewell_s, abs=0.05)
    assert outputs[-1].loco is None and desk.core.reason is Reason.TELEOP_LOST


def test_a_device_that_comes_back_with_the_deadman_held_must_be_released_first():
    desk = Desk()
    desk.drive(flags=(1, 0, 0))
    for _ in range(20):
        desk.tick(None)
    assert desk.tick(held(flags=(1, 0, 0))).loco is None
    desk.tick(released())
    assert desk.tick(held(flags=(1, 0, 0))).loco.flags == (1, 0, 0)


def test_grasping_the_deadman_asks_for_the_authority_once():
    desk = Desk()
    desk.core.on_authority(Source.VLA, 4)
    desk.tick(released())
    asked = [desk.tick(held()).authority for _ in range(5)]
    assert asked == [Source.TELEOP, None, None, None, None]


def test_whoever_takes_the_authority_from_a_held_deadman_keeps_it():
    desk = Desk()
    desk.drive()
    desk.core.on_authority(Source.VLA, 8)
    assert all(desk.tick(held()).authority is None for _ in range(5))
    assert desk.tick(held()).loco is None


def test_the_authority_button_takes_and_gives_back():
    desk = Desk(TeleopConfig(takeover=False, give_back=Source.VLA))
    desk.core.on_authority(Source.VLA, 1)
    press = frozenset({AUTHORITY})
    assert desk.tick(released(buttons=press)).authority is Source.TELEOP
    desk.core.on_authority(Source.TELEOP, 2)
    assert desk.tick(released(buttons=press)).authority is None
    desk.tick(released())
    assert desk.tick(released(buttons=press)).authority is Source.VLA


def test_buttons_count_when_they_go_down_even_without_deadman():
    desk = Desk()
    press = frozenset({EPISODE_START})
    assert desk.tick(released(buttons=press)).pressed == (EPISODE_START,)
    assert desk.tick(released(buttons=press)).pressed == ()


def test_after_the_emergency_stop_the_deadman_must_be_released_first():
    desk = Desk()
    desk.drive(flags=(1, 0, 0))
    assert desk.tick(held(flags=(1, 0, 0), buttons=frozenset({ESTOP}))).pressed == (ESTOP,)
    assert desk.tick(held(flags=(1, 0, 0))).loco.flags == (0, 0, 0)


def test_a_takeover_begins_at_the_measured_arms_and_the_height_of_whoever_drove():
    desk = Desk()
    pose = SPEC.default_rad.copy()
    pose[SPEC.index("left_elbow_joint")] = -1.2
    desk.tick(released())
    desk.core.on_height(0.52)
    desk.core.on_authority(Source.TELEOP, 9)
    desk.now_ns += STEP_NS
    desk.core.on_state(robot_state(desk.now_ns, pose))
    output = desk.core.tick(replace(held(), stamp_ns=desk.now_ns), desk.now_ns)
    row = dict(zip(output.arm.joint_names, output.arm.positions[0], strict=True))
    assert row["left_elbow_joint"] == pytest.approx(-1.2) and output.loco.height_m == pytest.approx(0.52)


def test_targets_are_due_after_now_and_stamped_with_the_device_event():
    desk = Desk()
    output = desk.drive()
    due_ns = output.arm.observation_stamp_ns + output.arm.time_from_start_ns[0]
    assert output.arm.observation_stamp_ns == desk.now_ns - 2 * MS
    assert due_ns == desk.now_ns + round(desk.core.config.lead_s * 1e9)


def test_without_a_fresh_robot_state_nothing_is_commanded_and_the_reason_is_told():
    desk = Desk()
    desk.drive()
    desk.now_ns += 500 * MS
    assert desk.core.tick(replace(held(), stamp_ns=desk.now_ns), desk.now_ns).arm is None
    assert desk.core.reason is Reason.STATE_LOST


def test_joints_head_and_grippers_are_clipped_to_the_robot():
    desk = Desk()
    output = desk.drive(
        joints={"left_elbow_joint": -9.0}, head=(2.0, -2.0), grippers=(1.5, -0.5), height_m=0.1
    )
    row = dict(zip(output.arm.joint_names, output.arm.positions[0], strict=True))
    assert row["left_elbow_joint"] == SPEC.lower_rad[SPEC.index("left_elbow_joint")][0]
    assert row["head_yaw_joint"] == pytest.approx(0.349)
    assert (row["left_claw_joint"], row["right_claw_joint"]) == (1.0, 0.0)
    assert output.loco.height_m == SPEC.stance_height_m[0]
