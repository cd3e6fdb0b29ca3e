"""What the demo does, step by step, and the faults it injects. The same steps run on the graph and in lock-step."""

from __future__ import annotations

from wbvla_core.types import Reason, Source, State
from wbvla_sim.script import (
    Arms,
    Authority,
    AwaitState,
    EStop,
    Hoist,
    Instruct,
    Kill,
    Loco,
    Push,
    Release,
    Say,
    Step,
    Unhook,
    Wait,
)

# Of the bar: the soles are 10 cm above the floor; the rope hangs loose.
HUNG_M, LOOSE_ROPE_M = 1.7, 1.5
STANDING_M, SQUAT_M = 0.62, 0.50
STILL, AHEAD, BACK, LEFT, TURN_LEFT = (0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, 0, 1)

LOOK_LEFT = {"head_yaw_joint": 0.3, "head_pitch_joint": 0.0}
LOOK_RIGHT_DOWN = {"head_yaw_joint": -0.3, "head_pitch_joint": 0.2}
REACH = {
    "head_yaw_joint": 0.0,
    "head_pitch_joint": 0.1,
    "left_shoulder_pitch_joint": -1.1,
    "left_elbow_joint": -0.9,
    "right_shoulder_pitch_joint": -1.1,
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
# On the way between rest and reach, so that the hands pass the edge of a table before the robot.
FOLD = {
    **REST,
    "left_shoulder_pitch_joint": 0.3,
    "left_elbow_joint": -2.1,
    "right_shoulder_pitch_joint": 0.3,
    "right_elbow_joint": -2.1,
}

# From hanging in damping to standing on the floor without a rope, so that a fall would be one.
STAND_UP: tuple[Step, ...] = (Release(), Hoist(LOOSE_ROPE_M, carried=False), Wait(2.0), Unhook())

DEMO: tuple[Step, ...] = (
    Wait(1.0),
    Say("released: blends from where the joints are to the stand posture, then lowered onto its feet"),
    *STAND_UP,
    Say("teleoperation takes authority: looks around"),
    Authority(Source.TELEOP),
    Loco(STANDING_M),
    Arms(LOOK_LEFT),
    Wait(1.2),
    Arms(LOOK_RIGHT_DOWN),
    Wait(1.2),
    Arms(REST),
    Wait(1.2),
    Say("moves its arms over the table"),
    Arms(FOLD),
    Wait(1.2),
    Arms(REACH),
    Wait(2.0),
    Arms(WIDE),
    Wait(2.0),
    Arms(FOLD),
    Wait(1.5),
    Arms(REST),
    Wait(1.5),
    Say("steps back, and turns by 90 degrees"),
    Loco(STANDING_M, BACK),
    Wait(4.0),
    Loco(STANDING_M, STILL),
    Wait(2.5),
    Loco(STANDING_M, TURN_LEFT),
    Wait(5.1),
    Loco(STANDING_M, STILL),
    Wait(2.5),
    Say("walks 3 m"),
    Loco(STANDING_M, AHEAD),
    Wait(10.0),
    Loco(STANDING_M, STILL),
    Wait(2.5),
    Say("sidesteps"),
    Loco(STANDING_M, LEFT),
    Wait(3.5),
    Loco(STANDING_M, STILL),
    Wait(2.5),
    Say(f"squats to {SQUAT_M:.2f} m and rises while the arms swing"),
    Loco(SQUAT_M),
    Arms(REACH),
    Wait(1.5),
    Arms(FOLD),
    Wait(1.5),
    Loco(STANDING_M),
    Arms(WIDE),
    Wait(1.5),
    Arms(REST),
    Wait(2.0),
    Say("pushed: 20 N s forward, 20 N s sideways"),
    Push((200.0, 0.0, 0.0)),
    Wait(4.0),
    Push((0.0, 200.0, 0.0)),
    Wait(4.0),
    Say("the VLA takes authority"),
    Instruct("stand still"),
    Authority(Source.VLA),
    Wait(1.0),
    AwaitState((State.ACTIVE,)),
    Wait(2.0),
    Say("the VLA process is killed: the robot must stand, say why, and follow again when it is back"),
    Kill("vla_node", Reason.VLA_LOST, State.STANDING, back_after_s=3.0),
    AwaitState((State.ACTIVE,), timeout_s=30.0),
    Say("the VLA is back"),
    Wait(2.0),
    Authority(Source.NONE),
    Say("hoisted, e-stopped, released, and down on its feet again"),
    Hoist(HUNG_M),
    Wait(2.0),
    EStop("demo"),
    Wait(2.0),
    *STAND_UP,
    Wait(3.0),
    Say("stands"),
)
